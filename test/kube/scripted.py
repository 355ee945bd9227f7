# SPDX-License-Identifier: Apache-2.0
"""A world whose API server is fakeapi: it does what a real one can't be made to do."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import types

import control_plane
from sandbox import plan
from sandbox.daemon import eventually
from twin import SMALL
from world import CONTROL, NODE, RECONNECTED_S, World

PREFIX = "sl-fault"
NAMESPACE = "faults"
_NAMESPACE = types.SimpleNamespace(name=NAMESPACE)  # what there is of it
CLUSTER_IP = "10.96.200.1"  # of the Service that the held stream goes through
POD = "pod11"  # its endpoint
GENERATED = 60  # Services that are there from the start
_START_S = 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout_s):
        super().__init__("fakeapi", timeout=timeout_s)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class FakeApi:
    """fakeapi in a network namespace; `tell` is a command of its control socket."""

    def __init__(self, program, netns, address, folder):
        self.folder = folder
        self.kubeconfig, self.token = (os.path.join(folder, n) for n in ("kubeconfig", "token"))
        self._command = [program, "--folder", folder, "--listen", address]
        self._netns = netns
        self._process = None

    def start(self, *flags):
        with control_plane.inside(self._netns):
            # pylint: disable-next=subprocess-popen-preexec-fn
            self._process = subprocess.Popen(
                [*self._command, *map(str, flags)], stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, text=True, start_new_session=True,
                preexec_fn=control_plane.die_with_parent)
        # Its first line comes when it serves; none if it ended.
        if not self._process.stdout.readline():
            raise RuntimeError(f"fakeapi ended with {self._process.wait(_START_S)}")
        return self

    def stop(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    def _request(self, method, path, body=None, timeout_s=60):
        connection = _UnixConnection(os.path.join(self.folder, "control"), timeout_s)
        with contextlib.closing(connection):
            connection.request(method, f"/{path}", body)
            answer = connection.getresponse()
            document = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"fakeapi {path}: {document['error']}")
        return document

    def tell(self, command, timeout_s=60, **fields):
        return self._request("POST", command, json.dumps(fields), timeout_s)

    def stats(self):
        return self._request("GET", "stats")

    def put(self, *objects, pad=0):
        return self.tell("put", objects=objects, pad=pad)

    def delete(self, kind, name):
        return self.tell("delete", kind=kind, namespace=NAMESPACE, name=name)

    def fault(self, name, times=0, **fields):
        self.tell("fault", fault=name, times=times, **fields)

    def met(self, name):
        """How often a fault was met so far."""
        return self.stats()["faults"].get(name, 0)

    def wait_met(self, name, more_than, patience_s=RECONNECTED_S):
        eventually(lambda: self.met(name) > more_than, patience_s, f"sluiced met {name}")


def service(name, cluster_ip, **spec):
    """A Service of port 80; its endpoints are those of its slices."""
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"type": "ClusterIP", "clusterIP": cluster_ip, "clusterIPs": [cluster_ip],
                     "ipFamilies": ["IPv4"], "sessionAffinity": "None",
                     "internalTrafficPolicy": "Cluster",
                     "ports": [{"name": "main", "port": 80, "protocol": "TCP",
                                "targetPort": 8080}], **spec}}


def endpoint_slice(name, of_service, addresses):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": NAMESPACE,
                         "labels": {"kubernetes.io/service-name": of_service}},
            "addressType": "IPv4",
            "ports": [{"name": "main", "port": 8080, "protocol": "TCP"}],
            "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses]}


class ScriptedWorld(World):
    """One sluiced; its API has GENERATED Services, one that pods serve, and what tests add."""

    def __init__(self, prefix=PREFIX):
        super().__init__(prefix)
        self.api = None
        self._changes = 0

    def up(self, program, binaries):
        state = self.make_network()
        self.api = FakeApi(program, self.name(CONTROL),
                           f"{self.control_address}:{control_plane.API_PORT}", str(state / "api"))
        self.api.start("--services", GENERATED, "--endpoints", 3, "--node", NODE,
                       "--node-addresses",
                       ",".join(plan.node_address(NODE, family) for family in plan.FAMILIES))
        self.serve(POD, 8080)
        self.api.put(service("web", CLUSTER_IP))
        self._put_web(0)
        self.start_daemon(binaries, state, self.api.kubeconfig, self.api.token, SMALL)

    def down(self):
        try:
            super().down()
        finally:
            if self.api:
                self.api.stop()

    def _put_web(self, idle):
        """The pod of the stream, and some endpoints that nobody may be sent to meanwhile."""
        self.api.put(endpoint_slice("web-0", "web", [plan.pod_address(POD, 4), *(
            f"10.244.9.{i}" for i in range(1, idle + 1))]))

    @contextlib.contextmanager
    def stream(self):
        """A stream to a pod that stays, however its Service changes.

        If its endpoint left, a bitmap would go on to have its address, for the stream's sake.
        """
        self._put_web(0)
        self.daemon.wait_endpoints(_NAMESPACE, "web", [plan.pod_address(POD, 4)], RECONNECTED_S)
        with self.held_stream(CLUSTER_IP):
            yield

    def check_tables(self, patience_s=RECONNECTED_S, exact=True):
        super().check_tables(patience_s, exact)

    def change(self):
        """One of everything: what no watch tells of is told by the next list."""
        self._changes += 1
        n = self._changes
        self.api.put(service(f"new-{n}", f"10.96.201.{n}"))
        self.api.put(endpoint_slice(f"new-{n}", f"new-{n}", [f"10.244.8.{n}", f"10.244.7.{n}"]))
        if n > 1:
            self.api.delete("EndpointSlice", f"new-{n - 1}")
            self.api.delete("Service", f"new-{n - 1}")
        self._put_web(n % 3)
        self.api.tell("change", first=n, count=4)
        self.api.tell("change", first=n, count=4, what="service")
