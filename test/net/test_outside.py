# SPDX-License-Identifier: Apache-2.0
"""A client outside the cluster; its packets come to node1's uplink."""

import pytest

from checks import (SILENCE_S, answered, ask, echo_on, every_way, frontends, intact, losses,
                    port_of, refused, silent, snat_addresses)
from sandbox import plan
from sandbox.plan import FAMILIES

BULK = 10_000_000
ALLOWED, OTHER = 1, 2  # numbers of outside addresses
OWN_PORT = 9000


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.local = sandbox.publish("local", ["pod11"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.many = sandbox.publish("many", ["pod11", "pod12", "pod21"])
    sandbox.empty = sandbox.publish("empty", [])
    sandbox.near = sandbox.publish("near", ["pod13", "pod22"], local=True)
    sandbox.away = sandbox.publish("away", ["pod22"], local=True)
    sandbox.narrow = sandbox.publish("narrow", ["pod11"], ranges=[
        f"{plan.outside_address(4, ALLOWED)}/32", f"{plan.outside_address(6, ALLOWED)}/128"])
    for proto in ("tcp", "udp"):
        for family in FAMILIES:
            sandbox["node1"].serve(proto=proto, address=plan.node_address("node1", family),
                                   port=OWN_PORT)
    return sandbox.start()


def keeps_client(net, kind):
    """A local backend sees the client, on the nodes' link as well as behind a router."""
    def probe(proto, family):
        for client in (plan.client_address(family), plan.outside_address(family)):
            answered(ask(net["client"], proto, frontends(net.local, family)[kind],
                         source=client), {"pod11"}, {client})

    every_way(probe)


def hides_client(net, kind):
    """A remote backend sees node1, so that its answers come back this way."""
    def probe(proto, family):
        for client in (plan.client_address(family), plan.outside_address(family)):
            answered(ask(net["client"], proto, frontends(net.remote, family)[kind],
                         source=client), {"pod21"}, snat_addresses(family))

    every_way(probe)


def test_node_port_to_a_local_backend_keeps_the_client(net):
    keeps_client(net, "node port")


def test_vip_to_a_local_backend_keeps_the_client(net):
    keeps_client(net, "VIP")


def test_external_ip_to_a_local_backend_keeps_the_client(net):
    keeps_client(net, "external IP")


def test_cluster_ip_to_a_local_backend_keeps_the_client(net):
    keeps_client(net, "cluster IP")


def test_node_port_to_a_remote_backend_goes_by_snat(net):
    hides_client(net, "node port")


def test_vip_to_a_remote_backend_goes_by_snat(net):
    hides_client(net, "VIP")


def test_external_ip_to_a_remote_backend_goes_by_snat(net):
    hides_client(net, "external IP")


def test_cluster_ip_to_a_remote_backend_goes_by_snat(net):
    hides_client(net, "cluster IP")


def test_service_without_endpoints_refuses_a_client_at_once(net):
    def probe(proto, family):
        for frontend in frontends(net.empty, family).values():
            refused(ask(net["client"], proto, frontend, source=plan.outside_address(family)))

    every_way(probe)
    assert losses(net, net.empty, "no_endpoints") >= 16


def test_unknown_port_of_a_cluster_ip_refuses_a_client(net):
    def probe(proto, family):
        refused(net["client"].ask(proto=proto, to=net.local.cluster_ip[family], port=4321))

    every_way(probe)


def test_unknown_port_of_a_vip_is_not_answered_for(net):
    def probe(proto, family):
        silent(net["client"].ask(proto=proto, to=net.local.vip[family], port=4321,
                                 timeout_s=SILENCE_S))

    every_way(probe)


def test_source_range_lets_its_sources_in(net):
    def probe(proto, family):
        client = plan.outside_address(family, ALLOWED)
        answered(ask(net["client"], proto, frontends(net.narrow, family)["VIP"], source=client),
                 {"pod11"}, {client})

    every_way(probe)


def test_source_range_drops_other_sources_silently_and_counts_them(net):
    before = losses(net, net.narrow, "source_range")

    def probe(proto, family):
        silent(ask(net["client"], proto, frontends(net.narrow, family)["VIP"],
                   source=plan.outside_address(family, OTHER), timeout_s=SILENCE_S))

    every_way(probe)
    assert losses(net, net.narrow, "source_range") >= before + 4


def test_source_range_drops_pods_that_it_does_not_name(net):
    def probe(proto, family):
        silent(ask(net["pod12"], proto, frontends(net.narrow, family)["VIP"],
                   timeout_s=SILENCE_S))

    every_way(probe)


def test_source_range_is_for_the_vip_only(net):
    def probe(proto, family):
        for kind in ("node port", "external IP", "cluster IP"):
            answered(ask(net["client"], proto, frontends(net.narrow, family)[kind],
                         source=plan.outside_address(family, OTHER)), {"pod11"})

    every_way(probe)


def test_external_policy_local_uses_local_backends_only(net):
    def probe(proto, family):
        client = plan.outside_address(family)
        for kind in ("node port", "VIP", "external IP"):
            for _ in range(4):
                answered(ask(net["client"], proto, frontends(net.near, family)[kind],
                             source=client), {"pod13"}, {client})

    every_way(probe)


def test_external_policy_local_without_local_backend_drops_and_counts(net):
    before = losses(net, net.away, "no_local_endpoints")

    def probe(proto, family):
        for kind in ("node port", "VIP"):
            silent(ask(net["client"], proto, frontends(net.away, family)[kind],
                       timeout_s=SILENCE_S))

    every_way(probe)
    assert losses(net, net.away, "no_local_endpoints") >= before + 8


def test_new_connections_spread_over_local_and_remote_backends(net):
    def probe(proto, family):
        answers = net["client"].spread(proto=proto, to=net.many.vip[family],
                                       port=port_of(proto), count=60)
        assert set(answers) == {"pod11", "pod12", "pod21"}, answers
        assert min(answers.values()) >= 6, f"far from even: {answers}"

    every_way(probe)


def test_large_transfer_to_a_local_backend_is_intact(net):
    for family in FAMILIES:
        intact(net["client"].bulk(to=net.local.vip[family], port=80, size=BULK), {"pod11"})


def test_large_transfer_to_a_remote_backend_is_intact(net):
    for family in FAMILIES:
        intact(net["client"].bulk(to=net.remote.vip[family], port=80, size=BULK), {"pod21"})


def test_two_clients_with_one_port_are_told_apart_behind_snat(net):
    for family in FAMILIES:
        for number in (1, 2, 3):
            net["client"].hold(key=number, proto="tcp", to=net.remote.vip[family], port=80,
                               count=1, source=plan.outside_address(family, number),
                               source_port=7100, interval_s=0.05)
        echo_on(net["client"], (1, 2, 3), patience_s=4)
        for number in (1, 2, 3):
            report = net["client"].release(key=number)
            assert report["servers"] == {"pod21": 1}, report


def test_the_nodes_own_servers_are_left_alone(net):
    def probe(proto, family):
        client = plan.outside_address(family)
        answered(net["client"].ask(proto=proto, to=plan.node_address("node1", family),
                                   port=OWN_PORT, source=client), {"node1"}, {client})

    every_way(probe)


def test_ping_of_the_node_is_left_alone(net):
    for family in FAMILIES:
        address = plan.node_address("node1", family)
        assert net["client"].ping(to=address) == {"peer": address}
