# SPDX-License-Identifier: Apache-2.0
"""Builds the network of plan.py.

Variants:
    pods     "routed"  each pod's veth is a link of its own, as CNI ptp makes it
             "bridge"  node1's pods hang on a bridge, cni0
    between  "routes"  node2's pods are reached by plain routes
             "vxlan"   through a VXLAN device with fixed neighbours, as flannel has it
    xdp      True: frames towards node1's uplink are finished ones (checksums, no GSO), as
             they come off a wire, and its peer takes frames that XDP sends back
"""

from . import netns, plan, xdp
from .plan import FAMILIES, HOST_BITS, NODES

VXLAN = "flannel.1"
VXLAN_MTU = 1450
_STRICT_RP_FILTER = 1


class Topology:
    def __init__(self, prefix, pods="routed", between="routes", xdp=False):
        self.prefix = prefix
        self.pods = pods
        self.between = between
        self.xdp = xdp

    def name(self, namespace):
        return f"{self.prefix}-{namespace}"

    def up(self):
        """Builds it; what an earlier run of the same prefix left is removed first."""
        self.down()
        netns.ip([f"netns add {self.name(n)}" for n in plan.NAMESPACES])
        for namespace in plan.NAMESPACES:
            netns.sysctl(self.name(namespace), _sysctls(namespace))
            netns.ip(["link set lo up"], self.name(namespace))
        self._fabric()
        self._client()
        for node in NODES:
            self._node(node)
            for pod in NODES[node]:
                self.attach_pod(pod)
            if self.between == "vxlan":
                self._vxlan(node)
            else:
                self._routes(node)
        if self.xdp:
            self._finish_frames()
        return self

    def down(self):
        return netns.remove(self.prefix)

    def _fabric(self):
        fabric = self.name(plan.FABRIC)
        netns.ip(["link add br0 type bridge forward_delay 0 mcast_snooping 0",
                  "link set br0 up"], fabric)
        for end in (plan.CLIENT, *NODES):
            netns.ip([f"link add {end} netns {fabric} type veth "
                      f"peer name eth0 netns {self.name(end)}"])
            netns.ip([f"link set {end} master br0 up"], fabric)

    def _client(self):
        lines = ["link set eth0 up"]
        for family in FAMILIES:
            bits = plan.length(plan.NETWORKS["nodes"][family])
            node1 = plan.node_address("node1", family)
            lines.append(f"addr add {plan.client_address(family)}/{bits} dev eth0{_nodad(family)}")
            lines += [f"addr add {plan.outside_address(family, n)}/{HOST_BITS[family]} dev lo"
                      f"{_nodad(family)}" for n in (1, 2, 3)]
            lines += [f"route add {plan.NETWORKS[kind][family]} via {node1}"
                      for kind in ("cluster", "vip", "external")]
            lines += [f"route add {plan.POD_NETWORKS[node][family]} "
                      f"via {plan.node_address(node, family)}" for node in NODES]
        netns.ip(lines, self.name(plan.CLIENT))

    def _node(self, node):
        lines = ["link set eth0 up"]
        for family in FAMILIES:
            bits = plan.length(plan.NETWORKS["nodes"][family])
            lines += [f"addr add {plan.node_address(node, family)}/{bits} dev eth0"
                      f"{_nodad(family)}",
                      f"route add default via {plan.client_address(family)}"]
        if self._bridged(node):
            lines.append("link add cni0 type bridge forward_delay 0 mcast_snooping 0")
            for family in FAMILIES:
                bits = plan.length(plan.POD_NETWORKS[node][family])
                lines.append(f"addr add {plan.gateway(node, family)}/{bits} dev cni0"
                             f"{_nodad(family)}")
            lines.append("link set cni0 up")
        netns.ip(lines, self.name(node))

    def attach_pod(self, pod):
        """Makes a pod's link. The pod's namespace is there already."""
        node = plan.node_of(pod)
        bridged = self._bridged(node)
        link = self.pod_link(pod)
        netns.ip([f"link add {link} netns {self.name(node)} type veth "
                  f"peer name eth0 netns {self.name(pod)}"])
        host_lines, pod_lines = [], ["link set eth0 up"]
        if self.between == "vxlan":
            host_lines.append(f"link set {link} mtu {VXLAN_MTU}")
            pod_lines.append(f"link set eth0 mtu {VXLAN_MTU}")
        host_lines.append(f"link set {link} {'master cni0 ' if bridged else ''}up")
        for family in FAMILIES:
            address, via = plan.pod_address(pod, family), plan.gateway(node, family)
            bits = HOST_BITS[family]
            if bridged:
                bits = plan.length(plan.POD_NETWORKS[node][family])
            else:
                host_lines += [f"addr add {via}/{bits} dev {link}{_nodad(family)}",
                               f"route add {address}/{bits} dev {link}"]
                pod_lines.append(f"route add {via}/{bits} dev eth0")
            pod_lines += [f"addr add {address}/{bits} dev eth0{_nodad(family)}",
                          f"route add default via {via} src {address}"]
        netns.ip(host_lines, self.name(node))
        netns.ip(sorted(pod_lines, key=_addresses_first), self.name(pod))

    def detach_pod(self, pod):
        netns.ip([f"link delete {self.pod_link(pod)}"], self.name(plan.node_of(pod)))

    def pod_link(self, pod):
        """The name of the host's side of a pod's link."""
        return f"veth{pod.removeprefix('pod')}"

    def _bridged(self, node):
        return self.pods == "bridge" and node == "node1"

    def _routes(self, node):
        netns.ip([f"route add {plan.POD_NETWORKS[other][family]} "
                  f"via {plan.node_address(other, family)}"
                  for other in NODES if other != node for family in FAMILIES], self.name(node))

    def _vxlan(self, node):
        lines = [f"link add {VXLAN} address {_vxlan_mac(node)} mtu {VXLAN_MTU} type vxlan id 1 "
                 f"dev eth0 local {plan.node_address(node, 4)} dstport 8472 nolearning"]
        for family in FAMILIES:
            own = plan.host(plan.POD_NETWORKS[node][family], 0)
            lines.append(f"addr add {own}/{HOST_BITS[family]} dev {VXLAN}{_nodad(family)}")
        lines.append(f"link set {VXLAN} up")
        others = [other for other in NODES if other != node]
        for other in others:
            for family in FAMILIES:
                network = plan.POD_NETWORKS[other][family]
                lines += [f"neigh add {plan.host(network, 0)} lladdr {_vxlan_mac(other)} "
                          f"dev {VXLAN} nud permanent",
                          f"route add {network} via {plan.host(network, 0)} dev {VXLAN} onlink"]
        netns.ip(lines, self.name(node))
        for other in others:
            netns.run("bridge", "-n", self.name(node), "fdb", "add", _vxlan_mac(other),
                      "dev", VXLAN, "dst", plan.node_address(other, 4))

    def _finish_frames(self):
        for sender in (plan.CLIENT, *NODES):
            netns.run(*netns.enter(self.name(sender)), "ethtool", "-K", "eth0",
                      "tx", "off", "gso", "off", "tso", "off")
        xdp.attach_pass(self.name(plan.FABRIC), "node1")


def _sysctls(namespace):
    routes = int(namespace in NODES)
    settings = {
        "ipv6/conf/all/disable_ipv6": 0,
        "ipv6/conf/default/disable_ipv6": 0,
        # Addresses are unique by plan; waiting for the proof takes seconds.
        "ipv6/conf/all/accept_dad": 0,
        "ipv6/conf/default/accept_dad": 0,
        "ipv4/ip_forward": routes,
        "ipv6/conf/all/forwarding": routes,
        "ipv4/conf/all/rp_filter": _STRICT_RP_FILTER,
        "ipv4/conf/default/rp_filter": _STRICT_RP_FILTER,
    }
    if namespace == plan.FABRIC:
        settings |= {"ipv6/conf/all/disable_ipv6": 1, "ipv6/conf/default/disable_ipv6": 1}
    return settings


def _nodad(family):
    return " nodad" if family == 6 else ""


def _addresses_first(line):
    """Routes with a source need the address first, and gateways the route to them."""
    return ("link" not in line, not line.startswith("addr"), "default" in line)


def _vxlan_mac(node):
    return f"02:00:0a:f4:{list(NODES).index(node) + 1:02x}:00"
