# SPDX-License-Identifier: Apache-2.0
"""sluiced and lbctl in a namespace, and the control socket that sluiced answers on."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from . import netns

BPFFS = "/sys/fs/bpf"


class DaemonError(Exception):
    """sluiced did not do what was asked; the text has the line of its log to look at."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def eventually(probe, patience_s=10.0, what=None):
    """Calls `probe` until it returns something true, and returns that."""
    deadline = time.monotonic() + patience_s
    while True:
        result = probe()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {patience_s:g} s: {what or probe.__doc__ or probe}")
        time.sleep(0.03)


class Daemon:
    """One instance of sluiced in one namespace.

    `binaries` is the folder with sluiced and lbctl, `state` one of its own for log, lock and
    control socket.
    """

    def __init__(self, binaries, namespace, instance, node, manifests, state, flags=()):
        self.binaries = pathlib.Path(binaries)
        self.namespace = namespace
        self.instance = instance
        self.state = pathlib.Path(state)
        self.log = self.state / f"{instance}.log"
        self.process = None
        self.environment = {}  # more variables of sluiced
        self._flags = ["--instance", instance, "--node-name", node, "--source", "manifests",
                       "--manifests", str(manifests), "--run-dir", str(self.state),
                       "--bpffs", BPFFS, *flags]

    def _inside(self, program, *words):
        # Without its namespace it can still be cleaned up: pins are the machine's.
        where = netns.enter(self.namespace) if netns.exists(self.namespace) else []
        return [*where, str(self.binaries / program), *words]

    def command(self, *extra):
        return self._inside("sluiced", *self._flags, *extra)

    def start(self, *extra):
        """Starts sluiced and waits until what it was given is programmed."""
        with open(self.log, "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command(*extra), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | self.environment,
                start_new_session=True)  # an interrupt from the terminal is the caller's
        self.ready()
        return self

    def ready(self, patience_s=20.0):
        deadline = time.monotonic() + patience_s
        while not self._is_ready():
            if self.process.poll() is not None:
                raise DaemonError(f"sluiced ended with {self.process.returncode}: "
                                  f"{self.last_words()}")
            if time.monotonic() > deadline:
                raise DaemonError(f"sluiced is not ready after {patience_s:g} s: "
                                  f"{self.last_words()}")
            time.sleep(0.03)

    def _is_ready(self):
        try:
            status = self.get("status")
        except (OSError, http.client.HTTPException):
            return False
        # A connection to the socket of an earlier process would tell another pid.
        return (status.get("pid") == self.process.pid and status["source"].get("connected")
                and status["programmed"]["pending"] == 0)

    def last_words(self):
        """The last line of the log that is a warning or worse, else the last line."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        bad = [line for line in lines if "error" in line.lower() or "fatal" in line.lower()]
        return (bad or lines or ["its log is empty"])[-1]

    def running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait()

    def stop(self, patience_s=10.0):
        """Ends sluiced; what it attached and pinned stays."""
        if not self.running():
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise DaemonError(f"sluiced ignored SIGTERM: {self.last_words()}") from None

    def cleanup(self):
        """Removes pins and links; raises if that fails."""
        if (self.binaries / "sluiced").exists():
            netns.run(*self.command("--cleanup"))

    def get(self, path):
        """A document of the control socket; None if there is no such thing."""
        connection = _UnixConnection(str(self.state / f"{self.instance}.sock"))
        try:
            connection.request("GET", f"/v1/{path}")
            answer = connection.getresponse()
            document = json.loads(answer.read())
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise DaemonError(f"GET /v1/{path}: {document.get('message', answer.status)}")
        return document

    def lbctl_command(self, *words):
        return self._inside("lbctl", "-i", self.instance, "--run-dir", str(self.state),
                            "--bpffs", BPFFS, *words)

    def lbctl(self, *words):
        """Runs lbctl and returns what it prints."""
        return netns.run(*self.lbctl_command(*words))

    def lbctl_json(self, *words):
        return json.loads(self.lbctl(*words, "-o", "json"))
