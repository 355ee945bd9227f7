# SPDX-License-Identifier: Apache-2.0
"""masquerade: compatible, whose client becomes the node where kube-proxy does it (S-133 ... S-137).

Once with pods on links of their own and plain routes between nodes, once with a bridge and VXLAN.
"""

import pytest

from checks import (SILENCE_S, answered, ask, echo_on, every_way, frontends, held, intact, port_of,
                    refused, silent, snat_addresses)
from sandbox import plan
from sandbox.plan import FAMILIES

BULK = 10_000_000
FLOWS = 30
EXTERNAL = ("node port", "VIP", "external IP")
VARIANTS = {"routed": {"pods": "routed", "between": "routes"},
            "bridged": {"pods": "bridge", "between": "vxlan"}}


@pytest.fixture(scope="module", params=VARIANTS, name="net")
def _net(request, make_sandbox):
    sandbox = make_sandbox(**VARIANTS[request.param], flags=["--masquerade", "compatible"])
    sandbox.local = sandbox.publish("local", ["pod11"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.many = sandbox.publish("many", ["pod11", "pod21"])
    sandbox.empty = sandbox.publish("empty", [])
    sandbox.near = sandbox.publish("near", ["pod13", "pod22"], local=True)
    sandbox.narrow = sandbox.publish("narrow", ["pod11"], ranges=[
        f"{plan.outside_address(4, 1)}/32", f"{plan.outside_address(6, 1)}/128"])
    yield sandbox.start()
    sandbox.down()


def seen(net, pod, family):
    """The node's addresses that a pod may see: those of the interface that leads to it."""
    if plan.node_of(pod) == "node1":
        if net.topology.pods == "bridge":
            return {plan.gateway("node1", family)}
        return {plan.gateway("node1", family), plan.node_address("node1", family)}
    if net.topology.between == "vxlan":
        return {plan.host(plan.POD_NETWORKS["node1"][family], 0)}
    return {plan.node_address("node1", family)}


def hides(net, who, kinds, pod, service, **options):
    """`pod` answers for each kind of frontend and sees the node instead of the client."""
    def probe(proto, family):
        for kind in kinds:
            answered(ask(net[who], proto, frontends(service, family)[kind], **options), {pod},
                     seen(net, pod, family))

    every_way(probe)


def test_outside_is_the_node_to_a_local_backend(net):
    hides(net, "client", (*EXTERNAL, "cluster IP"), "pod11", net.local)


def test_outside_is_the_node_to_a_remote_backend(net):
    hides(net, "client", (*EXTERNAL, "cluster IP"), "pod21", net.remote)


def test_outside_behind_a_router_is_the_node_too(net):
    def probe(proto, family):
        for service, pod in ((net.local, "pod11"), (net.remote, "pod21")):
            answered(ask(net["client"], proto, frontends(service, family)["VIP"],
                         source=plan.outside_address(family)), {pod}, seen(net, pod, family))

    every_way(probe)


def test_pod_is_the_node_to_a_local_backend_of_an_external_destination(net):
    hides(net, "pod12", EXTERNAL, "pod11", net.local)


def test_pod_is_the_node_to_a_remote_backend_of_an_external_destination(net):
    hides(net, "pod12", EXTERNAL, "pod21", net.remote)


def test_pod_keeps_its_address_to_the_cluster_ip(net):
    def probe(proto, family):
        for service, pod in ((net.local, "pod11"), (net.remote, "pod21")):
            answered(ask(net["pod12"], proto, frontends(service, family)["cluster IP"]), {pod},
                     {plan.pod_address("pod12", family)})

    every_way(probe)


def test_pod_reaches_itself_as_the_node(net):
    def probe(proto, family):
        for frontend in frontends(net.local, family).values():
            answered(ask(net["pod11"], proto, frontend), {"pod11"},
                     seen(net, "pod11", family))

    every_way(probe)


def test_external_policy_local_keeps_the_outside_client(net):
    def probe(proto, family):
        client = plan.outside_address(family)
        for kind in EXTERNAL:
            answered(ask(net["client"], proto, frontends(net.near, family)[kind], source=client),
                     {"pod13"}, {client})

    every_way(probe)


def test_external_policy_local_gives_pods_every_backend_and_their_address(net):
    """S-113"""
    for proto in ("tcp", "udp"):
        for family in FAMILIES:
            peers = {}
            for _ in range(12):
                answer = ask(net["pod12"], proto, frontends(net.near, family)["VIP"])
                answered(answer, {"pod13", "pod22"}, {plan.pod_address("pod12", family)})
                peers[answer["name"]] = answer["peer"]
            assert set(peers) == {"pod13", "pod22"}, f"{proto} over IPv{family}: {peers}"


def test_external_policy_local_takes_other_sources_to_the_cluster_ip_by_snat(net):
    """eTP says nothing about the cluster IP: S-117, S-133."""
    def probe(proto, family):
        for _ in range(4):
            answered(ask(net["client"], proto, frontends(net.near, family)["cluster IP"]),
                     {"pod13", "pod22"}, snat_addresses(family))

    every_way(probe)


def test_source_ranges_judge_the_clients_own_address(net):
    def probe(proto, family):
        vip = frontends(net.narrow, family)["VIP"]
        answered(ask(net["client"], proto, vip, source=plan.outside_address(family, 1)),
                 {"pod11"}, seen(net, "pod11", family))
        silent(ask(net["client"], proto, vip, source=plan.outside_address(family, 2),
                   timeout_s=SILENCE_S))

    every_way(probe)


def test_no_endpoints_refuse_outside_and_pods(net):
    def probe(proto, family):
        for who in ("client", "pod11"):
            refused(ask(net[who], proto, frontends(net.empty, family)["VIP"]))

    every_way(probe)


@pytest.mark.parametrize("who", ["client", "pod12"])
def test_large_transfers_are_intact(net, who):
    for family in FAMILIES:
        for service, pod in ((net.local, "pod11"), (net.remote, "pod21")):
            intact(net[who].bulk(to=service.vip[family], port=80, size=BULK), {pod})


def test_clients_with_one_port_are_told_apart(net):
    """Three clients' flows from one port to one backend, for which all are the node."""
    for family in FAMILIES:
        for service, pod in ((net.local, "pod11"), (net.remote, "pod21")):
            for number in (1, 2, 3):
                net["client"].hold(key=number, proto="udp", to=service.vip[family], port=53,
                                   count=1, source=plan.outside_address(family, number),
                                   source_port=7300, interval_s=0.05)
            echo_on(net["client"], (1, 2, 3), patience_s=4)
            for number in (1, 2, 3):
                report = net["client"].release(key=number)
                assert report["servers"] == {pod: 1} and not report["lost"], report


def test_bridge_interface_tells_pods_by_their_bridge(net):
    """S-130. Without such a bridge nobody is a pod."""
    net.daemon.stop()
    net.daemon.start("--detect-local-mode", "bridgeInterface", "--bridge-interface", "cni0")
    try:
        def probe(proto, family):
            kept = {plan.pod_address("pod12", family)}
            answered(ask(net["pod12"], proto, frontends(net.local, family)["cluster IP"]),
                     {"pod11"}, kept if net.topology.pods == "bridge"
                     else seen(net, "pod11", family))

        every_way(probe)
    finally:
        net.daemon.stop()
        net.daemon.start()


def test_flows_survive_kill_9_and_a_restart_as_minimal(net):
    """A flow's masquerade is decided once (S-139); only new ones are as the new mode has it."""
    keys = []
    for who in ("client", "pod12"):
        for proto in ("tcp", "udp"):
            for family in FAMILIES:
                keys.append((who, f"{proto}{family}"))
                first = net[who].hold(key=keys[-1][1], proto=proto, to=net.many.vip[family],
                                      port=port_of(proto), count=FLOWS)
                held(first, FLOWS)
                assert len(first["servers"]) == 2, first

    net.daemon.kill()
    net.daemon.start("--masquerade", "minimal")
    try:
        for who in ("client", "pod12"):
            echo_on(net[who], [key for each, key in keys if each == who])
        for who, key in keys:
            report = net[who].release(key=key)
            held(report, FLOWS)
            assert not report["lost"], f"{key} of {who}: {report['lost']} lost"

        def probe(proto, family):
            client = plan.outside_address(family)
            answered(ask(net["client"], proto, frontends(net.local, family)["VIP"],
                         source=client), {"pod11"}, {client})
            answered(ask(net["pod12"], proto, frontends(net.local, family)["VIP"]), {"pod11"},
                     {plan.pod_address("pod12", family)})

        every_way(probe)
    finally:
        net.daemon.stop()
        net.daemon.start()
