# SPDX-License-Identifier: Apache-2.0
"""The commanding side of worker.py."""

import concurrent.futures
import itertools
import json
import pathlib
import subprocess
import sys
import threading

from . import netns

_PROGRAM = pathlib.Path(__file__).with_name("worker.py")
_ANSWER_S = 90


class TrafficWorker:
    """A worker process in a namespace. Its commands are this object's methods."""

    def __init__(self, namespace, name):
        self.name = name
        self._numbers = itertools.count()
        self._waiting = {}
        self._lock = threading.Lock()
        # stdlib only and no site packages: it starts faster.
        self._process = subprocess.Popen(
            [*netns.enter(namespace), sys.executable, "-I", "-S", str(_PROGRAM), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            start_new_session=True)
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        for line in self._process.stdout:
            reply = json.loads(line)
            with self._lock:
                future = self._waiting.pop(reply["id"])
            if "error" in reply:
                future.set_exception(RuntimeError(f"worker {self.name}: {reply['error']}"))
            else:
                future.set_result(reply["ok"])
        with self._lock:
            for future in self._waiting.values():
                future.set_exception(RuntimeError(f"worker {self.name} ended"))
            self._waiting.clear()

    def begin(self, do, **arguments):
        """Starts a command; its result is that of the future."""
        future = concurrent.futures.Future()
        number = next(self._numbers)
        with self._lock:
            self._waiting[number] = future
        try:
            self._process.stdin.write(json.dumps({"id": number, "do": do} | arguments) + "\n")
        except OSError as error:
            raise RuntimeError(f"worker {self.name} ended") from error
        return future

    def __getattr__(self, do):
        if do.startswith("_"):
            raise AttributeError(do)
        return lambda **arguments: self.begin(do, **arguments).result(_ANSWER_S)

    def close(self, stay=False):
        """Ends the worker, or leaves its servers running."""
        if self._process.poll() is not None:
            return
        if stay:
            self.begin("stay").result(_ANSWER_S)
        self._process.stdin.close()
        if not stay:
            try:
                self._process.wait(2)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
