# SPDX-License-Identifier: Apache-2.0
"""Where net tests run, and what they share. Needs root, bpffs and a built sluiced.

SLUICE_BUILD names the folder of the build; without it that is build.
"""

import fcntl
import os
import pathlib
import shutil
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
pytest.register_assert_rewrite("checks")

# pylint: disable=wrong-import-position
from sandbox.daemon import BPFFS  # noqa: E402
from sandbox.sandbox import STATE, Sandbox  # noqa: E402

BINARIES = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build")) / "bin"


def _mounted(where, kind):
    with open("/proc/mounts", encoding="utf-8") as mounts:
        return any(line.split()[1:3] == [where, kind] for line in mounts)


def _why_not():
    if os.geteuid() != 0:
        return "needs root: namespaces, BPF"
    missing = [tool for tool in ("ip", "bridge", "nsenter", "ethtool") if not shutil.which(tool)]
    if missing:
        return f"needs {', '.join(missing)}"
    if not _mounted(BPFFS, "bpf"):
        return f"needs bpffs: mount -t bpf bpf {BPFFS}"
    return None


def pytest_collection_modifyitems(items):
    reason = _why_not()
    if reason:
        for item in items:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_sessionstart(session):
    if _why_not():
        return
    # A level that skips itself because nothing was built would look like success.
    if not (BINARIES / "sluiced").exists():
        pytest.exit(f"no sluiced in {BINARIES}: build it, or name its folder in SLUICE_BUILD", 2)
    # Sandboxes have fixed names, so that one that was left behind is found and removed.
    STATE.mkdir(parents=True, exist_ok=True)
    session.net_lock = open(STATE / "tests.lock", "w", encoding="utf-8")
    try:
        fcntl.flock(session.net_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another run of these tests", flush=True)
        fcntl.flock(session.net_lock, fcntl.LOCK_EX)


@pytest.fixture(scope="module")
def make_sandbox(request):
    """Makes this module's sandbox, named after the module, with sluiced not yet started."""
    made = []

    def make(**variant):
        name = request.module.__name__.removeprefix("test_")
        sandbox = Sandbox(f"slt-{name}", BINARIES, **variant)
        made.append(sandbox)
        return sandbox.up()

    yield make
    for sandbox in made:
        sandbox.down()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows the end of sluiced's log beside a failure."""
    outcome = yield
    report = outcome.get_result()
    net = getattr(item, "funcargs", {}).get("net")
    if report.failed and net is not None and net.daemon.log.exists():
        lines = net.daemon.log.read_text(encoding="utf-8", errors="replace").splitlines()
        report.sections.append(("sluiced", "\n".join(lines[-15:])))
