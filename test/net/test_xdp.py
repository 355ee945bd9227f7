# SPDX-License-Identifier: Apache-2.0
"""XDP on node1's uplink, whose peer sends frames as they come off a wire."""

import pytest

from checks import (SILENCE_S, answered, ask, every_way, frontends, intact, losses, refused,
                    silent, snat_addresses)
from sandbox import plan
from sandbox.plan import FAMILIES

BULK = 10_000_000


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes", xdp=True)
    sandbox.local = sandbox.publish("local", ["pod11"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.empty = sandbox.publish("empty", [])
    sandbox.narrow = sandbox.publish("narrow", ["pod11"], ranges=[
        f"{plan.outside_address(4)}/32", f"{plan.outside_address(6)}/128"])
    return sandbox.start("--xdp", "on")


def test_the_uplink_has_xdp_and_tc(net):
    uplink = next(i for i in net.daemon.get("attach")["items"] if i["name"] == "eth0")
    assert uplink["role"] == "uplink", uplink
    states = {hook["hook"]: hook["state"] for hook in uplink["hooks"]}
    assert states.pop("xdp") == "attached", uplink
    assert set(states.values()) == {"attached"}, uplink


def test_xdp_takes_outside_traffic_to_a_local_backend(net):
    def probe(proto, family):
        client = plan.outside_address(family)
        for frontend in frontends(net.local, family).values():
            answered(ask(net["client"], proto, frontend, source=client), {"pod11"}, {client})

    every_way(probe)


def test_xdp_takes_outside_traffic_to_a_remote_backend(net):
    def probe(proto, family):
        for frontend in frontends(net.remote, family).values():
            answered(ask(net["client"], proto, frontend, source=plan.outside_address(family)),
                     {"pod21"}, snat_addresses(family))

    every_way(probe)


def test_xdp_refuses_for_a_service_without_endpoints(net):
    def probe(proto, family):
        for frontend in frontends(net.empty, family).values():
            refused(ask(net["client"], proto, frontend, source=plan.outside_address(family)))

    every_way(probe)


def test_xdp_drops_sources_out_of_range(net):
    before = losses(net, net.narrow, "source_range")

    def probe(proto, family):
        vip = frontends(net.narrow, family)["VIP"]
        answered(ask(net["client"], proto, vip, source=plan.outside_address(family, 1)),
                 {"pod11"})
        silent(ask(net["client"], proto, vip, source=plan.outside_address(family, 2),
                   timeout_s=SILENCE_S))

    every_way(probe)
    assert losses(net, net.narrow, "source_range") >= before + 4


def test_pods_reach_remote_backends_behind_an_xdp_uplink(net):
    every_way(lambda proto, family: answered(
        ask(net["pod12"], proto, frontends(net.remote, family)["cluster IP"]), {"pod21"},
        {plan.pod_address("pod12", family)}))


def test_large_transfer_through_xdp_to_a_local_backend_is_intact(net):
    for family in FAMILIES:
        intact(net["client"].bulk(to=net.local.vip[family], port=80, size=BULK), {"pod11"})


def test_large_transfer_through_xdp_to_a_remote_backend_is_intact(net):
    for family in FAMILIES:
        intact(net["client"].bulk(to=net.remote.vip[family], port=80, size=BULK), {"pod21"})
