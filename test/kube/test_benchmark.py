# SPDX-License-Identifier: Apache-2.0
"""benchmarks/scale measures what it says and leaves nothing behind. No figure is judged."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

from sandbox import netns
from sandbox.daemon import BPFFS, eventually

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARIES = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build")) / "bin"
PREFIX = "sl-scale"
PINS = f"{BPFFS}/sluice/{PREFIX}"
PATIENCE_S = 120
KUBE_PROXY = pathlib.Path(subprocess.run([ROOT / "test/kube/build", "--path", "kube-proxy"],
                                         check=True, capture_output=True, text=True
                                         ).stdout.strip())

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: namespaces, BPF")

SMALL = ("--services", "5", "--endpoints", "3", "--rounds", "1", "--settle", "0.2")


def begin(*flags):
    if not (BINARIES / "scale-probe").exists():
        pytest.exit(f"no scale-probe in {BINARIES}: build all targets", 2)
    env = dict(os.environ, PYTHONPATH=str(ROOT / "benchmarks"), PYTHONDONTWRITEBYTECODE="1")
    return subprocess.Popen(
        [sys.executable, "-m", "scaling", "--binaries", str(BINARIES), *SMALL, *flags], env=env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True)


def left_behind():
    """Whatever a run makes and removes."""
    groups = pathlib.Path("/sys/fs/cgroup").glob("**/sluice-scale")
    return [*netns.named(PREFIX), *map(str, groups),
            *(path for path in (PINS, f"/dev/shm/{PREFIX}") if os.path.exists(path))]


def finish(run):
    """What it printed; a run that failed shows why."""
    try:
        output, errors = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
    if run.returncode == 77:
        pytest.skip(errors.strip())
    assert run.returncode == 0, errors
    return output


def check_figures(line, source):
    """There is one of each, and as many samples as were asked for."""
    assert (line["source"], line["services"], line["endpoints"]) == (source, 5, 3)
    assert [len(line[key]) for key in ("removedMs", "addedMs", "newMs")] == [2, 2, 2]
    for key in ("startMs", "startCpuS", "startReceivedBytes", "changesCpuS",
                "changesReceivedBytes", "peakRssBytes", "rssBytes", "anonBytes", "binaryBytes"):
        assert line[key] > 0, key


@pytest.mark.parametrize("source", ["kube-apiserver", "generated"])
def test_every_candidate_has_every_figure(source, tmp_path):
    results, candidates, flags = tmp_path / "results", ["sluice", "floor"], []
    if source == "generated":
        flags = ["--generated"]
    elif KUBE_PROXY.exists():  # building it takes longer than the test
        candidates.insert(1, "kube-proxy-nftables")
        flags = ["--against", "kube-proxy-nftables"]
    output = finish(begin("--changes", "4", "--new", "2", "--churn", "3",
                          "--output", str(results), *flags))

    lines = {line["candidate"]: line for line in map(json.loads, results.open())}
    assert list(lines) == candidates
    for line in lines.values():
        check_figures(line, source)
    assert lines["sluice"]["mapsBytes"] > lines["sluice"]["mappedMapsBytes"] > 0
    assert lines["floor"]["mapsBytes"] == lines["floor"]["mappedMapsBytes"] == 0
    rows = [row for row in output.splitlines() if row.startswith("|")]
    assert [word.strip() for word in rows[0].split("|")[2:-1]] == candidates
    assert all(len(row.split("|")) == len(candidates) + 3 for row in rows)
    assert left_behind() == []


def test_an_interrupted_run_leaves_nothing():
    run = begin("--generated", "--changes", "1000")
    try:
        eventually(lambda: os.path.exists(PINS), PATIENCE_S, "sluiced runs")
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=PATIENCE_S)
    finally:
        run.kill()
    assert run.returncode == 1 and "interrupted" in errors
    assert left_behind() == []
