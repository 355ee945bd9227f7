# SPDX-License-Identifier: Apache-2.0
"""Where the objects come from: a real API server, or one that serves a generated load."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import queue
import shutil
import socket
import subprocess
import sys
import threading
import time

import api
import control_plane
import objects
from sandbox import netns

from . import documents, network

NODE = "node1"
_LOADERS = 6
_PROGRESS_S = 5
_CACHED_FROM = 3000  # Services; loading fewer is faster than restarting the API server
_STORED = pathlib.Path(os.environ.get("SLUICE_CACHE", "/var/cache/sluice")) / "scale"


def say(text):
    print(f"scale: {text}", file=sys.stderr, flush=True)


class RealCluster:
    """etcd and kube-apiserver, without controllers: slices are what they were made."""

    source = "kube-apiserver"

    def __init__(self, program, services, endpoints, logs):
        self.services, self.endpoints = services, endpoints
        self._changed_fillers = set()
        self._plane = control_plane.ControlPlane(
            program, network.name(network.CONTROL), network.CONTROL_ADDRESS,
            f"/dev/shm/{network.PREFIX}", logs, bare=True)
        self._program = program

    # Life

    def up(self):
        stored = self._stored()
        etcd = pathlib.Path(self._plane.folder) / "etcd"
        if stored and stored.is_dir():
            say(f"taking the stored load {stored}")
            shutil.copytree(stored, etcd)
            self._plane.start()
            return
        self._plane.start()
        self._load()
        if stored:
            self._store(etcd, stored)

    def down(self):
        self._plane.stop()

    def pids(self):
        return self._plane.pids()

    def _stored(self):
        """Where the etcd of such a load is kept, or would be; None for a small one."""
        if self.services < _CACHED_FROM:
            return None
        made_of = hashlib.sha256(pathlib.Path(documents.__file__).read_bytes())
        made_of.update(pathlib.Path(self._program).name.encode())
        return _STORED / f"{self.services}x{self.endpoints}-{made_of.hexdigest()[:12]}"

    def _store(self, etcd, stored):
        say(f"storing the load as {stored}")
        self._plane.kill_apiserver()
        self._plane.kill("etcd")
        new = stored.with_suffix(".new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(etcd, new)
        new.rename(stored)
        self._plane.start()

    def _load(self):
        client = self._plane.api
        client.create({"apiVersion": "v1", "kind": "Namespace",
                       "metadata": {"name": documents.NAMESPACE}})
        objects.make_node(client, NODE, [network.NODE_ADDRESS], "zone-a")
        _load_in_parallel(self._plane, self.services - 1, self.endpoints)
        client.create(documents.probed_slice(self.endpoints))
        client.create(documents.probed())

    # Access

    def kubeconfig(self):
        return self._plane.kubeconfig("admin")

    def floor_flags(self):
        path = self._plane.pki.path
        return ["--server", f"https://{network.CONTROL_ADDRESS}:{control_plane.API_PORT}",
                "--cacert", path("ca.crt"), "--cert", path("admin.crt"),
                "--key", path("admin.key")]

    # Changes return when the answer was there (CLOCK_MONOTONIC ns) and the resourceVersion

    def create(self, document):
        path = api.path_of(document["kind"], documents.NAMESPACE)
        return self._changed(self._plane.api.request("POST", path, document))

    def replace(self, document):
        path = api.path_of(document["kind"], documents.NAMESPACE, document["metadata"]["name"])
        return self._changed(self._plane.api.request("PUT", path, document))

    @staticmethod
    def _changed(answer):
        return time.monotonic_ns(), answer["metadata"]["resourceVersion"]

    def delete(self, document):
        self._plane.api.delete(document["kind"], documents.NAMESPACE, document["metadata"]["name"])

    def change_filler(self, number):
        """Gives a filler another first endpoint, and its own again the next time."""
        self._changed_fillers ^= {number}
        changed = number in self._changed_fillers
        self.replace(documents.filler_slice(number, self.endpoints, changed))


def _load_in_parallel(plane, services, endpoints):
    """Creates the fillers over several connections, the slice before its Service."""
    numbers, failures = queue.SimpleQueue(), queue.SimpleQueue()
    for number in range(services):
        numbers.put(number)

    def work():
        client = plane.client()
        with contextlib.suppress(queue.Empty), contextlib.closing(client):
            while failures.empty():
                number = numbers.get_nowait()
                try:
                    client.create(documents.filler_slice(number, endpoints))
                    client.create(documents.filler(number))
                except Exception as failure:  # pylint: disable=broad-except
                    failures.put(failure)

    began = told = time.monotonic()
    threads = [threading.Thread(target=work, daemon=True) for _ in range(_LOADERS)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.05)
        if time.monotonic() - told > _PROGRESS_S:
            told = time.monotonic()
            done = services - numbers.qsize()
            say(f"loaded {done} of {services} Services, {done / (told - began):.0f} a second")
    if not failures.empty():
        raise failures.get()
    say(f"loaded {services} Services in {time.monotonic() - began:.0f} s")


class GeneratedCluster:
    """test/kube/fakeapi: Services of any number, each with one slice, and the probed one."""

    source = "generated"

    def __init__(self, program, services, endpoints, logs):
        self.services, self.endpoints = services, endpoints
        self._program, self._log = program, pathlib.Path(logs) / "fakeapi.log"
        self._folder = pathlib.Path(f"/dev/shm/{network.PREFIX}")
        self._process = None

    def up(self):
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [*netns.enter(network.name(network.CONTROL)), self._program,
                 "--folder", self._folder,
                 "--listen", f"{network.CONTROL_ADDRESS}:{control_plane.API_PORT}",
                 "--services", str(self.services - 1), "--endpoints", str(self.endpoints),
                 "--node", NODE],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True,
                start_new_session=True)
        if not self._process.stdout.readline():
            raise RuntimeError(f"fakeapi ended: see {self._log}")
        self.create(documents.probed_slice(self.endpoints))
        self.create(documents.probed())

    def down(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def pids(self):
        return [self._process.pid]

    def kubeconfig(self):
        return self._folder / "kubeconfig"

    def floor_flags(self):
        return ["--server", f"https://{network.CONTROL_ADDRESS}:{control_plane.API_PORT}",
                "--cacert", str(self._folder / "ca.crt"), "--token", str(self._folder / "token")]

    def _ask(self, command, body):
        connection = http.client.HTTPConnection("fakeapi")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self._folder / "control"))
        with contextlib.closing(connection):
            connection.request("POST", f"/{command}", json.dumps(body))
            answer = connection.getresponse()
            document = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"fakeapi: {command}: {document}")
        return document

    def create(self, document):
        done = self._ask("put", {"objects": [document]})
        return done["changedNs"], str(done["resourceVersion"])

    replace = create

    def delete(self, document):
        self._ask("delete", {"kind": document["kind"], "namespace": documents.NAMESPACE,
                             "name": document["metadata"]["name"]})

    def change_filler(self, number):
        """As that of RealCluster."""
        self._ask("change", {"first": number, "count": 1})
