# SPDX-License-Identifier: Apache-2.0
"""Pods of node1 as clients; pods on links of their own, node2 behind plain routes."""

import pytest

from checks import (answered, ask, echo_on, every_way, frontends, held, intact, port_of,
                    refused, target_of)
from sandbox import plan
from sandbox.plan import FAMILIES

BULK = 10_000_000


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.local = sandbox.publish("local", ["pod12"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.own = sandbox.publish("own", ["pod11"])
    sandbox.many = sandbox.publish("many", ["pod12", "pod13", "pod21"])
    sandbox.empty = sandbox.publish("empty", [])
    sandbox.away = sandbox.publish("away", ["pod22"], local=True)
    return sandbox.start()


def reaches(net, kind, service, pod):
    """pod11 reaches a pod through one kind of frontend, under its own address."""
    def probe(proto, family):
        answered(ask(net["pod11"], proto, frontends(service, family)[kind]), {pod},
                 {plan.pod_address("pod11", family)} if kind == "cluster IP" else None)

    every_way(probe)


def test_cluster_ip_reaches_a_backend_on_the_same_node(net):
    reaches(net, "cluster IP", net.local, "pod12")


def test_cluster_ip_reaches_a_backend_on_another_node_by_a_route(net):
    reaches(net, "cluster IP", net.remote, "pod21")


def test_node_port_reaches_backends_from_a_pod(net):
    reaches(net, "node port", net.local, "pod12")
    reaches(net, "node port", net.remote, "pod21")


def test_node_port_answers_on_the_pods_gateway_address(net):
    def probe(proto, family):
        answered(net["pod11"].ask(proto=proto, to=plan.gateway("node1", family),
                                  port=net.local.node_port), {"pod12"})

    every_way(probe)


def test_vip_reaches_backends_from_a_pod(net):
    reaches(net, "VIP", net.local, "pod12")
    reaches(net, "VIP", net.remote, "pod21")


def test_external_ip_reaches_backends_from_a_pod(net):
    reaches(net, "external IP", net.local, "pod12")
    reaches(net, "external IP", net.remote, "pod21")


def test_pod_reaches_itself_through_its_cluster_ip(net):
    def probe(proto, family):
        answer = ask(net["pod11"], proto, frontends(net.own, family)["cluster IP"])
        answered(answer, {"pod11"})
        assert answer["peer"][0] != plan.pod_address("pod11", family), \
            "its own address as the client's would be answered inside the pod"

    every_way(probe)


def test_pod_reaches_itself_through_its_vip_and_node_port(net):
    reaches(net, "VIP", net.own, "pod11")
    reaches(net, "node port", net.own, "pod11")


def test_service_without_endpoints_refuses_a_pod_at_once(net):
    def probe(proto, family):
        for frontend in frontends(net.empty, family).values():
            refused(ask(net["pod11"], proto, frontend))

    every_way(probe)


def test_unknown_port_of_a_cluster_ip_refuses_a_pod(net):
    def probe(proto, family):
        refused(net["pod11"].ask(proto=proto, to=net.local.cluster_ip[family], port=4321))

    every_way(probe)


def test_external_policy_local_lets_a_pod_use_remote_backends(net):
    reaches(net, "VIP", net.away, "pod22")
    reaches(net, "node port", net.away, "pod22")


def test_new_connections_spread_over_all_backends(net):
    def probe(proto, family):
        answers = net["pod11"].spread(proto=proto, to=net.many.cluster_ip[family],
                                      port=port_of(proto), count=60)
        assert set(answers) == {"pod12", "pod13", "pod21"}, answers
        assert min(answers.values()) >= 6, f"far from even: {answers}"

    every_way(probe)


def test_large_transfer_to_a_backend_on_the_same_node_is_intact(net):
    for family in FAMILIES:
        intact(net["pod11"].bulk(to=net.local.cluster_ip[family], port=80, size=BULK),
               {"pod12"})


def test_large_transfer_to_a_backend_on_another_node_is_intact(net):
    for family in FAMILIES:
        intact(net["pod11"].bulk(to=net.remote.cluster_ip[family], port=80, size=BULK),
               {"pod21"})


def test_large_transfer_of_a_pod_with_itself_is_intact(net):
    for family in FAMILIES:
        intact(net["pod11"].bulk(to=net.own.cluster_ip[family], port=80, size=BULK), {"pod11"})


def test_traffic_between_pods_is_left_alone(net):
    def probe(proto, family):
        for pod in ("pod12", "pod21"):
            answered(net["pod13"].ask(proto=proto, to=plan.pod_address(pod, family),
                                      port=target_of(proto)),
                     {pod}, {plan.pod_address("pod13", family)})

    every_way(probe)
    flows = net.daemon.get(f"flows?client={plan.pod_address('pod13', 4)}")["items"]
    assert flows == [], "direct traffic became a flow"


def test_ping_between_pods_is_left_alone(net):
    for family in FAMILIES:
        for pod in ("pod12", "pod21"):
            address = plan.pod_address(pod, family)
            assert net["pod11"].ping(to=address) == {"peer": address}


def test_one_client_port_reaches_a_backend_by_two_frontends_at_once(net):
    """The backend's answers to both would look alike."""
    for family in FAMILIES:
        for key, address in (("cluster", net.local.cluster_ip), ("vip", net.local.vip)):
            net["pod11"].hold(key=key, proto="tcp", to=address[family], port=80, count=1,
                              source_port=7000 + family, interval_s=0.05)
        echo_on(net["pod11"], ["cluster", "vip"], patience_s=4)
        for key in ("cluster", "vip"):
            held(net["pod11"].release(key=key), 1)
