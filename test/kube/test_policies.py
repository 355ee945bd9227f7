# SPDX-License-Identifier: Apache-2.0
"""Which endpoints a Service's fields and labels choose, as the real controllers see them."""

import contextlib
import http.client

import pytest

import control_plane
from api import ApiError
from objects import port
from sandbox import plan
from sandbox.daemon import eventually
from sandbox.failover import REFUSED, UdpStream, moves, quantile, returns
from world import NODE, PROGRAMMED_S, SILENCE_S, addresses

VIPS = [plan.host(plan.NETWORKS["vip"][family], 8) for family in plan.FAMILIES]
CONTROLLER_S = 20  # how long the controllers may take
HEADLESS = "service.kubernetes.io/headless"
ZONE = "topology.kubernetes.io/zone"
REFUSED_S = 2.5
MOVES = 10
MOVED_S = 2.0  # generous: the machine is busy


def outcome(world, who, address, number=80, timeout_s=SILENCE_S):
    """Who answers a TCP connection, or the errno; a silence is ETIMEDOUT."""
    answer = world.worker(who).ask(proto="tcp", to=address, port=number, timeout_s=timeout_s)
    return answer.get("name") or answer["errno"]


def outcomes(world, who, to):
    return {outcome(world, who, address) for address in to}


def refuses(world, who, to):
    """All of them; over IPv6 only the second SYN's refusal is believed, see the net tests."""
    return {outcome(world, who, address, timeout_s=REFUSED_S) for address in to} == {REFUSED}


# Topology (S-092 ... S-101)

def test_prefer_same_zone_follows_the_controllers_hints(world, ns):
    pods = world.run_pods(ns, "web", ["pod11", "pod12", "pod21"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)],
                             trafficDistribution="PreferSameZone")["spec"]["clusterIPs"]
    ns.wait_ready("web", addresses(pods))
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11", "pod12"]), CONTROLLER_S)
    assert world.answering("pod13", cluster_ips, 80) == {"pod11", "pod12"}

    for pod in ("pod11", "pod12"):
        ns.delete_pod(f"web-{pod}")
    world.programmed(ns, "web", ["pod21"], CONTROLLER_S)
    assert world.answering("pod13", cluster_ips, 80, 5) == {"pod21"}, "no endpoint in the zone"


def test_prefer_same_node_chooses_this_nodes_endpoints_while_it_has_some(world, ns):
    pods = world.run_pods(ns, "web", ["pod11", "pod21", "pod22"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)],
                             trafficDistribution="PreferSameNode")["spec"]["clusterIPs"]
    ns.wait_ready("web", addresses(pods))
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), CONTROLLER_S)
    assert world.answering("pod13", cluster_ips, 80, 20) == {"pod11"}

    ns.delete_pod("web-pod11")
    world.programmed(ns, "web", ["pod21", "pod22"], CONTROLLER_S)
    assert world.answering("pod13", cluster_ips, 80) == {"pod21", "pod22"}


def test_traffic_distribution_can_be_set_and_taken_away(world, ns):
    pods = world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)
    ns.change_service("web", trafficDistribution="PreferSameZone")
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), CONTROLLER_S)
    assert world.answering("pod13", cluster_ips, 80, 20) == {"pod11"}
    ns.change_service("web", trafficDistribution=None)
    world.daemon.wait_endpoints(ns, "web", addresses(pods), CONTROLLER_S)
    assert world.answering("pod13", cluster_ips, 80) == set(pods)


@contextlib.contextmanager
def zone_of_node(world, zone):
    def label(value):
        world.control_plane.api.patch("Node", None, NODE, {"metadata": {"labels": {ZONE: value}}})

    was = world.control_plane.api.get("Node", None, NODE)["metadata"]["labels"][ZONE]
    label(zone)
    try:
        yield
    finally:
        label(was)


def test_change_of_the_nodes_zone_chooses_anew(world, ns):
    """S-101: hand-made hints, so that nothing but the label changes."""
    zones = {"pod11": "zone0", "pod12": "zone7"}
    cluster_ips = ns.service("web", [port(80, 8080)], selector=None)["spec"]["clusterIPs"]
    for pod in zones:
        world.serve(pod, 8080)
    for family in plan.FAMILIES:
        at = {plan.pod_address(pod, family): zone for pod, zone in zones.items()}
        ns.slice(f"web-v{family}", "web", f"IPv{family}", list(at), 8080, zones=at)
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), PROGRAMMED_S)
    assert world.answering("pod13", cluster_ips, 80, 20) == {"pod11"}

    for zone, chosen in (("zone7", {"pod12"}), ("zone9", {"pod11", "pod12"}),
                         (None, {"pod11", "pod12"})):
        with zone_of_node(world, zone):
            world.daemon.wait_endpoints(ns, "web", addresses(chosen), PROGRAMMED_S)
            assert world.answering("pod13", cluster_ips, 80) == chosen, zone
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), PROGRAMMED_S)


