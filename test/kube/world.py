# SPDX-License-Identifier: Apache-2.0
"""A sandbox with a control plane beside its nodes: pods exist in the API and as namespaces."""

import contextlib
import shutil

import control_plane
import objects
from daemon import KubeDaemon
from sandbox import netns, plan
from sandbox.sandbox import STATE
from sandbox.topology import Topology
from sandbox.traffic import TrafficWorker
from twin import Twin

PREFIX = "sl-kube"
CONTROL = "control"
CONTROL_NUMBER = 100  # its last number on the nodes' link
NODE = "node1"  # where sluiced runs

# How long a change may take from the slices to the tables. sluiced reads a watch
# of its own, so it may know a little later than we do; and the machine is busy.
PROGRAMMED_S = 5
# The same after an outage: sluiced tries again in steps that grow up to a minute.
RECONNECTED_S = 75
# Until a dead connection is noticed: 45 s, and the machine is busy.
NOTICED_S = 75
# How long to wait where nothing must happen.
SETTLE_S = 0.5
# How long to wait for an answer that must not come.
SILENCE_S = 0.6


class World:
    """Whatever an earlier one left is removed first. Logs stay until the next one."""

    def __init__(self, prefix=PREFIX):
        self.prefix = prefix
        self.topology = Topology(prefix)
        self._workers = {}
        self._serving = set()
        self.daemon = None
        self.twin = None
        self.control_plane = None

    def up(self, program, binaries):
        state = self.make_network()
        self.control_plane = control_plane.ControlPlane(
            program, self.name(CONTROL), self.control_address, f"/dev/shm/{self.prefix}", state)
        self.control_plane.start()
        for zone, node in enumerate(plan.NODES):
            objects.make_node(self.control_plane.api, node,
                              [plan.node_address(node, f) for f in plan.FAMILIES], f"zone{zone}")
        self.start_daemon(binaries, state, *self.control_plane.token_kubeconfig())

    def start_daemon(self, binaries, state, kubeconfig, token, flags=()):
        where = (binaries, self.name(NODE), self.prefix, NODE, state, kubeconfig, token)
        self.twin = Twin(*where, flags)
        self.daemon = KubeDaemon(*where, flags)
        # What a run that was cut short left behind would count as ours.
        self.daemon.cleanup()
        self.daemon.start()

    def down(self):
        try:
            if self.daemon:
                self.twin.remove()
                self.daemon.stop()
                self.daemon.cleanup()
        finally:
            if self.control_plane:
                self.control_plane.stop()
            for worker in self._workers.values():
                worker.close()
            self.topology.down()

    def make_network(self):
        """Returns a new folder for logs."""
        state = STATE / self.prefix
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir(parents=True)
        self.topology.up()
        self._attach_control()
        return state

    def _attach_control(self):
        """One more machine on the nodes' link, which also knows the way to the pods."""
        name, fabric = self.name(CONTROL), self.name(plan.FABRIC)
        netns.ip([f"netns add {name}",
                  f"link add {CONTROL} netns {fabric} type veth peer name eth0 netns {name}"])
        netns.ip([f"link set {CONTROL} master br0 up"], fabric)
        bits = plan.length(plan.NETWORKS["nodes"][4])
        netns.ip(["link set lo up", "link set eth0 up",
                  f"addr add {self.control_address}/{bits} dev eth0",
                  *(f"route add {plan.POD_NETWORKS[node][4]} via {plan.node_address(node, 4)}"
                    for node in plan.NODES)], name)

    @property
    def control_address(self):
        return plan.host(plan.NETWORKS["nodes"][4], CONTROL_NUMBER)

    def name(self, namespace):
        return self.topology.name(namespace)

    # The way from node1 to the API server

    def cut(self):
        """Refuses node1's connections to the API server, the open ones too."""
        self._bar("reject with tcp reset")
        netns.run(*netns.enter(self.name(CONTROL)), "ss", "-K", "dst", self._node_address)

    def swallow(self):
        """What node1 sends to the API server is lost without a word."""
        self._bar("drop")

    @property
    def _node_address(self):
        return plan.node_address(NODE, 4)

    def _bar(self, verdict):
        netns.run(*netns.enter(self.name(CONTROL)), "nft", "-f", "-", stdin=f"""
            table inet cut {{
                chain input {{
                    type filter hook input priority 0
                    ip saddr {self._node_address} tcp dport {control_plane.API_PORT} {verdict}
                }}
            }}""")

    def mend(self):
        netns.run(*netns.enter(self.name(CONTROL)), "nft", "flush", "ruleset")

    def restore(self, ns):
        """Everything runs and follows the API again, whatever a test that failed left."""
        self.mend()
        if self.control_plane.running("kube-apiserver"):
            self.control_plane.thaw_apiserver()
        self.control_plane.start_again()
        if not self.daemon.running():
            self.daemon.start(blind=True)
        # Connected does not mean up to date: only what arrives by both watches shows that.
        ns.service("probe", [objects.port(80)], selector=None)
        for family in plan.FAMILIES:
            ns.slice(f"probe-v{family}", "probe", f"IPv{family}",
                     [plan.pod_address("pod11", family)], 80)
        self.programmed(ns, "probe", ["pod11"], RECONNECTED_S)

    # Traffic

    def worker(self, who):
        if who not in self._workers:
            self._workers[who] = TrafficWorker(self.name(who), who)
        return self._workers[who]

    def serve(self, pod, number):
        """The pod answers on a port, in both protocols and families."""
        if (pod, number) in self._serving:
            return
        self._serving.add((pod, number))
        for proto in ("tcp", "udp"):
            for address in addresses([pod]):
                self.worker(pod).serve(proto=proto, address=address, port=number)

    def ask(self, who, address, number, protocol="TCP"):
        """Who answers one connection, or its errno."""
        answer = self.worker(who).ask(proto=protocol.lower(), to=address, port=number)
        return answer.get("name") or answer["errno"]

    def answers(self, who, address, number):
        """True if anybody answers soon; for what must not."""
        answer = self.worker(who).ask(proto="tcp", to=address, port=number, timeout_s=SILENCE_S)
        return "name" in answer

    def begin_asking(self, who, address, number, count):
        """Goes on meanwhile; the future's result is that of `answering`."""
        return self.worker(who).begin("spread", proto="tcp", to=address, port=number, count=count)

    def answering(self, who, to, number, count=40):
        """Who answers `count` connections to each of some addresses, failures by their errno."""
        begun = [self.begin_asking(who, address, number, count) for address in to]
        return {answer for each in begun for answer in each.result(60)}

    @contextlib.contextmanager
    def held_stream(self, cluster_ip, number=80):
        """A TCP stream from pod12 through a cluster IP, which loses nothing meanwhile."""
        worker = self.worker("pod12")
        first = worker.hold(key="stream", proto="tcp", to=cluster_ip, port=number, count=1,
                            interval_s=0.05)
        assert not first["broken"], first
        try:
            yield
            last = worker.held(key="stream")
        finally:
            worker.release(key="stream")
        assert not last["broken"] and last["moved"] == 0, last
        assert last["echoes"] > first["echoes"], "the stream stood still"

    def check_tables(self, patience_s=RECONNECTED_S, exact=False):
        """Waits until the tables are those of a fresh start; fails with what differs."""
        self.twin.compare(self.daemon.instance, patience_s, exact)

    # The API

    def run_pods(self, ns, app, pods, number, name="main"):
        """Pods APP-POD in the API, with servers behind them. Returns `pods`."""
        for pod in pods:
            self.serve(pod, number)
            ns.pod(f"{app}-{pod}", plan.node_of(pod), addresses([pod]), app,
                   [(name, number, "TCP"), (f"{name}-udp", number, "UDP")])
        return pods

    def programmed(self, ns, service, pods, patience_s=PROGRAMMED_S):
        """Waits for the slices, then for sluiced to have done what they say."""
        ns.wait_ready(service, addresses(pods))
        self.daemon.wait_endpoints(ns, service, addresses(pods), patience_s)


def addresses(pods):
    return [plan.pod_address(pod, family) for pod in pods for family in plan.FAMILIES]
