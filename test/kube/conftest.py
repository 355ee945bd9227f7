# SPDX-License-Identifier: Apache-2.0
"""One sandbox with one control plane and one sluiced for all tests; a namespace for each.

Needs root, bpffs and a built sluiced: SLUICE_BUILD names the folder of the build; without it that
is build.
"""

import itertools
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "test/kube")]

# pylint: disable=wrong-import-position
import objects  # noqa: E402
import world as worlds  # noqa: E402
from sandbox.daemon import BPFFS  # noqa: E402

BINARIES = pathlib.Path(os.environ.get("SLUICE_BUILD", ROOT / "build")) / "bin"

_numbers = itertools.count(1)
_LOG_LINES = 30


def _why_not():
    if os.geteuid() != 0:
        return "needs root: namespaces, BPF"
    missing = [t for t in ("ip", "nft", "ss", "nsenter", "openssl") if not shutil.which(t)]
    if missing:
        return f"needs {', '.join(missing)}"
    if not os.path.ismount(BPFFS):
        return f"needs bpffs: mount -t bpf bpf {BPFFS}"
    return None


def _build_control_plane(config):
    """Returns the program; its first build is long, so it shows its progress."""
    with config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        done = subprocess.run([ROOT / "test/kube/build"], stdout=subprocess.PIPE, text=True,
                              check=False)
    if done.returncode == 77:
        pytest.skip("no control plane: it is built by go, which is not installed")
    if done.returncode:
        pytest.exit("test/kube/build failed: see above", 2)
    return done.stdout.strip()


@pytest.fixture(scope="session", name="world")
def _world(request):
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    # A level that skips itself because nothing was built would look like success.
    if not (BINARIES / "sluiced").exists():
        pytest.exit(f"no sluiced in {BINARIES}: build it, or name its folder in SLUICE_BUILD", 2)
    world = worlds.World()
    request.config.world = world
    try:
        world.up(_build_control_plane(request.config), BINARIES)
        yield world
    finally:
        world.down()


@pytest.fixture(name="ns")
def _ns(world):
    """A namespace of the API."""
    namespace = objects.Namespace(world.control_plane.api, f"test{next(_numbers)}")
    yield namespace
    namespace.clear()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Shows the end of sluiced's log with a failure."""
    outcome = yield
    report = outcome.get_result()
    world = getattr(item.config, "world", None)
    if report.failed and world and world.daemon:
        lines = world.daemon.read_log().splitlines()[-_LOG_LINES:]
        report.sections.append(("end of sluiced's log", "\n".join(lines)))


def pytest_collection_modifyitems(items):
    """Outages last: what they might leave behind must not spoil the rest."""
    items.sort(key=lambda item: item.path.name == "test_outages.py")