# Policies (S-110 ... S-117)

def test_internal_policy_local_serves_drops_and_refuses(world, ns):
    """S-111: with a local endpoint, with remote ones only, and with none."""
    world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)],
                             internalTrafficPolicy="Local")["spec"]["clusterIPs"]
    ns.wait_ready("web", addresses(["pod11", "pod21"]))
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), PROGRAMMED_S, "local")
    assert world.answering("pod13", cluster_ips, 80, 20) == {"pod11"}

    lost = world.daemon.losses("no_local_endpoints")
    ns.delete_pod("web-pod11")
    ns.wait_ready("web", addresses(["pod21"]))
    world.daemon.wait_endpoints(ns, "web", [], PROGRAMMED_S, "local")
    assert outcomes(world, "pod13", cluster_ips) == {"ETIMEDOUT"}
    assert world.daemon.losses("no_local_endpoints") > lost

    ns.delete_pod("web-pod21")
    eventually(lambda: refuses(world, "pod13", cluster_ips), PROGRAMMED_S,
               "the Service without endpoints refuses")

    world.run_pods(ns, "web", ["pod21"], 8080)
    ns.change_service("web", internalTrafficPolicy="Cluster")
    world.programmed(ns, "web", ["pod21"])
    assert world.answering("pod13", cluster_ips, 80, 5) == {"pod21"}


def health(world, number):
    """Status of the health check that the API server allocated, as a load balancer asks."""
    connection = http.client.HTTPConnection(plan.node_address(NODE, 4), number)
    connection.sock = control_plane.connector(world.name("client"), 2)(connection.host, number)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status
    finally:
        connection.close()


def test_external_policy_local_serves_drops_and_refuses(world, ns):
    """S-113, S-115: outside gets local endpoints, pods get all; the health check tells."""
    world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    spec = ns.service("web", [port(80, 8080)], type="LoadBalancer",
                      externalTrafficPolicy="Local")["spec"]
    ns.balance("web", VIPS)
    ns.wait_ready("web", addresses(["pod11", "pod21"]))
    world.daemon.wait_frontends(ns, "web", VIPS, True, PROGRAMMED_S)
    world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), PROGRAMMED_S, "local")
    node_port, check = spec["ports"][0]["nodePort"], spec["healthCheckNodePort"]
    nodes = [plan.node_address(NODE, family) for family in plan.FAMILIES]

    assert world.answering("client", VIPS, 80, 20) == {"pod11"}
    assert world.answering("client", nodes, node_port, 20) == {"pod11"}
    assert world.answering("pod13", VIPS, 80) == {"pod11", "pod21"}
    for family, vip in zip(plan.FAMILIES, VIPS):
        seen = world.worker("client").ask(proto="tcp", to=vip, port=80)["peer"][0]
        assert seen == plan.client_address(family), "the client's address is kept"
    assert health(world, check) == 200

    ns.delete_pod("web-pod11")
    world.daemon.wait_endpoints(ns, "web", [], PROGRAMMED_S, "local")
    assert outcomes(world, "client", VIPS) == {"ETIMEDOUT"}
    assert world.answering("pod13", VIPS, 80, 5) == {"pod21"}
    eventually(lambda: health(world, check) == 503, PROGRAMMED_S, "the health check fails")

    ns.delete_pod("web-pod21")
    eventually(lambda: refuses(world, "client", VIPS), PROGRAMMED_S,
               "the Service without endpoints refuses")


# Affinity (S-148)

