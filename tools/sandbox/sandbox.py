# SPDX-License-Identifier: Apache-2.0
"""A topology with a worker in every namespace and sluiced on node1: what tests work with."""

import concurrent.futures
import dataclasses
import pathlib
import shutil

from . import manifests, netns, plan
from .daemon import Daemon, eventually
from .plan import FAMILIES
from .topology import Topology
from .traffic import TrafficWorker

STATE = pathlib.Path("/run/sluice-sandbox")
FIRST_NODE_PORT = 30000
_PORTS = {"http": ("TCP", 80, plan.TCP_PORT), "dns": ("UDP", 53, plan.UDP_PORT)}


@dataclasses.dataclass(frozen=True)
class Service:
    """Where a published Service answers; addresses by family."""

    name: str
    number: int
    node_port: int
    cluster_ip: dict
    vip: dict
    external_ip: dict

    def port(self, proto):
        return 80 if proto == "tcp" else 53


def service_of(name, number):
    def address(kind):
        return {family: plan.host(plan.NETWORKS[kind][family], number) for family in FAMILIES}

    return Service(name, number, FIRST_NODE_PORT + number, address("cluster"), address("vip"),
                   address("external"))


def service_objects(service, pods, ranges=(), local=False, affinity_s=0, annotations=None,
                    conditions=None):
    """Service and slices: TCP 80 and UDP 53 on every kind of frontend."""
    spec = {
        "type": "LoadBalancer",
        "clusterIP": service.cluster_ip[4],
        "clusterIPs": [service.cluster_ip[family] for family in FAMILIES],
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
        "externalIPs": [service.external_ip[family] for family in FAMILIES],
        "externalTrafficPolicy": "Local" if local else "Cluster",
        "ports": [{"name": name, "protocol": protocol, "port": port, "targetPort": target,
                   "nodePort": service.node_port}
                  for name, (protocol, port, target) in _PORTS.items()],
    }
    if ranges:
        spec["loadBalancerSourceRanges"] = list(ranges)
    if affinity_s:
        spec |= {"sessionAffinity": "ClientIP",
                 "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": affinity_s}}}
    ports = [(name, protocol, target) for name, (protocol, _, target) in _PORTS.items()]
    return [manifests.service(service.name, spec, service.vip.values(), annotations),
            *manifests.slices(service.name, ports, pods, **(conditions or {}))]


class Sandbox:
    """The network, the workers, and node1's sluiced. Whatever an earlier one of the same prefix
    left is removed first. Logs stay in the state folder until the next one.
    """

    def __init__(self, prefix, binaries, flags=(), **variant):
        self.topology = Topology(prefix, **variant)
        self.prefix = prefix
        self.state = STATE / prefix
        self.workers = {}
        self.folder = None
        self.daemon = Daemon(binaries, self.topology.name("node1"), prefix, "node1",
                             self.state / "manifests", self.state, flags)
        self._numbers = {}

    def __getitem__(self, namespace):
        """The worker of a namespace."""
        return self.workers[namespace]

    @property
    def binaries(self):
        return self.daemon.binaries

    def up(self):
        self.down()
        shutil.rmtree(self.state)
        self.state.mkdir()
        self.topology.up()
        names = [n for n in plan.NAMESPACES if n != plan.FABRIC]
        self.workers = {n: TrafficWorker(self.topology.name(n), n) for n in names}
        serving = [self.workers[pod].begin("serve", proto=proto, address=address, port=port)
                   for pods in plan.NODES.values() for pod in pods for family in FAMILIES
                   for address in [plan.pod_address(pod, family)]
                   for proto, port in (("tcp", plan.TCP_PORT), ("udp", plan.UDP_PORT))]
        concurrent.futures.wait(serving)
        for each in serving:
            each.result()
        self.folder = manifests.Folder(self.state / "manifests")
        self.folder.write("node", [manifests.node("node1")])
        return self

    def down(self):
        """Removes all of it, also what another process of this prefix made."""
        self.state.mkdir(parents=True, exist_ok=True)
        try:
            self.daemon.stop()
            netns.end_processes(self.prefix)
            self.daemon.cleanup()
        finally:
            for worker in self.workers.values():
                worker.close()
            self.topology.down()

    def forget(self):
        """Removes what down() leaves to look at: log and manifests."""
        shutil.rmtree(self.state, ignore_errors=True)

    def start(self, *extra):
        """Starts node1's sluiced on what was published."""
        self.daemon.start(*extra)
        return self

    def publish(self, name, pods, wait=True, **options):
        """Writes a Service's manifest, and waits until sluiced has programmed it."""
        number = self._numbers.setdefault(name, 11 + len(self._numbers))
        service = service_of(name, number)
        self.folder.write(name, service_objects(service, pods, **options))
        if wait and self.daemon.running():
            eventually(lambda: self._programmed(service, pods, options),
                       what=f"Service {name} has the endpoints {pods or 'none'} "
                            f"({self.daemon.last_words()})")
        return service

    def withdraw(self, name):
        self.folder.remove(name)
        if self.daemon.running():
            eventually(lambda: self.daemon.get(f"services/default/{name}") is None,
                       what=f"Service {name} is gone")

    def _programmed(self, service, pods, options):
        document = self.daemon.get(f"services/default/{service.name}")
        if not document or len(document["ports"]) != len(_PORTS) * len(FAMILIES):
            return False
        return all(_matches(port, pods, options) for port in document["ports"])


def _matches(port, pods, options):
    family = 4 if port["family"] == "IPv4" else 6
    number = plan.TCP_PORT if port["protocol"] == "TCP" else plan.UDP_PORT
    wanted = {f"{plan.pod_address(pod, family)}:{number}" if family == 4
              else f"[{plan.pod_address(pod, family)}]:{number}" for pod in pods}
    live = {backend["address"] for backend in port["backends"] if backend["state"] == "live"}
    limited = any((":" in each) == (family == 6) for each in options.get("ranges", ()))
    return (live == wanted and bool(port["sourceRanges"]) == limited
            and port["affinitySeconds"] == options.get("affinity_s", 0))
