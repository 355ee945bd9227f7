# SPDX-License-Identifier: Apache-2.0
"""Idle TCP connections whose endpoint left: their clients send nothing, and are reset all the same
where the Service wants that (sluice.dev/on-endpoint-removal). The node's own are closed.
"""

import itertools

import pytest

from checks import SILENCE_S, answered, losses
from sandbox import netns, plan
from sandbox.daemon import eventually
from sandbox.plan import FAMILIES

VARIANTS = {
    "routed": {"pods": "routed", "between": "routes"},
    "bridged": {"pods": "bridge", "between": "vxlan"},
    "xdp": {"pods": "routed", "between": "routes", "xdp": True},
    "compatible": {"pods": "routed", "between": "routes", "flags": ["--masquerade", "compatible"]},
}
ANNOTATION = "sluice.dev/on-endpoint-removal"
# The sweep may have just begun to wait; then come probes, 2 s apart, and machines that are busy.
ENDED_S = 15.0
PROBES = 3

_keys = itertools.count()


@pytest.fixture(scope="module", params=VARIANTS, name="net")
def _net(request, make_sandbox):
    variant = VARIANTS[request.param]
    sandbox = make_sandbox(**variant)
    yield sandbox.start(*(["--xdp", "on"] if variant.get("xdp") else []))
    sandbox.down()


def policy(value):
    return {"annotations": {ANNOTATION: value}}


def rests(net, service, pod, family):
    """Idle connections: of a pod of this node, of a client on the link and of one behind it, and
    of the node itself."""
    found = []
    for who, to, source in (("pod12", service.cluster_ip, None), ("client", service.vip, None),
                            ("client", service.vip, plan.outside_address(family)),
                            ("node1", service.cluster_ip, None)):
        key = f"idle {next(_keys)}"
        answered(net[who].rest(key=key, to=to[family], port=80, source=source), {pod})
        found.append((who, key))
    return found


def of_clients(connections):
    return sum(who != "node1" for who, _ in connections)


def counted(net, who, *names):
    """Counters of a namespace's TCP: its own and, of the kernel's extended ones, TcpExt."""
    found = {}
    for file in ("snmp", "netstat"):
        text = netns.run(*netns.enter(net.topology.name(who)), "cat", f"/proc/self/net/{file}")
        lines = [line.split() for line in text.splitlines()]
        for head, values in zip(lines[::2], lines[1::2]):
            found |= {head[0].rstrip(":") + name: int(value)
                      for name, value in zip(head[1:], values[1:])}
    return {name: found[name] for name in names}


def probes(net):
    return net.daemon.get("status")["idleProbes"]


def heard(net, connections, timeout_s):
    """What each connection receives, while it sends nothing."""
    futures = [net[who].begin("hear", key=key, timeout_s=timeout_s) for who, key in connections]
    return [future.result(2 * timeout_s) for future in futures]


def is_reset(net, connections):
    """A client gets an RST, a process of the node has its socket closed."""
    assert heard(net, connections, ENDED_S) == [
        {"errno": "ECONNABORTED" if who == "node1" else "ECONNRESET"} for who, _ in connections]
    for who, key in connections:
        net[who].hang_up(key=key)


def is_silent(net, connections):
    assert heard(net, connections, SILENCE_S) == [{"errno": "ETIMEDOUT"}] * len(connections)


@pytest.mark.parametrize("pod", ("pod11", "pod21"))
def test_idle_clients_are_reset_though_they_send_nothing(net, pod):
    name = f"ends-{pod}"
    service = net.publish(name, [pod], **policy("reset"))
    connections = [each for family in FAMILIES for each in rests(net, service, pod, family)]
    before = losses(net, service, "endpoint_left")
    sent = probes(net)["sent"]
    net.publish(name, ["pod13"], **policy("reset"))
    is_reset(net, connections)
    assert losses(net, service, "endpoint_left") - before >= of_clients(connections)
    assert probes(net)["sent"] - sent >= of_clients(connections)


