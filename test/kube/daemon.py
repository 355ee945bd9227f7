# SPDX-License-Identifier: Apache-2.0
"""sluiced fed by the API server."""

import http.client

import sandbox.daemon
from sandbox.daemon import eventually


class KubeDaemon(sandbox.daemon.Daemon):
    """`kubeconfig` names the file `token`, which may be rewritten."""

    def __init__(self, binaries, namespace, instance, node, state, kubeconfig, token, flags=()):
        super().__init__(binaries, namespace, instance, node, None, state)
        self._flags = ["--instance", instance, "--node-name", node, "--source", "kube",
                       "--kubeconfig", kubeconfig, "--run-dir", str(state),
                       "--bpffs", sandbox.daemon.BPFFS, *flags]
        self._token = token
        self._blind = False
        self._log_start = 0

    def start(self, *extra, blind=False):
        """`blind`: without an API server it is ready as soon as it answers."""
        self._blind = blind
        self._log_start = len(self.read_log())
        return super().start(*extra)

    def _is_ready(self):
        if not self._blind:
            return super()._is_ready()
        try:
            return self.get("status")["pid"] == self.process.pid
        except (OSError, http.client.HTTPException):
            return False

    @property
    def pid(self):
        return self.process.pid

    def read_log(self):
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""

    def log_of_this_run(self):
        return self.read_log()[self._log_start:]

    def read_token(self):
        with open(self._token, encoding="utf-8") as f:
            return f.read()

    def write_token(self, text):
        with open(self._token, "w", encoding="utf-8") as f:
            f.write(text)

    # What is programmed, by the control socket

    def connected(self):
        return self.get("status")["source"]["connected"]

    def lists(self, kind):
        """How often a kind was listed."""
        kinds = self.get("status")["source"]["kinds"]
        return next(k["lists"] for k in kinds if k["kind"] == kind)

    def listed_by(self):
        """How the kinds came: of each "stream" or "pages"."""
        return {k["kind"]: k.get("listedBy") for k in self.get("status")["source"]["kinds"]}

    def service(self, ns, name):
        """A Service's document, or None."""
        return self.get(f"services/{ns.name}/{name}")

    def losses(self, reason):
        """Packets lost for a reason, over all Services and none."""
        return sum(loss["packets"] for loss in self.get("status")["losses"]
                   if loss["reason"] == reason)

    def wait_gone(self, ns, name, patience_s):
        """Deleted, or nothing of it is in the tables."""
        eventually(lambda: not (self.service(ns, name) or {}).get("ports"), patience_s,
                   f"Service {name} is gone")

    def wait_endpoints(self, ns, name, addresses, patience_s, chosen_from="cluster"):
        """Until every port's new connections go to these addresses and to no other."""
        def done():
            document = self.service(ns, name)
            return document and all(
                _chosen(port, chosen_from) == {a for a in addresses if _is_of(a, port["family"])}
                for port in document["ports"])

        eventually(done, patience_s, f"Service {name} has the endpoints {sorted(addresses)}")

    def wait_frontends(self, ns, name, addresses, there, patience_s):
        """Until the Service has all (or none) of these addresses."""
        def done():
            found = {_host(f["address"]) for port in self.service(ns, name)["ports"]
                     for f in port["frontends"]}
            return found >= set(addresses) if there else not found & set(addresses)

        eventually(done, patience_s, f"Service {name} has{'' if there else ' not'} {addresses}")


def _host(address):
    """The address of "1.2.3.4:80" or "[2001:db8::1]:80"."""
    return address.rpartition(":")[0].strip("[]")


def _is_of(address, family):
    return (":" in address) == (family == "IPv6")


def _chosen(port, chosen_from):
    return {_host(b["address"]) for b in port["backends"]
            if b["state"] == "live" and chosen_from in b["sets"]}
