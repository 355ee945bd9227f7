# SPDX-License-Identifier: Apache-2.0
"""Events without end leave memory where it was."""

import pytest

from scripted import GENERATED
from test_lists import memory_kb

_WARM = 20_000
_GROWTH = 0.05


def _replay(net, events):
    net.api.tell("replay", events=events, distinct=GENERATED, timeout_s=1200)
    net.check_tables()


@pytest.mark.parametrize("events", [50_000, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_memory_after_many_events(net, events):
    pid = net.daemon.pid
    fields = ("VmRSS", "RssAnon")
    with net.stream():
        _replay(net, _WARM)
        before = [memory_kb(pid, field) for field in fields]
        print(f"injected: {events} events")
        _replay(net, events)
        after = [memory_kb(pid, field) for field in fields]
    print(f"memory: {dict(zip(fields, before))} kB before, {dict(zip(fields, after))} kB after")
    assert all(b <= a * (1 + _GROWTH) for a, b in zip(before, after))
