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
import scripted  # noqa: E402
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
    binaries = _checked_binaries()
    world = worlds.World()
    request.config.world = world
    try:
        world.up(_build_control_plane(request.config), binaries)
        yield world
    finally:
        world.down()


def _build_fakeapi():
    done = subprocess.run([ROOT / "test/kube/fakeapi/build"], stdout=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode == 77:
        pytest.skip("no fakeapi: it is built by go, which is not installed")
    if done.returncode:
        pytest.exit("test/kube/fakeapi/build failed: see above", 2)
    return done.stdout.strip()


def _checked_binaries():
    reason = _why_not()
    if reason:
        pytest.skip(reason)
    # A level that skips itself because nothing was built would look like success.
    if not (BINARIES / "sluiced").exists():
        pytest.exit(f"no sluiced in {BINARIES}: build it, or name its folder in SLUICE_BUILD", 2)
    return BINARIES


@pytest.fixture(scope="session", name="net")
def _net(request):
    """A world of its own, whose API server does what it is told to."""
    binaries = _checked_binaries()
    net = scripted.ScriptedWorld()
    request.config.net = net
    try:
        net.up(_build_fakeapi(), binaries)
        yield net
    finally:
        net.down()


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
    world = getattr(item.config, "net" if "net" in item.fixturenames else "world", None)
    if report.failed and world and world.daemon:
        lines = world.daemon.read_log().splitlines()[-_LOG_LINES:]
        report.sections.append(("end of sluiced's log", "\n".join(lines)))


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true",
                     help="only the tests that take long, which are left out otherwise")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; run by --long")


# What they might leave behind must not spoil the rest: large lists and outages.
_LAST = ["test_lists.py", "test_watches.py", "test_outages.py"]


def pytest_collection_modifyitems(config, items):
    wanted = config.getoption("--long")
    items[:] = [item for item in items if bool(item.get_closest_marker("long")) == wanted]
    items.sort(key=lambda item: _LAST.index(item.path.name) + 1 if item.path.name in _LAST else 0)
