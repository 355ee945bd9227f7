# SPDX-License-Identifier: Apache-2.0
"""Processes of the node itself reach Services: they run in node1's own namespace."""

import itertools
import pathlib

import pytest

from checks import (SILENCE_S, answered, ask, counters, every_way, frontends, held, losses, port_of,
                    silent)
from sandbox import plan
from sandbox.daemon import BPFFS, eventually
from sandbox.plan import FAMILIES
from sandbox.sandbox import service_objects, service_of

# A socket is closed this soon after its backend left.
CLOSED_S = 1.0
HELD = 40

_keys = itertools.count()


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.local = sandbox.publish("local", ["pod11"])
    sandbox.remote = sandbox.publish("remote", ["pod21"])
    sandbox.many = sandbox.publish("many", ["pod11", "pod12", "pod21"])
    sandbox.empty = sandbox.publish("empty", [])
    sandbox.away = sandbox.publish("away", ["pod22"], local=True)
    sandbox.narrow = sandbox.publish("narrow", ["pod11"], ranges=["198.51.100.0/24",
                                                                  "2001:db8:100::/64"])
    sandbox.wide = sandbox.publish("wide", ["pod11"], ranges=[
        f"{plan.node_address('node1', 4)}/32", f"{plan.node_address('node1', 6)}/128"])
    sandbox.moving = sandbox.publish("moving", ["pod11"])
    return sandbox.start()


def opened(net, proto, frontend, who="node1", **options):
    """An open socket's key, and what it was answered."""
    key = f"socket {next(_keys)}"
    address, port = frontend
    return key, net[who].open(key=key, proto=proto, to=address, port=port or port_of(proto),
                              **options)


def reaches(net, kind, service, backend):
    """Every socket that can be had reaches the backend and names whom it asked."""
    def probe(proto, family):
        address, port = frontends(service, family)[kind]
        asked = [address, port or port_of(proto)]
        for connected in (True, False) if proto == "udp" else (True,):
            for mapped in (False, True) if family == 4 else (False,):
                key, answer = opened(net, proto, (address, port), connected=connected,
                                     mapped=mapped)
                answered(answer, {backend})
                if connected:
                    assert answer["connected"] == asked, answer
                if proto == "udp":
                    assert answer["from"] == asked, answer
                    answered(net["node1"].say(key=key), {backend})
                net["node1"].hang_up(key=key)

    every_way(probe)


@pytest.mark.parametrize("kind", ("cluster IP", "node port", "VIP", "external IP"))
@pytest.mark.parametrize("where", ("local", "remote"))
def test_node_reaches_a_backend(net, kind, where):
    reaches(net, kind, getattr(net, where), "pod11" if where == "local" else "pod21")


def test_node_port_answers_on_the_pods_gateway_address(net):
    every_way(lambda proto, family: answered(
        net["node1"].ask(proto=proto, to=plan.gateway("node1", family),
                         port=net.local.node_port), {"pod11"}))


def test_node_port_does_not_answer_on_loopback(net):
    def probe(proto, family):
        answer = net["node1"].ask(proto=proto, to="127.0.0.1" if family == 4 else "::1",
                                  port=net.local.node_port, timeout_s=SILENCE_S)
        assert answer.get("errno") == "ECONNREFUSED", answer

    every_way(probe)


def test_service_without_endpoints_refuses_the_node(net):
    def probe(proto, family):
        for frontend in frontends(net.empty, family).values():
            for connected in (True, False) if proto == "udp" else (True,):
                _, answer = opened(net, proto, frontend, connected=connected)
                assert answer == {"errno": "ECONNREFUSED"}, (frontend, answer)

    before = losses(net, net.empty, "no_endpoints")
    every_way(probe)
    assert losses(net, net.empty, "no_endpoints") - before == 4 * len(FAMILIES) * 3


def test_unknown_port_of_a_cluster_ip_refuses_the_node(net):
    def probe(proto, family):
        answer = net["node1"].ask(proto=proto, to=net.local.cluster_ip[family], port=4321)
        assert answer.get("errno") == "ECONNREFUSED", answer

    every_way(probe)


def test_external_policy_local_lets_the_node_use_remote_backends(net):
    reaches(net, "VIP", net.away, "pod22")
    reaches(net, "node port", net.away, "pod22")


