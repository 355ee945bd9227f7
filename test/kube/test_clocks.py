# SPDX-License-Identifier: Apache-2.0
"""The clock of sluiced alone is set, by libfaketime; and time that passes faster is how long
silences are waited for."""

import glob
import time

import pytest

from sandbox.daemon import eventually
from world import PROGRAMMED_S, RECONNECTED_S

_DAY_S = 86400
_FAR_S = 40 * _DAY_S  # past the end of fakeapi's certificates
# A silence of five minutes that takes half a minute.
_STEPS = 60  # most of them pass while sluiced sleeps in real time
_STEP_S = 15
_STEP_TAKES_S = 1.5


class Clock:
    """What a process under libfaketime reads as its clocks."""

    def __init__(self, path):
        self._file = path
        self._offset_s = 0

    def set(self, offset_s):
        self._offset_s = offset_s
        self._file.write_text(f"{offset_s:+d}\n", encoding="utf-8")

    def advance(self, seconds):
        self.set(self._offset_s + seconds)


@pytest.fixture(name="clock")
def _clock(net, request, tmp_path):
    """Restarts sluiced with a clock that tests set; `monotonic`: both clocks, else the date alone.
    """
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not found:
        pytest.skip("needs libfaketime")
    clock = Clock(tmp_path / "clock")
    clock.set(0)
    net.daemon.stop()
    net.daemon.environment = {
        "LD_PRELOAD": found[0], "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "clock"),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": str(int(request.param == "date"))}
    net.daemon.start()
    yield clock
    net.daemon.stop()
    net.daemon.environment = {}
    net.daemon.start()


@pytest.mark.parametrize("clock", ["date"], indirect=True)
@pytest.mark.parametrize("offset_s", [_DAY_S, -_DAY_S])
def test_date_jumps(net, clock, offset_s):
    """Watches go on: nothing that is waited for is waited for by the date."""
    lists = net.daemon.lists("Service")
    with net.stream():
        net.change()
        print(f"injected: the date of sluiced is {offset_s:+d} s off")
        clock.set(offset_s)
        net.change()
        net.check_tables(PROGRAMMED_S)
        clock.set(0)
        net.change()
        net.check_tables(PROGRAMMED_S)
    assert net.daemon.lists("Service") == lists


@pytest.mark.parametrize("clock", ["date"], indirect=True)
def test_date_at_which_certificates_have_expired(net, clock):
    """It can't connect then, says so, and does once the date is right again."""
    with net.stream():
        print(f"injected: the date of sluiced is {_FAR_S:+d} s off, then right again")
        clock.set(_FAR_S)
        net.api.tell("disconnect")
        eventually(lambda: "expired" in net.daemon.log_of_this_run(), RECONNECTED_S,
                   "the log tells of an expired certificate")
        net.change()
        clock.set(0)
        net.check_tables()


@pytest.mark.parametrize("clock", ["both"], indirect=True)
def test_half_open_connection(net, clock):
    """The server is gone without a word; the silence is noticed, here in steps of time."""
    with net.stream():
        print("injected: connections are neither read nor written any more, nor closed")
        net.api.tell("freeze")
        net.change()
        for _ in range(_STEPS):
            clock.advance(_STEP_S)
            time.sleep(_STEP_TAKES_S)
            if not net.daemon.connected():
                break
        else:
            pytest.fail(f"{_STEPS * _STEP_S} s of silence are not noticed")
        net.check_tables()
        net.api.tell("clear")


@pytest.mark.long
def test_half_open_connection_in_real_time(net):
    with net.stream():
        print("injected: connections are neither read nor written any more, nor closed")
        net.api.tell("freeze")
        net.change()
        net.check_tables(300)
        net.api.tell("clear")
