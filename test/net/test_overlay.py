# SPDX-License-Identifier: Apache-2.0
"""Node2's pods are reached through a VXLAN device."""

import pytest

from checks import (answered, ask, every_way, frontends, intact, port_of, snat_addresses)
from sandbox import plan
from sandbox.plan import FAMILIES

BULK = 10_000_000


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="vxlan")
    sandbox.local = sandbox.publish("local", ["pod12"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.many = sandbox.publish("many", ["pod11", "pod21", "pod22"])
    return sandbox.start()


def test_cluster_ip_reaches_a_backend_through_the_tunnel(net):
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.remote, family)["cluster IP"]), {"pod21"},
        {plan.pod_address("pod11", family)}))


def test_outside_reaches_a_backend_through_the_tunnel_by_snat(net):
    def probe(proto, family):
        for frontend in frontends(net.remote, family).values():
            answered(ask(net["client"], proto, frontend, source=plan.outside_address(family)),
                     {"pod21"}, snat_addresses(family))

    every_way(probe)


def test_outside_reaches_a_local_backend_beside_a_tunnel(net):
    def probe(proto, family):
        client = plan.outside_address(family)
        answered(ask(net["client"], proto, frontends(net.local, family)["VIP"], source=client),
                 {"pod12"}, {client})

    every_way(probe)


def test_connections_from_outside_spread_over_the_tunnel_and_the_node(net):
    def probe(proto, family):
        answers = net["client"].spread(proto=proto, to=net.many.vip[family],
                                       port=port_of(proto), count=40)
        assert set(answers) == {"pod11", "pod21", "pod22"}, answers

    every_way(probe)


def test_large_transfer_of_a_pod_through_the_tunnel_is_intact(net):
    for family in FAMILIES:
        intact(net["pod11"].bulk(to=net.remote.cluster_ip[family], port=80, size=BULK),
               {"pod21"})


def test_large_transfer_from_outside_through_the_tunnel_is_intact(net):
    for family in FAMILIES:
        intact(net["client"].bulk(to=net.remote.vip[family], port=80, size=BULK), {"pod21"})
