# SPDX-License-Identifier: Apache-2.0
"""Manifests and interfaces that change under traffic."""

import pytest

from checks import (SILENCE_S, answered, ask, echo_on, every_way, frontends, held, port_of,
                    refused, silent, target_of)
from sandbox import manifests, netns, plan
from sandbox.daemon import eventually
from sandbox.plan import FAMILIES
from sandbox.sandbox import service_objects, service_of


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.steady = sandbox.publish("steady", ["pod11", "pod21"])
    return sandbox.start()


def cluster_ip(service, family):
    return frontends(service, family)["cluster IP"]


def test_service_that_is_added_is_served(net):
    service = net.publish("added", ["pod12"])

    def probe(proto, family):
        answered(ask(net["pod11"], proto, cluster_ip(service, family)), {"pod12"})
        answered(ask(net["client"], proto, frontends(service, family)["node port"]), {"pod12"})

    every_way(probe)


def test_service_that_is_removed_is_no_longer_translated(net):
    service = net.publish("removed", ["pod12"])
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, cluster_ip(service, family)), {"pod12"}))
    net.withdraw("removed")
    every_way(lambda proto, family: silent(
        ask(net["pod11"], proto, cluster_ip(service, family), timeout_s=SILENCE_S)))


def test_new_connections_avoid_an_endpoint_that_left(net):
    service = net.publish("leaving", ["pod11", "pod12", "pod21"])
    net.publish("leaving", ["pod11", "pod21"])

    def probe(proto, family):
        answers = net["client"].spread(proto=proto, to=service.vip[family],
                                       port=port_of(proto), count=40)
        assert set(answers) == {"pod11", "pod21"}, answers

    every_way(probe)


def test_new_connections_use_an_endpoint_that_came(net):
    service = net.publish("coming", ["pod11"])
    net.publish("coming", ["pod11", "pod22"])

    def probe(proto, family):
        answers = net["pod12"].spread(proto=proto, to=service.cluster_ip[family],
                                      port=port_of(proto), count=40)
        assert set(answers) == {"pod11", "pod22"}, answers

    every_way(probe)


def test_established_tcp_stays_with_an_endpoint_that_left(net):
    service = net.publish("patient", ["pod11", "pod21"])
    for family in FAMILIES:
        first = net["client"].hold(key="stay", proto="tcp", to=service.vip[family], port=80,
                                   count=20, interval_s=0.05)
        assert set(first["servers"]) == {"pod11", "pod21"}, first
        net.publish("patient", ["pod11"])
        echo_on(net["client"], ["stay"])
        report = net["client"].release(key="stay")
        held(report, 20)
        assert report["servers"] == first["servers"]
        net.publish("patient", ["pod11", "pod21"])


def test_udp_flows_leave_an_endpoint_that_is_gone_at_once(net):
    for family in FAMILIES:
        service = net.publish("moving", ["pod12", "pod21"])
        first = net["client"].hold(key="move", proto="udp", to=service.vip[family], port=53,
                                   count=20, interval_s=0.05)
        assert set(first["servers"]) == {"pod12", "pod21"}, first
        net.publish("moving", ["pod12"])
        eventually(lambda: net["client"].held(key="move")["servers"] == {"pod12": 20},
                   patience_s=2, what="all flows are with pod12")
        report = net["client"].release(key="move")
        assert not report["broken"], report["broken"][:5]
        assert report["moved"] == first["servers"]["pod21"], "flows of pod12 moved too"


def test_service_that_loses_its_last_endpoint_refuses_and_comes_back(net):
    service = net.publish("ebbing", ["pod12"])
    net.publish("ebbing", [])
    every_way(lambda proto, family: refused(
        ask(net["pod11"], proto, cluster_ip(service, family))))
    net.publish("ebbing", ["pod13"])
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, cluster_ip(service, family)), {"pod13"}))


def test_unready_endpoint_gets_nothing(net):
    service = service_of("unready", 200)
    unready = service_objects(service, ["pod11", "pod12"])
    for each in unready[1:]:
        each["endpoints"][1]["conditions"] = {"ready": False, "serving": False}
    net.folder.write("unready", unready)
    eventually(lambda: net.daemon.get("services/default/unready"), what="the Service is there")
    every_way(lambda proto, family: _only(net, proto, service.vip[family], {"pod11"}))
    net.folder.remove("unready")


def _only(net, proto, address, pods):
    answers = net["client"].spread(proto=proto, to=address, port=port_of(proto), count=20)
    assert set(answers) == pods, answers


