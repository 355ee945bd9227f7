# SPDX-License-Identifier: Apache-2.0
"""Lists of many pages, and how little of them is in memory at once."""

import re

from sandbox.daemon import eventually
from world import RECONNECTED_S

_PAGES = 1200  # Services, for three pages of 500
_BIG = 20_000
_BIG_PAD = 10_000  # bytes of an annotation of each: 200 MB in all


def memory_kb(pid, field):
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        return int(re.search(rf"^{field}:\s+(\d+) kB$", f.read(), re.MULTILINE).group(1))


def _forget_peak(pid):
    with open(f"/proc/{pid}/clear_refs", "w", encoding="utf-8") as f:
        f.write("5")


def _list_again(net):
    net.api.tell("compact")
    net.api.tell("disconnect")


def test_continue_token_expires(net):
    """S-275: the pages that came are no list; it is asked for whole."""
    net.api.tell("generate", services=_PAGES, endpoints=0)
    lists = net.daemon.lists("Service")
    with net.stream():
        print("injected: 410 for the second page of the list of Services")
        met = net.api.met("status")
        # Else there may be no list at all.
        net.api.fault("status", verb="watchlist", code=400, reason="BadRequest", message="scripted")
        net.api.fault("status", times=1, verb="list", kind="Service", continued=True, code=410,
                      reason="Expired", message="the continue parameter is too old")
        _list_again(net)
        net.change()
        net.api.wait_met("status", met)
        eventually(lambda: net.daemon.lists("Service") > lists, RECONNECTED_S, "a whole list")
        net.check_tables()
        net.api.tell("clear")


def test_200_megabytes_are_never_in_memory_at_once(net):
    pid = net.daemon.pid
    with net.stream():
        net.api.tell("listen", open=False)
        net.api.tell("generate", services=_BIG, endpoints=0, pad=_BIG_PAD)
        net.api.tell("compact")
        _forget_peak(pid)
        before = memory_kb(pid, "VmRSS")
        print(f"injected: a list of {_BIG * _BIG_PAD / 1e6:.0f} MB")
        net.api.tell("listen", open=True)
        net.check_tables()
    peak = memory_kb(pid, "VmHWM")
    print(f"memory: {before} kB before, {peak} kB at most")
    # What stays of all these Services is a tenth.
    assert (peak - before) * 1024 < _BIG * _BIG_PAD / 2
