# SPDX-License-Identifier: Apache-2.0
"""Events without end leave memory where it was."""

import time

import pytest

from sandbox.daemon import eventually
from scripted import GENERATED
from test_lists import memory_kb
from world import RECONNECTED_S

# Buffers of a burst are given back: else the allocator keeps more or less of them, by chance.
_GIVE_BACK = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_WARM = 20_000
_RATE = 7_000  # a second, which sluiced can follow
_ROUNDS = 3
_SAMPLES = 10
_SAMPLE_S = 0.1
_GROWTH = 0.05


def _has_all(net, version):
    status = net.daemon.get("status")
    versions = {kind["resourceVersion"] for kind in status["source"]["kinds"]}
    return str(version) in versions and not status["programmed"]["pending"]


def _round(net, events, rate):
    """Memory, all of it and without files and maps, once the events are programmed."""
    version = net.api.tell("replay", events=events, distinct=GENERATED, rate=rate,
                           timeout_s=1200)["resourceVersion"]
    eventually(lambda: _has_all(net, version), RECONNECTED_S, "all events are programmed")
    samples = []
    for _ in range(_SAMPLES):
        samples.append([memory_kb(net.daemon.pid, name) for name in ("VmRSS", "RssAnon")])
        time.sleep(_SAMPLE_S)
    return min(samples)


@pytest.fixture(name="frugal")
def _frugal(net):
    net.daemon.stop()
    net.daemon.environment = _GIVE_BACK
    yield net.daemon.start()
    net.daemon.stop()
    net.daemon.environment = {}
    net.daemon.start()


@pytest.mark.usefixtures("frugal")
@pytest.mark.parametrize("events", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_memory_after_many_events(net, events):
    lists = net.daemon.lists("Service")
    with net.stream():
        before = min(_round(net, _WARM, 0) for _ in range(_ROUNDS))
        print(f"injected: {events} events")
        rounds = [_round(net, events // 5, _RATE) for _ in range(5)]
        net.check_tables()
    after = min(rounds[-_ROUNDS:])
    print(f"memory in kB, all and without maps: {before} before, {after} after, by {rounds}")
    assert net.daemon.lists("Service") == lists, "these were lists, not events"
    assert after[0] <= before[0] * (1 + _GROWTH)
