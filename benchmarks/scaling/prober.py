# SPDX-License-Identifier: Apache-2.0
"""The commanding side of scale-probe, and of any program that prints JSON lines."""

import json
import subprocess
import threading
import time

from sandbox import netns

from . import documents, network

_SERVICE_PORT = 80
_ASK_EVERY_US = 250


class Lines:
    """The JSON lines that a process has written so far, and waiting for one to come."""

    def __init__(self, stream):
        self._stream, self._lines, self._ended = stream, [], False
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for line in self._stream:
            with self._news:
                self._lines.append(json.loads(line))
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()

    def mark(self):
        """A place that later lines come after."""
        with self._news:
            return len(self._lines)

    def wait(self, mark, patience_s, what, **wanted):
        """The first line after `mark` that has these values."""
        deadline = time.monotonic() + patience_s
        with self._news:
            while True:
                for line in self._lines[mark:]:
                    if wanted.items() <= line.items():
                        return line
                mark = len(self._lines)
                left = deadline - time.monotonic()
                if self._ended:
                    raise RuntimeError(f"its program ended before: {what}")
                if left <= 0:
                    raise TimeoutError(f"not within {patience_s:g} s: {what}")
                self._news.wait(left)

    def close(self):
        """The process has ended."""
        self._thread.join()
        self._stream.close()


class Prober:
    """A client on the node's pod that asks one Service all the time, and all pods' server."""

    def __init__(self, binaries):
        self._binaries = binaries
        self._server = self._run(network.PODS, "serve", str(documents.PROBE_PORT))
        self._asker = self._run(network.CLIENT, "ask", str(_ASK_EVERY_US))
        self.lines = Lines(self._asker.stdout)
        self._target = 0

    def _run(self, namespace, *words):
        return subprocess.Popen(
            [*netns.enter(network.name(namespace)), self._binaries / "scale-probe", *words],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def ask(self, address):
        """Asks this cluster IP from now on, and knows nothing of it yet. None: nobody."""
        mark = self.lines.mark()
        where = f"{address} {_SERVICE_PORT}" if address else "0.0.0.0 0"
        self._asker.stdin.write(f"{where}\n")
        self._asker.stdin.flush()
        self._target += 1
        self.lines.wait(mark, 10, "the prober changes its target", event="target",
                        target=self._target)

    def pids(self):
        return [self._server.pid, self._asker.pid]

    def close(self):
        self._asker.stdin.close()
        self._asker.wait()
        self._server.kill()
        self._server.wait()
        self.lines.close()
