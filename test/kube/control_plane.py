# SPDX-License-Identifier: Apache-2.0
"""etcd, kube-apiserver and kube-controller-manager as plain processes.

They run in a network namespace of the caller's. All their state is a folder on
a tmpfs. There is no scheduler and no kubelet: pods are objects that name their
node and whose status the tests write; the EndpointSlices are the real
controller's.
"""

import base64
import contextlib
import ctypes
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess

import api
import pki
from sandbox.daemon import eventually

SERVICE_RANGES = "10.96.0.0/16,fd00:10:96::/112"
SERVICE = "10.96.0.1"  # the API server's own, default/kubernetes
POD_RANGES = "10.244.0.0/16,fd00:10:244::/56"
API_PORT = 26443
ETCD_PORT = 22379  # and the next one
CONTROLLERS_PORT = 26257

# The account that sluiced reads the API with.
ACCOUNT = ("kube-system", "sluiced")

# No kubelet sends heartbeats: these would call every node lost after 50 s and
# every endpoint with it.
_CONTROLLERS = ("*,-node-lifecycle-controller,-taint-eviction-controller,"
                "-pod-garbage-collector-controller")

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1


@contextlib.contextmanager
def inside(netns):
    """This thread in the named network namespace; sockets made there stay in it."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{netns}", os.O_RDONLY)
    try:
        if _libc.setns(there, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {netns}")
        try:
            yield
        finally:
            if _libc.setns(home, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), f"setns back from {netns}")
    finally:
        os.close(there)
        os.close(home)


def connector(netns, timeout_s=30):
    """A function that connects from a network namespace."""
    def connect(host, port):
        with inside(netns):
            sock = socket.create_connection((host, port), timeout=timeout_s)
        # Else a request's body waits 40 ms for the acknowledgement of its head.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    return connect


def die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ControlPlane:
    """`program` is what build made; `address` is one of `netns`, which exists. `folder` is made
    anew and belongs on a tmpfs; logs go to `logs`, which stay. `bare`: etcd and kube-apiserver
    only, and no account.
    """

    def __init__(self, program, netns, address, folder, logs, bare=False):
        self.netns, self.address = netns, address
        self.folder, self.logs = folder, logs
        self.bare = bare
        self._program = program
        self._processes = {}
        self._connect = connector(netns)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder, mode=0o700)
        names = [f"IP:{address}", f"IP:{SERVICE}"]
        self.pki = pki.Pki(os.path.join(self.folder, "pki"), names)
        self.api = self.client()

    # Processes

    def start(self):
        try:
            self.start_etcd()
            self.start_apiserver()
            if not self.bare:
                self._make_account()
        except BaseException:
            self.stop()
            raise

    def stop(self):
        """Ends all three and removes their state, but for the logs."""
        self.api.close()
        for name in ("kube-controller-manager", "kube-apiserver", "etcd"):
            self.kill(name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def kill(self, name):
        process = self._processes.pop(name, None)
        if name == "kube-apiserver":
            self.api.close()
        if process:
            process.kill()
            process.wait()

    def running(self, name):
        return name in self._processes and self._processes[name].poll() is None

    def pids(self):
        return [process.pid for process in self._processes.values()]

    def client(self):
        """Another client of the API, with a connection of its own."""
        return api.Api(self.address, API_PORT, self.pki, "admin", self._connect)

    def kill_apiserver(self):
        self.kill("kube-apiserver")

    def start_again(self):
        """Whatever was killed."""
        if not self.running("etcd"):
            self.start_etcd()
        if not self.running("kube-apiserver"):
            self.start_apiserver()
        eventually(self._apiserver_ready, 120, "kube-apiserver is ready")

    def freeze_apiserver(self):
        """It lives, and its machine acknowledges what it is sent; that is all."""
        self._processes["kube-apiserver"].send_signal(signal.SIGSTOP)

    def thaw_apiserver(self):
        self._processes["kube-apiserver"].send_signal(signal.SIGCONT)

    def log(self, name):
        return os.path.join(self.logs, f"{name}.log")

    def _run(self, name, *flags):
        with open(self.log(name), "ab") as log, inside(self.netns):
            # The child is born in the namespace that this thread is in.
            self._processes[name] = subprocess.Popen(
                [self._program, name, *flags], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=die_with_parent)

    def _alive(self, name):
        """Raises when the process ended by itself."""
        if self._processes[name].poll() is not None:
            with open(self.log(name), errors="replace") as f:
                last = f.read().strip().rpartition("\n")[2]
            raise RuntimeError(f"{name} ended: {last}")

    def start_etcd(self):
        client, peer = (f"http://127.0.0.1:{ETCD_PORT + i}" for i in (0, 1))
        self._run("etcd", "--data-dir", os.path.join(self.folder, "etcd"), "--unsafe-no-fsync",
                  "--listen-client-urls", client, "--advertise-client-urls", client,
                  "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                  "--initial-cluster", f"default={peer}", "--log-level", "warn")
        eventually(lambda: self._alive("etcd") or self._etcd_ready(), 60, "etcd is ready")

    def _etcd(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", ETCD_PORT)
        connection.sock = self._connect("127.0.0.1", ETCD_PORT)
        with contextlib.closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            document = json.loads(answer.read())
        if answer.status != 200:
            raise RuntimeError(f"etcd {path}: {answer.status}: {document}")
        return document

    def _etcd_ready(self):
        try:
            return self._etcd("GET", "/health")["health"] == "true"
        except (OSError, RuntimeError):
            return False

    def compact(self):
        """Forgets every revision but the present one: older watches get 410."""
        now = self._etcd("POST", "/v3/kv/range", {"key": base64.b64encode(b"x").decode()})
        self._etcd("POST", "/v3/kv/compaction",
                   {"revision": now["header"]["revision"], "physical": True})

    def start_apiserver(self, *flags):
        path = self.pki.path
        self._run("kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{ETCD_PORT}",
                  "--bind-address", self.address, "--secure-port", str(API_PORT),
                  "--advertise-address", self.address,
                  "--tls-cert-file", path("apiserver.crt"),
                  "--tls-private-key-file", path("apiserver.key"),
                  "--client-ca-file", path("ca.crt"),
                  "--service-cluster-ip-range", SERVICE_RANGES,
                  "--service-account-issuer", "https://kubernetes.default.svc",
                  "--service-account-key-file", path("tokens.pub"),
                  "--service-account-signing-key-file", path("tokens.key"),
                  "--authorization-mode", "Node,RBAC",
                  # Pods need no account's token here, so they need not wait for one.
                  "--disable-admission-plugins", "ServiceAccount",
                  "--profiling=false", *flags)
        eventually(self._apiserver_ready, 120, "kube-apiserver is ready")
        if not self.bare:
            self._start_controllers()

    def _apiserver_ready(self):
        self._alive("kube-apiserver")
        try:
            # Its answer is the word "ok", which is no JSON document.
            return self.api.request("GET", "/readyz")
        except (OSError, http.client.HTTPException, api.ApiError):
            return None

    def _start_controllers(self):
        # Those of an earlier API server would come back only after their own back-off.
        self.kill("kube-controller-manager")
        config = self.kubeconfig("controllers")
        self._run("kube-controller-manager", "--kubeconfig", config,
                  "--bind-address", "127.0.0.1", "--secure-port", str(CONTROLLERS_PORT),
                  "--leader-elect=false",
                  # An account and a token for each controller would take seconds.
                  "--use-service-account-credentials=false",
                  "--service-account-private-key-file", self.pki.path("tokens.key"),
                  "--root-ca-file", self.pki.path("ca.crt"),
                  "--cluster-cidr", POD_RANGES, "--service-cluster-ip-range", SERVICE_RANGES,
                  "--allocate-node-cidrs=false", "--controllers", _CONTROLLERS)

    # Users

    def _certificate(self, user):
        return {"client-certificate": self.pki.path(f"{user}.crt"),
                "client-key": self.pki.path(f"{user}.key")}

    def _write_kubeconfig(self, path, user):
        server = {"server": f"https://{self.address}:{API_PORT}",
                  "certificate-authority": self.pki.path("ca.crt")}
        # JSON is YAML.
        document = {"apiVersion": "v1", "kind": "Config", "current-context": "test",
                    "clusters": [{"name": "test", "cluster": server}],
                    "users": [{"name": "user", "user": user}],
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}]}
        with open(path, "w") as f:
            json.dump(document, f, indent=2)

    def kubeconfig(self, user="admin"):
        """Of a user that has a certificate."""
        path = os.path.join(self.folder, f"{user}.kubeconfig")
        self._write_kubeconfig(path, self._certificate(user))
        return path

    def token_kubeconfig(self, name="sluiced"):
        """For sluiced: returns the paths of the kubeconfig and of the token file it names."""
        path = os.path.join(self.folder, f"{name}.kubeconfig")
        token = os.path.join(self.folder, f"{name}.token")
        with open(token, "w") as f:
            f.write(self.token() + "\n")
        self._write_kubeconfig(path, {"tokenFile": token})
        return path, token

    def token(self, seconds=3600):
        namespace, name = ACCOUNT
        document = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                    "spec": {"expirationSeconds": seconds}}
        where = api.path_of("ServiceAccount", namespace, name, "token")
        return self.api.request("POST", where, document)["status"]["token"]

    def _make_account(self):
        namespace, name = ACCOUNT

        # The API server makes its own namespaces and roles soon after it is ready.
        def made():
            try:
                self.api.get("Namespace", None, namespace)
                return self.api.request(
                    "GET", "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node-proxier")
            except api.ApiError as e:
                if e.status != 404:
                    raise
                return None

        eventually(made, 60, "the API server made namespace kube-system and its roles")
        self.api.create({"apiVersion": "v1", "kind": "ServiceAccount",
                         "metadata": {"name": name, "namespace": namespace}})
        self.api.create({"apiVersion": "rbac.authorization.k8s.io/v1",
                         "kind": "ClusterRoleBinding", "metadata": {"name": name},
                         "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
                                     "kind": "ClusterRole", "name": "system:node-proxier"},
                         "subjects": [{"kind": "ServiceAccount", "name": name,
                                       "namespace": namespace}]})