def test_source_range_keeps_the_node_from_the_vip_only(net):
    def probe(proto, family):
        ways = frontends(net.narrow, family)
        assert ask(net["node1"], proto, ways["VIP"]).get("errno") == "EPERM"
        answered(ask(net["node1"], proto, ways["external IP"]), {"pod11"})

    before = losses(net, net.narrow, "source_range")
    every_way(probe)
    assert losses(net, net.narrow, "source_range") - before == 2 * len(FAMILIES)


def test_source_range_with_the_nodes_address_lets_the_node_in(net):
    reaches(net, "VIP", net.wide, "pod11")


def test_connections_of_the_node_are_spread_and_counted(net):
    def probe(proto, family):
        before = counters(net, net.many, proto, family)["connections"]
        answers = net["node1"].spread(proto=proto, to=net.many.cluster_ip[family],
                                      port=port_of(proto), count=60)
        assert set(answers) == {"pod11", "pod12", "pod21"}, answers
        assert min(answers.values()) >= 6, f"far from even: {answers}"
        assert counters(net, net.many, proto, family)["connections"] - before == 60

    every_way(probe)


def _remembered(net):
    maps = net.daemon.get("maps")["items"]
    return next(each["entries"] for each in maps if each["name"] == "sockets")


def test_sockets_of_other_namespaces_are_left_alone(net):
    before = _remembered(net)
    for who in ("pod12", "client"):
        for connected in (True, False):
            key, answer = opened(net, "udp", frontends(net.local, 4)["VIP"], who=who,
                                 connected=connected)
            answered(answer, {"pod11"})
            assert _remembered(net) == before
            net[who].hang_up(key=key)


def test_closed_connections_are_forgotten(net):
    key, answer = opened(net, "tcp", frontends(net.local, 4)["cluster IP"])
    answered(answer, {"pod11"})
    before = _remembered(net)
    net["node1"].hang_up(key=key)
    assert _remembered(net) == before - 1


def test_connected_udp_is_closed_when_its_backend_leaves(net):
    keys = {}
    for family in FAMILIES:
        for mapped in (False, True) if family == 4 else (False,):
            keys[family, mapped], answer = opened(
                net, "udp", frontends(net.moving, family)["cluster IP"], mapped=mapped)
            answered(answer, {"pod11"})
    kept, answer = opened(net, "udp", frontends(net.local, 4)["cluster IP"])
    answered(answer, {"pod11"})
    net.publish("moving", ["pod12"])
    for way, key in keys.items():
        eventually(lambda key=key: "name" not in net["node1"].say(key=key, timeout_s=0.2),
                   patience_s=CLOSED_S, what=f"the socket of {way} is closed")
    answered(net["node1"].say(key=kept), {"pod11"})
    reaches(net, "cluster IP", net.moving, "pod12")
    net.publish("moving", ["pod11"])


def test_connected_tcp_stays_when_its_backend_leaves(net):
    for family in FAMILIES:
        first = net["node1"].hold(key=str(family), count=4, proto="tcp",
                                  to=net.moving.cluster_ip[family], port=80)
        held(first, 4)
    net.publish("moving", ["pod12"])
    for family in FAMILIES:
        least = net["node1"].held(key=str(family))["least"]
        eventually(lambda f=family, n=least: net["node1"].held(key=str(f))["least"] > n + 2,
                   what="flows are echoed")
        held(net["node1"].release(key=str(family)), 4)
    net.publish("moving", ["pod11"])


def test_datagrams_follow_the_endpoints_from_one_to_none_to_another(net):
    keys = {}
    for family in FAMILIES:
        keys[family], answer = opened(net, "udp", frontends(net.moving, family)["cluster IP"],
                                      connected=False)
        answered(answer, {"pod11"})
    net.publish("moving", [])
    for key in keys.values():
        assert net["node1"].say(key=key) == {"errno": "ECONNREFUSED"}
    net.publish("moving", ["pod12"])
    for key in keys.values():
        answered(net["node1"].say(key=key), {"pod12"})
    net.publish("moving", ["pod11"])


