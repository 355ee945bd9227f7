# SPDX-License-Identifier: Apache-2.0
"""ICMP errors about translated packets, as real senders need them: refused datagrams, the path's
MTU, and traceroute. Once with TC, with XDP, through a tunnel, and on a compatible node.

Beyond the client, which here is a router, is one more host, `far`. A smaller MTU is a locked one
of a route: it works one way and shows in no handshake.
"""

import re

import pytest

from checks import answered, ask, every_way, frontends, intact, port_of, refused
from sandbox import netns, plan
from sandbox.plan import FAMILIES
from sandbox.traffic import TrafficWorker

BULK = 2_000_000
SMALL_MTU = 1300
# What `far` downloads by has a smaller MTU on its way, which backends then remember.
UPLOADS, DOWNLOADS = 0x77, 0x78

VARIANTS = {
    "tc": ({}, ()),
    "xdp": ({"xdp": True}, ("--xdp", "on")),
    "vxlan": ({"between": "vxlan"}, ()),
    "compatible": ({}, ("--masquerade", "compatible")),
}


def far_address(family, number=UPLOADS):
    return plan.outside_address(family, number)


def far_routes(family, number):
    return f"{far_address(family, number)}/{plan.HOST_BITS[family]} dev far0"


def add_far(sandbox):
    """A host behind the client's namespace, which becomes a router."""
    name, client = sandbox.topology.name("far"), sandbox.topology.name(plan.CLIENT)
    netns.ip([f"netns add {name}"])
    netns.ip(["link set lo up",
              f"link add eth0 mtu 1500 type veth peer name far0 netns {client}",
              "link set eth0 up",
              *(f"addr add {far_routes(family, number).replace('far0', 'eth0')}"
                f"{' nodad' if family == 6 else ''}"
                for family in FAMILIES for number in (UPLOADS, DOWNLOADS))], name)
    netns.sysctl(client, {"ipv4/ip_forward": 1, "ipv6/conf/all/forwarding": 1})
    netns.ip(["link set far0 up", "addr add fe80::1/64 dev far0 nodad",
              *(f"route add {far_routes(family, number)}"
                for family in FAMILIES for number in (UPLOADS, DOWNLOADS))], client)
    netns.ip([f"route add {plan.client_address(4)} dev eth0",
              f"route add default via {plan.client_address(4)} src {far_address(4)}",
              f"route add default via fe80::1 dev eth0 src {far_address(6)}"], name)
    sandbox.workers["far"] = TrafficWorker(name, "far")


def set_route_mtu(sandbox, namespace, *routes):
    netns.ip([f"route change {route} mtu lock {SMALL_MTU}" for route in routes],
             sandbox.topology.name(namespace))


def send_all_errors(sandbox):
    """Without a limit of the senders, since tests come close together."""
    for namespace in ("far", plan.CLIENT, *plan.NODES, *(p for n in plan.NODES.values() for p in n)):
        netns.sysctl(sandbox.topology.name(namespace),
                     {"ipv4/icmp_ratelimit": 0, "ipv6/icmp/ratelimit": 0})


@pytest.fixture(scope="module", name="net", params=VARIANTS)
def _net(request, make_sandbox):
    variant, flags = VARIANTS[request.param]
    sandbox = make_sandbox(pods="routed", **({"between": "routes"} | variant))
    sandbox.variant = request.param
    add_far(sandbox)
    send_all_errors(sandbox)
    # Each upload has a Service of its own, since senders remember the MTU of an address; and what
    # serves downloads serves no uploads, since it remembers, too, and announces smaller segments.
    for name, pod in {"local": "pod11", "upload": "pod11", "download": "pod12", "closed": "pod13",
                      "remote": "pod21", "next_hop": "pod21", "behind": "pod21",
                      "inside": "pod21", "download_there": "pod22",
                      "closed_there": "pod22"}.items():
        setattr(sandbox, name, sandbox.publish(name.replace("_", "-"), [pod]))
    for pod in ("pod13", "pod22"):
        sandbox[pod].refuse(proto="udp")
    yield sandbox.start(*flags)
    sandbox.down()


def nodes_of(node, family):
    """Addresses by which a node may speak."""
    network = plan.POD_NETWORKS[node][family]
    return {plan.node_address(node, family), plan.gateway(node, family), plan.host(network, 0)}


def clients_of(family):
    return {plan.client_address(family)} | {plan.outside_address(family, n) for n in (1, 2, 3)}