def test_terminating_endpoint_serves_while_there_is_no_other(net):
    ending = {"conditions": {"ready": False, "serving": True, "terminating": True}}
    service = net.publish("ending", ["pod12"], **ending)
    every_way(lambda proto, family: answered(
        ask(net["client"], proto, frontends(service, family)["VIP"]), {"pod12"}))


def test_flow_begun_before_its_service_recovers(net):
    """UDP from one port, first into the void, then to the Service that has appeared."""
    service = service_of("late", 201)

    def probe(_, family):
        silent(net["pod11"].ask(proto="udp", to=service.cluster_ip[family], port=53,
                                source_port=7200, timeout_s=SILENCE_S))

    every_way(probe, protos=["udp"])
    net.folder.write("late", service_objects(service, ["pod12"]))
    eventually(lambda: net.daemon.get("services/default/late"), what="the Service is there")
    every_way(lambda _, family: answered(
        net["pod11"].ask(proto="udp", to=service.cluster_ip[family], port=53, source_port=7200),
        {"pod12"}), protos=["udp"])
    net.folder.remove("late")


def test_malformed_manifest_keeps_what_worked(net):
    service = net.publish("spoiled", ["pod12"])
    net.folder.write_text("spoiled", "kind: Service\n  metadata: [unclosed\n")
    # A good file written after it has been seen proves that the bad one was read.
    other = net.publish("after-spoiled", ["pod13"])

    def probe(proto, family):
        answered(ask(net["pod11"], proto, cluster_ip(service, family)), {"pod12"})
        answered(ask(net["pod11"], proto, cluster_ip(other, family)), {"pod13"})

    every_way(probe)
    assert "spoiled.yaml" in net.daemon.log.read_text(encoding="utf-8"), "no word in the log"
    net.publish("spoiled", ["pod13"])
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, cluster_ip(service, family)), {"pod13"}))


def test_malformed_object_is_named_and_its_neighbours_work(net):
    service = service_of("neighbour", 202)
    bad = manifests.service("port-zero", {
        "clusterIP": "10.96.0.203", "ports": [{"name": "x", "protocol": "TCP", "port": 0}]})
    net.folder.write("mixed", [bad, *service_objects(service, ["pod12"])])
    eventually(lambda: net.daemon.get("services/default/neighbour"),
               what="the good Service of the file is there")
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, cluster_ip(service, family)), {"pod12"}))
    assert "port-zero" in net.daemon.log.read_text(encoding="utf-8"), "the log names no object"
    net.folder.remove("mixed")


def test_new_pod_link_is_attached_live(net):
    before = _entries(net, "ifaces")
    net.topology.detach_pod("pod13")
    net.topology.attach_pod("pod13")
    link = net.topology.pod_link("pod13")
    eventually(lambda: _attached(net, link), what=f"{link} is attached")
    service = net.publish("fresh", ["pod13"])

    def probe(proto, family):
        answered(ask(net["pod13"], proto, cluster_ip(net.steady, family)), {"pod11", "pod21"})
        answered(ask(net["client"], proto, frontends(service, family)["VIP"]), {"pod13"})
        answered(net["pod13"].ask(proto=proto, to=plan.pod_address("pod21", family),
                                  port=target_of(proto)), {"pod21"})

    every_way(probe)
    assert _entries(net, "ifaces") == before, "the old link is forgotten"


def test_node_may_have_thousands_of_addresses(net):
    """As kube-proxy's IPVS mode leaves them: one for each Service."""
    node, before = net.topology.name("node1"), _entries(net, "frontends4")
    netns.ip(["link add many type bridge"] + [
        f"address add 10.200.{i // 250}.{i % 250 + 1}/32 dev many" for i in range(5000)], node)
    eventually(lambda: _entries(net, "frontends4") == before + 5000, what="all are known")
    every_way(lambda proto, family: answered(
        ask(net["client"], proto, frontends(net.steady, family)["node port"]),
        {"pod11", "pod21"}))
    netns.ip(["link delete many"], node)
    eventually(lambda: _entries(net, "frontends4") == before, what="all are forgotten")


def _entries(net, name):
    items = net.daemon.lbctl_json("map", "list")["items"]
    return next(item["entries"] for item in items if item["name"] == name)


def _attached(net, link):
    iface = next((i for i in net.daemon.get("attach")["items"] if i["name"] == link), None)
    return iface and iface["role"] == "pod" and \
        [hook["state"] for hook in iface["hooks"] if "/" in hook["hook"]] == ["attached"] * 2
