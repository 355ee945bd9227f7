# SPDX-License-Identifier: Apache-2.0
"""Services and pods made through the API, and what traffic does with them."""

import time

import pytest

import api
import control_plane
from objects import port
from sandbox import plan
from world import NODE, PROGRAMMED_S, SETTLE_S, addresses

VIPS = [plan.host(plan.NETWORKS["vip"][family], 7) for family in plan.FAMILIES]


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
def test_first_connection_to_a_new_service_succeeds(world, ns, protocol):
    """In both families, to a pod here or on another node."""
    pods = world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    service = ns.service("web", [port(80, 8080, protocol=protocol)])
    world.programmed(ns, "web", pods)

    for address in service["spec"]["clusterIPs"]:
        assert world.ask("pod12", address, 80, protocol) in pods, f"{protocol} to {address}"


def test_no_new_connection_goes_to_a_deleted_pod(world, ns):
    """Neither while it terminates (S-098) nor when it is gone, though it would still answer."""
    pods = world.run_pods(ns, "web", ["pod11", "pod12", "pod21"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)
    assert world.answering("pod13", cluster_ips, 80) == set(pods)

    meanwhile = world.begin_asking("pod13", cluster_ips[0], 80, 300)
    ns.terminate_pod("web-pod11")
    world.programmed(ns, "web", ["pod12", "pod21"])
    assert world.answering("pod13", cluster_ips, 80) == {"pod12", "pod21"}
    assert set(meanwhile.result(60)) <= set(pods), "a connection failed during the change"

    ns.delete_pod("web-pod11")
    ns.delete_pod("web-pod21")
    world.programmed(ns, "web", ["pod12"])
    assert world.answering("pod13", cluster_ips, 80) == {"pod12"}


def test_node_port_answers_outside_clients(world, ns):
    pods = world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    service = ns.service("web", [port(80, 8080)], type="NodePort")
    world.programmed(ns, "web", pods)

    number = service["spec"]["ports"][0]["nodePort"]
    for family in plan.FAMILIES:
        to = [plan.node_address(NODE, family)]
        assert world.answering("client", to, number) == set(pods)


def test_vip_comes_and_goes_with_the_status(world, ns):
    pods = world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    ns.service("web", [port(80, 8080)], type="LoadBalancer")
    world.programmed(ns, "web", pods)
    assert not any(world.answers("client", vip, 80) for vip in VIPS)

    ns.balance("web", VIPS)
    world.daemon.wait_frontends(ns, "web", VIPS, True, PROGRAMMED_S)
    for vip in VIPS:
        assert world.answering("client", [vip], 80) == set(pods)

    ns.balance("web", [])
    world.daemon.wait_frontends(ns, "web", VIPS, False, PROGRAMMED_S)
    assert not any(world.answers("client", vip, 80) for vip in VIPS)


def test_deleted_service_is_no_longer_translated(world, ns):
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)
    assert world.answering("pod12", cluster_ips, 80, 1) == {"pod11"}

    ns.delete_service("web")
    world.daemon.wait_gone(ns, "web", PROGRAMMED_S)
    assert not any(world.answers("pod12", address, 80) for address in cluster_ips)


def test_headless_service_is_ignored(world, ns):
    """S-001, S-002: it makes no entry, and nothing is said about it."""
    pods = world.run_pods(ns, "bare", ["pod11"], 8080)
    ns.service("bare", [port(80, 8080)], clusterIP="None")
    ns.wait_ready("bare", addresses(pods))
    # This one comes later on the same watches: once it is there, the other was passed over.
    ns.service("web", [port(80, 8080)], selector={"app": "bare"})
    world.programmed(ns, "web", pods)

    assert world.daemon.service(ns, "bare") is None
    assert f"{ns.name}/bare" not in world.daemon.read_log()


def test_label_of_another_proxy_is_followed_live(world, ns):
    """S-003: with it a Service is not ours, whatever its value; without it, it is."""
    label = "service.kubernetes.io/service-proxy-name"
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    service = ns.service("web", [port(80, 8080)], labels={label: "another"})
    cluster_ips = service["spec"]["clusterIPs"]
    ns.wait_ready("web", addresses(pods))
    time.sleep(SETTLE_S)
    assert world.daemon.service(ns, "web") is None
    assert not any(world.answers("pod12", address, 80) for address in cluster_ips)

    ns.label_service("web", label, None)
    world.programmed(ns, "web", pods)
    assert world.answering("pod12", cluster_ips, 80, 5) == {"pod11"}

    ns.label_service("web", label, "")
    world.daemon.wait_gone(ns, "web", PROGRAMMED_S)
    assert not any(world.answers("pod12", address, 80) for address in cluster_ips)


def test_named_target_port_has_its_own_number_in_each_pod(world, ns):
    """S-075: the controller makes a slice for each number; all belong to the port."""
    numbers = {"pod11": 8080, "pod12": 8081, "pod21": 9090}
    for pod, number in numbers.items():
        world.run_pods(ns, "web", [pod], number, name="http")
    cluster_ips = ns.service("web", [port(80, "http")])["spec"]["clusterIPs"]
    world.programmed(ns, "web", numbers)
    assert len(ns.api.list("EndpointSlice", ns.name)) == len(plan.FAMILIES) * len(numbers)

    for address in cluster_ips:
        assert world.answering("pod13", [address], 80) == set(numbers)


def test_slice_waits_for_its_service(world, ns):
    """S-012: alone it does no harm; when the Service appears, it takes effect."""
    world.serve("pod11", 8080)
    for family in plan.FAMILIES:
        ns.slice(f"web-v{family}", "web", f"IPv{family}", [plan.pod_address("pod11", family)],
                 8080)
    time.sleep(SETTLE_S)
    assert world.daemon.service(ns, "web") is None

    # Without a selector, the controller leaves the slices alone.
    cluster_ips = ns.service("web", [port(80, 8080)], selector=None)["spec"]["clusterIPs"]
    world.programmed(ns, "web", ["pod11"])
    assert world.answering("pod12", cluster_ips, 80, 5) == {"pod11"}


def test_api_server_is_reached_through_its_own_service(world):
    """default/kubernetes: an endpoint that the API server itself writes, outside of the pods."""
    def version():
        client = api.Api(control_plane.SERVICE, 443, world.control_plane.pki, "admin",
                         control_plane.connector(world.name("pod11"), SETTLE_S * 4))
        try:
            return client.request("GET", "/version")["gitVersion"]
        finally:
            client.close()

    assert version().startswith("v1.")


def test_latency_of_events_is_reported(world, ns):
    """From the bytes of a watch event until its tables are flipped."""
    before = world.daemon.lbctl_json("status")["latency"]["count"]
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    for i in range(20):
        ns.service(f"web{i}", [port(80, 8080)], selector={"app": "web"})
    for i in range(20):
        world.programmed(ns, f"web{i}", pods)

    latency = world.daemon.lbctl_json("status")["latency"]
    print(f"latency: {latency}")
    assert latency["count"] - before >= 20
    assert 0 < latency["p50Us"] <= latency["p99Us"] <= latency["maxUs"]
    assert latency["p99Us"] < PROGRAMMED_S * 1_000_000
