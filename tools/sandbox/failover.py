# SPDX-License-Identifier: Apache-2.0
"""How long a UDP client that never stops sending takes to follow its Service's endpoints."""

import json
import math
import pathlib
import subprocess
import sys
import threading
import time

from . import netns
from .daemon import eventually

_PROGRAM = pathlib.Path(__file__).with_name("udp_stream.py")
REFUSED = "ECONNREFUSED"


class UdpStream:
    """udp_stream.py in a namespace; `changes` are its lines so far."""

    def __init__(self, namespace, to, port):
        self.changes = []
        self._process = subprocess.Popen(
            [*netns.enter(namespace), sys.executable, "-I", "-S", str(_PROGRAM), to, str(port)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self):
        for line in self._process.stdout:
            self.changes.append(json.loads(line))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._reader.join()
        self._process.stdout.close()

    def reaches(self, who, since, patience_s=5.0):
        """Seconds from `since` (monotonic) until `who` answered."""
        def found():
            return next((c["at"] - since for c in self.changes
                         if c["at"] >= since and c["from"] == who), None)

        return eventually(found, patience_s, f"{who} answers; so far {self.changes[-3:]}")


def moves(stream, endpoints, pods, times):
    """Moves a Service between two pods. Seconds of each move, from the change of its slices.

    `endpoints(pods)` changes the slices and does not wait.
    """
    took = []
    for turn in range(1, times + 1):
        began = time.monotonic()
        endpoints([pods[turn % 2]])
        took.append(stream.reaches(pods[turn % 2], began))
    return took


def returns(stream, endpoints, pods, times):
    """As moves(), by way of no endpoint at all, which the client is told."""
    took = []
    for turn in range(1, times + 1):
        began = time.monotonic()
        endpoints([])
        stream.reaches(REFUSED, began)
        began = time.monotonic()
        endpoints([pods[turn % 2]])
        took.append(stream.reaches(pods[turn % 2], began))
    return took


def quantile(values, q):
    """The smallest of `values` that a share `q` of them does not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * q) - 1)]
