# SPDX-License-Identifier: Apache-2.0
"""Who is measured: sluiced, kube-proxy and the floor, all by the same calls.

Each runs alone on the node. A candidate says when something was in force: for a proxy that is
what the prober met, for the floor when the line of its watch arrived. Times are CLOCK_MONOTONIC
nanoseconds.
"""

import os
import re
import subprocess
import time

from daemon import KubeDaemon
from sandbox import netns

from . import documents, network
from .clusters import NODE
from .prober import Lines

_PATIENCE_S = 120
_POLL_S = 0.005


class Candidate:
    """A process in the node's namespace, in a control group of its own."""

    name = None
    # Seconds between changes, least and most. kube-proxy waits a second between two syncs; a
    # change that had to wait for that would be measured as slower than it is.
    pause_s = (0.1, 0.2)
    stdout = subprocess.DEVNULL

    def __init__(self, setup):
        self.setup = setup
        self.log = setup.logs / f"{self.name}.log"
        self.process = None
        self.began_ns = 0

    def command(self):
        raise NotImplementedError

    def start(self):
        """Does not wait for anything."""
        def prepare():
            os.sched_setaffinity(0, self.setup.cpus)
            self.setup.group.enter()

        self.clean()
        with open(self.log, "ab") as log:
            self.began_ns = time.monotonic_ns()
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=self.stdout, stderr=log,
                text=True, start_new_session=True, preexec_fn=prepare)

    def stop(self):
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
        self.clean()

    def clean(self):
        """Removes what it left in the kernel."""

    def mark(self):
        raise NotImplementedError

    def wait_all(self):
        """When all that there is was in force."""
        raise NotImplementedError

    def wait_change(self, mark, group, there, version):
        """When a change of this version was in force: `group` answers, or ceased to."""
        raise NotImplementedError

    def binary_bytes(self):
        return os.stat(f"/proc/{self.process.pid}/exe").st_size


class _Proxy(Candidate):
    """A candidate that forwards packets."""

    def mark(self):
        return self.setup.prober.lines.mark()

    def wait_all(self):
        mark = self.mark()
        self.setup.prober.ask(documents.PROBED_ADDRESS)
        at = self.wait_change(mark, documents.KEPT, True, None)
        looked = at
        deadline = time.monotonic() + _PATIENCE_S
        while not self.has_all():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} has not all Services: see {self.log}")
            time.sleep(_POLL_S)
            looked = time.monotonic_ns()
        return looked

    def has_all(self):
        """Whether its tables have every Service, not only the one that answers."""
        raise NotImplementedError

    def wait_change(self, mark, group, there, version):
        del version
        event = "appeared" if there else "vanished"
        line = self.setup.prober.lines.wait(mark, _PATIENCE_S, f"{self.name}: group {group} "
                                            f"{event}; see {self.log}", event=event, group=group)
        return line["received"]


class Sluice(_Proxy):
    name = "sluice"

    def __init__(self, setup):
        super().__init__(setup)
        self._daemon = KubeDaemon(setup.binaries, network.name(network.NODE), network.PREFIX, NODE,
                                  setup.logs, str(setup.cluster.kubeconfig()), None)

    def command(self):
        return self._daemon.command(
            "--interfaces", "api0=none,eth0=uplink,pod0=pod",
            "--timeout-udp", str(network.UDP_TIMEOUT_S),
            "--timeout-udp-new", str(network.UDP_TIMEOUT_S), *self._sizes())

    def _sizes(self):
        """Flags for what is too small by default, with room for changes."""
        text = netns.run(str(self.setup.binaries / "sluiced"), "--print-defaults")
        services, endpoints = self.setup.cluster.services + 300, self.setup.cluster.endpoints
        slots = next(1 << i for i in range(8, 20) if 1 << i >= 100 * endpoints)
        # A cluster IP has a frontend for its port and one for all others.
        needed = {"Services": services, "Frontends": 2 * services,
                  "Backends": services * endpoints + 2000,
                  "MaglevSlots": services * slots * 11 // 10}
        flags = []
        for what, number in needed.items():
            default = int(re.search(rf"^max{what}: (\d+)$", text, re.M)[1])
            if number > default:
                words = re.sub("([A-Z])", r"-\1", what).lower()
                flags += [f"--max{words}", str(number)]
        return flags

    def has_all(self):
        programmed = self._daemon.get("status")["programmed"]
        return (programmed["services"] >= self.setup.cluster.services
                and programmed["pending"] == 0 and programmed["failed"] == 0)

    def clean(self):
        self._daemon.cleanup()


class KubeProxy(_Proxy):
    name = "kube-proxy-nftables"
    pause_s = (1.2, 1.4)

    def command(self):
        return [*netns.enter(network.name(network.NODE)), self.setup.kube_proxy,
                "--kubeconfig", str(self.setup.cluster.kubeconfig()),
                "--hostname-override", NODE, "--proxy-mode=nftables",
                "--cluster-cidr", network.CLUSTER_CIDR,
                # What is the machine's is left alone.
                "--conntrack-max-per-core=0", "--conntrack-min=0",
                "--conntrack-tcp-timeout-established=0s",
                "--conntrack-tcp-timeout-close-wait=0s",
                "--healthz-bind-address=127.0.0.1:10256",
                "--metrics-bind-address=127.0.0.1:10249"]

    def has_all(self):
        listed = self._nft("-j", "list", "map", "ip", "kube-proxy", "service-ips")
        return listed.count('"goto"') >= self.setup.cluster.services

    def clean(self):
        for family in ("ip", "ip6"):
            if "kube-proxy" in self._nft("list", "tables", family):
                self._nft("delete", "table", family, "kube-proxy")

    @staticmethod
    def _nft(*words):
        return netns.run(*netns.enter(network.name(network.NODE)), "nft", *words)


class Floor(Candidate):
    name = "floor"
    # What sluiced asks for, and how: see controlplane/source.
    like_sluiced = ("--http", "2", "--stream")
    stdout = subprocess.PIPE

    def __init__(self, setup):
        super().__init__(setup)
        self._lines = None

    def command(self):
        return [*netns.enter(network.name(network.NODE)), self.setup.binaries / "scale-floor",
                *self.setup.cluster.floor_flags(), "--node", NODE, *self.like_sluiced]

    def start(self):
        super().start()
        self._lines = Lines(self.process.stdout)

    def stop(self):
        super().stop()
        if self._lines:
            self._lines.close()
            self._lines = None

    def mark(self):
        return self._lines.mark()

    def wait_all(self):
        return self._lines.wait(0, _PATIENCE_S, f"the floor has all; see {self.log}",
                                event="synced")["at"]

    def wait_change(self, mark, group, there, version):
        line = self._lines.wait(mark, _PATIENCE_S, f"the floor's watch has version {version}; "
                                f"see {self.log}", event="line", version=version)
        return line["at"]


def make(against, setup):
    """The candidates of a run, in the order of the table's columns."""
    kinds = [Sluice, *([KubeProxy] if against == KubeProxy.name else []), Floor]
    return [kind(setup) for kind in kinds]