def test_a_client_answers_the_probe_with_an_ack_and_is_reset_for_it(net):
    """One segment more out, two in: probe, answer, RST."""
    for family in FAMILIES:
        name = f"seen{family}"
        service = net.publish(name, ["pod11"], **policy("reset"))
        key = f"idle {next(_keys)}"
        answered(net["pod12"].rest(key=key, to=service.cluster_ip[family], port=80), {"pod11"})
        # Its acknowledgement of the server's line may be on the way.
        names = ("TcpOutSegs", "TcpInSegs", "TcpEstabResets")
        eventually(lambda: counted(net, "pod12", *names) == counted(net, "pod12", *names))
        before = counted(net, "pod12", *names)
        net.publish(name, ["pod13"], **policy("reset"))
        is_reset(net, [("pod12", key)])
        after = counted(net, "pod12", *names)
        assert {n: after[n] - before[n] for n in names} == {
            "TcpOutSegs": 1, "TcpInSegs": 2, "TcpEstabResets": 1}


def test_kept_connections_get_no_probe(net):
    kept = net.publish("keeps", ["pod11"])
    ended = net.publish("keeps-not", ["pod11"], **policy("reset"))
    connections = [each for family in FAMILIES for each in rests(net, kept, "pod11", family)]
    others = [each for family in FAMILIES for each in rests(net, ended, "pod11", family)]
    before = counted(net, "pod12", "TcpInSegs")
    net.publish("keeps", ["pod13"])
    net.publish("keeps-not", ["pod13"], **policy("reset"))
    is_reset(net, others)  # a round has passed
    is_silent(net, connections)
    # Its two connections that ended: a probe and an RST each.
    assert counted(net, "pod12", "TcpInSegs")["TcpInSegs"] - before["TcpInSegs"] == 4
    # With another policy the same connections end.
    net.publish("keeps", ["pod13"], **policy("reset"))
    is_reset(net, connections)


def test_drained_connections_end_after_the_deadline_only(net):
    service = net.publish("drains", ["pod11"], **policy("drain=6s"))
    connections = [each for family in FAMILIES for each in rests(net, service, "pod11", family)]
    before = probes(net)["sent"]
    net.publish("drains", ["pod13"], **policy("drain=6s"))
    is_silent(net, connections)
    assert probes(net)["sent"] == before
    is_reset(net, connections)


def test_the_deadline_holds_over_a_restart(net):
    service = net.publish("restarts", ["pod11"], **policy("drain=6s"))
    connections = [each for family in FAMILIES for each in rests(net, service, "pod11", family)]
    net.publish("restarts", ["pod13"], **policy("drain=6s"))
    net.daemon.kill()
    net.daemon.start()
    assert probes(net)["sent"] == 0
    is_reset(net, connections)


def test_what_left_while_the_daemon_was_down_is_ended(net):
    service = net.publish("absent", ["pod11"], **policy("reset"))
    connections = [each for family in FAMILIES for each in rests(net, service, "pod11", family)]
    net.daemon.stop()
    net.publish("absent", ["pod13"], **policy("reset"))
    net.daemon.start()
    is_reset(net, connections)


def test_a_client_that_is_gone_gets_a_few_probes(net):
    """Its packets are dropped, as if it was switched off: nobody answers, and nobody is asked for
    ever."""
    service = net.publish("alone", ["pod11"], **policy("reset"))
    other = net.publish("not-alone", ["pod11"], **policy("reset"))
    key = f"idle {next(_keys)}"
    answered(net["pod13"].rest(key=key, to=service.cluster_ip[4], port=80), {"pod11"})
    before = probes(net)["sent"]
    netns.ip(["link set eth0 down"], net.topology.name("pod13"))
    try:
        net.publish("alone", ["pod12"], **policy("reset"))
        eventually(lambda: probes(net)["sent"] + probes(net)["unreachable"] - before >= PROBES,
                   patience_s=ENDED_S, what="all its probes are sent")
    finally:
        netns.ip(["link set eth0 up"], net.topology.name("pod13"))
    before = probes(net)
    connections = rests(net, other, "pod11", 4)
    net.publish("not-alone", ["pod12"], **policy("reset"))
    is_reset(net, connections)
    after = probes(net)
    assert after["unreachable"] == before["unreachable"]
    assert after["sent"] - before["sent"] == of_clients(connections)