def test_affinity_is_switched_on_and_off(world, ns):
    pods = world.run_pods(ns, "web", ["pod11", "pod12", "pod21"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)

    def wait_affinity(seconds):
        eventually(lambda: all(p["affinitySeconds"] == seconds
                               for p in world.daemon.service(ns, "web")["ports"]),
                   PROGRAMMED_S, f"the affinity is {seconds} s")

    for _ in range(2):
        ns.change_service("web", sessionAffinity="ClientIP")
        wait_affinity(10800)  # the API server's default
        for address in cluster_ips:
            assert len(world.answering("pod13", [address], 80, 20)) == 1
        ns.change_service("web", sessionAffinity="None", sessionAffinityConfig=None)
        wait_affinity(0)
        for address in cluster_ips:
            assert world.answering("pod13", [address], 80) == set(pods)


# Kinds and labels

def test_external_name_and_back(world, ns):
    """S-008: the Service's ports go, and come again with what addresses it then has."""
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    before = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)
    assert world.answering("pod12", before, 80, 5) == {"pod11"}

    ns.change_service("web", type="ExternalName", externalName="elsewhere.example",
                      clusterIP=None, clusterIPs=None, ipFamilies=None, ipFamilyPolicy=None)
    world.daemon.wait_gone(ns, "web", PROGRAMMED_S)
    assert outcomes(world, "pod12", before) == {"ETIMEDOUT"}

    after = ns.change_service("web", type="ClusterIP", externalName=None,
                              ipFamilyPolicy="RequireDualStack")["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods, CONTROLLER_S)
    assert world.answering("pod12", after, 80, 5) == {"pod11"}


def test_slice_with_the_headless_label_is_passed_over_live(world, ns):
    """S-002, S-003: the key alone counts."""
    world.serve("pod11", 8080)
    cluster_ips = ns.service("web", [port(80, 8080)], selector=None)["spec"]["clusterIPs"]
    for family in plan.FAMILIES:
        ns.slice(f"web-v{family}", "web", f"IPv{family}", [plan.pod_address("pod11", family)],
                 8080)
    world.programmed(ns, "web", ["pod11"])
    for value in ("", "true"):
        for family in plan.FAMILIES:
            ns.change_slice(f"web-v{family}", **{HEADLESS: value})
        world.daemon.wait_endpoints(ns, "web", [], PROGRAMMED_S)
        assert refuses(world, "pod12", cluster_ips)
        for family in plan.FAMILIES:
            ns.change_slice(f"web-v{family}", **{HEADLESS: None})
        world.daemon.wait_endpoints(ns, "web", addresses(["pod11"]), PROGRAMMED_S)
        assert outcomes(world, "pod12", cluster_ips) == {"pod11"}


# ServiceCIDRs (S-004, S-122)

@pytest.fixture(name="more_cidr")
def _more_cidr(world):
    client, name = world.control_plane.api, "more"
    client.create({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
                   "metadata": {"name": name}, "spec": {"cidrs": ["10.97.0.0/24"]}})
    yield name
    if any(each["metadata"]["name"] == name for each in client.list("ServiceCIDR")):
        client.delete("ServiceCIDR", None, name)


def test_service_cidr_that_is_added_drops_until_it_goes(world, ns, more_cidr):
    def drops():
        before = world.daemon.losses("unallocated")
        assert outcome(world, "pod13", "10.97.0.9") == "ETIMEDOUT"
        return world.daemon.losses("unallocated") > before

    eventually(drops, PROGRAMMED_S, "an address of the new ServiceCIDR is dropped")
    pods = world.run_pods(ns, "web", ["pod11"], 8080)

    def serve():
        # The API server may not have seen the new ServiceCIDR ready yet.
        with contextlib.suppress(ApiError):
            return ns.service("web", [port(80, 8080)], clusterIP="10.97.0.9",
                              ipFamilyPolicy="SingleStack")
        return None

    eventually(serve, CONTROLLER_S, "the API server gives an address of it away")
    world.daemon.wait_endpoints(ns, "web", [plan.pod_address(pods[0], 4)], PROGRAMMED_S)
    assert world.answering("pod13", ["10.97.0.9"], 80, 5) == {"pod11"}
    assert outcome(world, "pod13", "10.97.0.9", 4321) == REFUSED

    ns.delete_service("web")
    eventually(drops, PROGRAMMED_S, "it is nobody's again")
    world.control_plane.api.delete("ServiceCIDR", None, more_cidr)
    eventually(lambda: not drops(), CONTROLLER_S, "nothing is dropped without the ServiceCIDR")


# Stale UDP (S-160 ... S-164)

@pytest.mark.parametrize("run", [moves, returns])
def test_udp_client_that_never_stops_follows_the_api(world, ns, run):
    pods = ("pod11", "pod21")
    for pod in pods:
        world.serve(pod, 5353)
    address = ns.service("dns", [port(53, 5353, protocol="UDP")], selector=None,
                         ipFamilyPolicy="SingleStack")["spec"]["clusterIPs"][0]
    ns.slice("dns", "dns", "IPv4", [plan.pod_address(pods[0], 4)], 5353, protocol="UDP")
    world.daemon.wait_endpoints(ns, "dns", [plan.pod_address(pods[0], 4)], PROGRAMMED_S)
    with UdpStream(world.name("pod13"), address, 53) as stream:
        stream.reaches(pods[0], 0)
        took = run(stream, lambda to: ns.change_slice(
            "dns", [plan.pod_address(pod, 4) for pod in to]), pods, MOVES)
    print(f"{run.__name__}: p50 {quantile(took, 0.5) * 1000:.1f} ms, "
          f"at most {max(took) * 1000:.1f} ms after the PATCH began")
    assert max(took) < MOVED_S