def checksum_errors(net, namespace):
    def read(path):
        return netns.run(*netns.enter(net.topology.name(namespace)), "cat", path)

    names, values = [line.split() for line in read("/proc/net/snmp").splitlines()
                     if line.startswith("Icmp:")]
    v6 = re.search(r"^Icmp6InCsumErrors\s+(\d+)", read("/proc/net/snmp6"), re.M)
    return int(values[names.index("InCsumErrors")]) + int(v6[1])


def refused_everywhere(net, service):
    for family in FAMILIES:
        for kind, frontend in frontends(service, family).items():
            for who in ("far", "client", "pod11"):
                if who != "pod11" or kind == "cluster IP":
                    refused(ask(net[who], "udp", frontend))


def test_a_closed_port_of_a_local_backend_refuses_datagrams(net):
    refused_everywhere(net, net.closed)


def test_a_closed_port_of_a_remote_backend_refuses_datagrams(net):
    refused_everywhere(net, net.closed_there)


def known_mtu(net, namespace, address):
    route = netns.run("ip", "-n", net.topology.name(namespace), "route", "get", address)
    mtu = re.search(r" mtu (\d+)", route)
    return int(mtu[1]) if mtu else None


def test_a_smaller_mtu_on_the_way_to_the_client_is_learned_by_the_backend(net):
    for family in FAMILIES:
        client = far_address(family, DOWNLOADS)
        set_route_mtu(net, plan.CLIENT, far_routes(family, DOWNLOADS))
        for service, pod in ((net.download, "pod12"), (net.download_there, "pod22")):
            intact(net["far"].bulk(to=service.vip[family], port=80, size=BULK, source=client),
                   {pod})
        seen = plan.gateway("node1", family) if net.variant == "compatible" else client
        assert known_mtu(net, "pod12", seen) == SMALL_MTU


def learns(net, who, service, family, by, kind="VIP"):
    result = net[who].bulk(to=frontends(service, family)[kind][0], port=80, size=BULK)
    intact(result, {by})
    assert result["mtu"] == SMALL_MTU, result


def test_a_smaller_mtu_between_the_node_and_its_pod_is_learned_by_the_client(net):
    for family in FAMILIES:
        pod, link = plan.pod_address("pod11", family), net.topology.pod_link("pod11")
        set_route_mtu(net, "node1", f"{pod} dev {link}")
        learns(net, "far", net.upload, family, "pod11")


def test_a_smaller_mtu_behind_the_other_node_is_learned_by_the_client(net):
    for family in FAMILIES:
        pod, link = plan.pod_address("pod21", family), net.topology.pod_link("pod21")
        set_route_mtu(net, "node2", f"{pod} dev {link}")
        learns(net, "far", net.behind, family, "pod21")
        learns(net, "pod12", net.inside, family, "pod21", kind="cluster IP")


def test_a_smaller_mtu_towards_the_other_node_is_learned_by_the_client(net):
    for family in FAMILIES:
        network = plan.POD_NETWORKS["node2"][family]
        via = (f"{plan.host(network, 0)} dev flannel.1 onlink" if net.variant == "vxlan"
               else plan.node_address("node2", family))
        set_route_mtu(net, "node1", f"{network} via {via}")
        learns(net, "far", net.next_hop, family, "pod21")
        netns.ip([f"route change {network} via {via}"], net.topology.name("node1"))


def trace(net, who, proto, service, family, hops, by, kind="VIP"):
    """Each hop answers in its turn, the backend at last."""
    address, port = frontends(service, family)[kind][0], port_of(proto)
    for ttl, names in enumerate(hops, start=1):
        result = net[who].probe(proto=proto, to=address, port=port, ttl=ttl)
        assert result.get("errno") == "EHOSTUNREACH", f"hop {ttl}: {result}"
        assert result["hop"] in names, f"hop {ttl}: {result}, not of {names}"
    answered(net[who].probe(proto=proto, to=address, port=port, ttl=len(hops) + 1), {by})


def test_traceroute_from_outside_to_a_local_backend(net):
    every_way(lambda proto, family: trace(
        net, "far", proto, net.local, family,
        [clients_of(family), nodes_of("node1", family)], "pod11"))


def test_traceroute_from_outside_to_a_remote_backend(net):
    every_way(lambda proto, family: trace(
        net, "far", proto, net.remote, family,
        [clients_of(family), nodes_of("node1", family), nodes_of("node2", family)], "pod21"))


def test_traceroute_of_a_pod_to_a_remote_backend(net):
    every_way(lambda proto, family: trace(
        net, "pod12", proto, net.remote, family,
        [nodes_of("node1", family), nodes_of("node2", family)], "pod21", kind="cluster IP"))


def test_no_error_had_a_wrong_checksum(net):
    for namespace in ("far", plan.CLIENT, "pod11", "pod12", "pod21"):
        assert checksum_errors(net, namespace) == 0, namespace