def test_kill_9_and_restart_break_and_move_no_connection_of_the_node(net):
    ways = {(proto, family): {"proto": proto, "to": net.many.cluster_ip[family],
                              "port": port_of(proto)}
            for proto in ("tcp", "udp") for family in FAMILIES}
    first = {key: net["node1"].hold(key=str(key), count=HELD, **way) for key, way in ways.items()}
    unconnected, answer = opened(net, "udp", frontends(net.many, 4)["cluster IP"],
                                 connected=False)
    net.daemon.kill()
    assert net["node1"].say(key=unconnected)["name"] == answer["name"]
    answered(ask(net["node1"], "tcp", frontends(net.local, 4)["VIP"]), {"pod11"})
    net.daemon.start()
    assert net["node1"].say(key=unconnected)["name"] == answer["name"]
    for key in ways:
        report = net["node1"].release(key=str(key))
        held(report, HELD)
        assert report["servers"] == first[key]["servers"]
    reaches(net, "cluster IP", net.local, "pod11")


def _early(net, service):
    """UDP sockets that are connected to a Service before it is there, and get no answer."""
    keys = []
    for family in FAMILIES:
        for mapped in (False, True) if family == 4 else (False,):
            key, answer = opened(net, "udp", frontends(service, family)["cluster IP"],
                                 mapped=mapped)
            silent(answer)
            keys.append(key)
    return keys


def _closed(net, keys):
    for key in keys:
        assert net["node1"].hear(key=key, timeout_s=5) == {"errno": "ECONNABORTED"}, key


def test_connected_udp_that_is_older_than_its_service_is_closed(net):
    """S-164: it recovers, if by another socket."""
    keys = _early(net, service_of("late", 210))
    kept, answer = opened(net, "udp", frontends(net.local, 4)["cluster IP"])
    answered(answer, {"pod11"})
    service = service_of("late", 210)
    net.folder.write("late", service_objects(service, []))
    eventually(lambda: net.daemon.get("services/default/late"), what="the Service is there")
    for key in keys:
        silent(net["node1"].hear(key=key, timeout_s=SILENCE_S))
    net.folder.write("late", service_objects(service, ["pod12"]))
    _closed(net, keys)
    answered(net["node1"].say(key=kept), {"pod11"})
    reaches(net, "cluster IP", service, "pod12")
    net.folder.remove("late")


def test_services_that_came_while_the_daemon_was_down_close_older_udp_too(net):
    net.daemon.stop()
    service = service_of("later", 211)
    keys = _early(net, service)
    net.folder.write("later", service_objects(service, ["pod12"]))
    net.daemon.start()
    _closed(net, keys)
    net.folder.remove("later")


def test_attach_shows_the_cgroup_and_its_hooks(net):
    item = net.daemon.lbctl_json("attach")["items"][0]
    assert item["kind"] == "cgroup2"
    assert {hook["state"] for hook in item["hooks"]} == {"attached"}
    names = {hook["hook"] for hook in item["hooks"]}
    assert {f"{verb}{family}" for verb in ("connect", "sendmsg", "recvmsg", "getpeername")
            for family in FAMILIES} <= names


def _left_alone(net):
    every_way(lambda proto, family: silent(
        ask(net["node1"], proto, frontends(net.local, family)["cluster IP"],
            timeout_s=SILENCE_S)))
    answered(ask(net["pod12"], "tcp", frontends(net.remote, 4)["cluster IP"]), {"pod21"})


def test_host_processes_can_be_left_alone(net):
    net.daemon.stop()
    net.daemon.start("--host-processes", "false")
    _left_alone(net)
    item = net.daemon.lbctl_json("attach")["items"][0]
    assert item["hooks"] == [] and "hostProcesses" in item["why"]
    net.daemon.stop()
    net.daemon.start()
    reaches(net, "cluster IP", net.local, "pod11")


def test_cleanup_takes_the_hooks_away(net):
    pins = pathlib.Path(BPFFS) / "sluice" / net.daemon.instance
    assert list(pins.rglob("cgroup_connect4"))
    net.daemon.stop()
    net.daemon.cleanup()
    assert not pins.exists()
    every_way(lambda proto, family: silent(
        ask(net["node1"], proto, frontends(net.local, family)["cluster IP"],
            timeout_s=SILENCE_S)))
    net.daemon.start()
    reaches(net, "cluster IP", net.local, "pod11")
