# SPDX-License-Identifier: Apache-2.0
"""Node1's pods are ports of one bridge."""

import pytest

from checks import answered, ask, every_way, frontends, intact, refused, snat_addresses
from sandbox import plan
from sandbox.plan import FAMILIES

BULK = 10_000_000


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="bridge", between="routes")
    sandbox.local = sandbox.publish("local", ["pod12"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.own = sandbox.publish("own", ["pod11"])
    sandbox.empty = sandbox.publish("empty", [])
    return sandbox.start()


def test_cluster_ip_reaches_a_backend_on_the_same_bridge(net):
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"]), {"pod12"},
        {plan.pod_address("pod11", family)}))


def test_bridged_pod_gets_no_redirect_around_the_translation(net):
    """The node's stack sees the pod's packets turn around on the bridge and would shorten it."""
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"]), {"pod12"}))
    document = net.daemon.get(f"services/default/{net.local.name}")
    dropped = {port["family"] for port in document["ports"] for loss in port["losses"]
               if loss["reason"] == "icmp_redirect"}
    assert dropped == {"IPv4", "IPv6"}


def test_cluster_ip_reaches_a_remote_backend_from_a_bridge(net):
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.remote, family)["cluster IP"]), {"pod21"},
        {plan.pod_address("pod11", family)}))


def test_bridged_pod_reaches_itself_through_its_service(net):
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.own, family)["cluster IP"]), {"pod11"}))


def test_outside_reaches_a_bridged_backend_with_its_own_address(net):
    def probe(proto, family):
        client = plan.outside_address(family)
        for frontend in frontends(net.local, family).values():
            answered(ask(net["client"], proto, frontend, source=client), {"pod12"}, {client})

    every_way(probe)


def test_outside_reaches_a_remote_backend_beside_a_bridge(net):
    every_way(lambda proto, family: answered(
        ask(net["client"], proto, frontends(net.remote, family)["VIP"],
            source=plan.outside_address(family)), {"pod21"}, snat_addresses(family)))


def test_service_without_endpoints_refuses_a_bridged_pod(net):
    every_way(lambda proto, family: refused(
        ask(net["pod11"], proto, frontends(net.empty, family)["cluster IP"])))


def test_large_transfer_over_one_bridge_is_intact(net):
    for family in FAMILIES:
        intact(net["pod11"].bulk(to=net.local.cluster_ip[family], port=80, size=BULK),
               {"pod12"})


def test_bridged_pods_talk_directly_as_before(net):
    for family in FAMILIES:
        intact(net["pod11"].bulk(to=plan.pod_address("pod13", family), port=plan.TCP_PORT,
                                 size=BULK), {"pod13"})
        assert "peer" in net["pod11"].ping(to=plan.pod_address("pod13", family))
