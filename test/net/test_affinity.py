# SPDX-License-Identifier: Apache-2.0
"""ClientIP affinity: memory, not a hash. Clients are first tied while there is one endpoint."""

import time

import pytest

from checks import ask, every_way, frontends, port_of
from sandbox import plan
from sandbox.plan import FAMILIES

LONG_S = 600
SHORT_S = 3
ALL = ("pod11", "pod12", "pod21", "pod22")
OUTSIDE = (1, 2, 3)  # numbers of outside addresses


@pytest.fixture(scope="module", name="net")
def _net(make_sandbox):
    return make_sandbox(pods="routed", between="routes").start()


def clients(net):
    """(worker, source by family) of everybody who asks."""
    yield from ((net["client"], {f: plan.outside_address(f, n) for f in FAMILIES})
                for n in OUTSIDE)
    yield net["pod13"], {f: None for f in FAMILIES}


def asked(net, service, kind="VIP"):
    """Who answers each client once, by (number of client, protocol, family)."""
    answers = {}
    for number, (worker, source) in enumerate(clients(net)):
        for proto in ("tcp", "udp"):
            for family in FAMILIES:
                answer = ask(worker, proto, frontends(service, family)[kind],
                             source=source[family])
                answers[number, proto, family] = answer.get("name") or answer["errno"]
    return answers


def tied(net, name, affinity_s):
    """A Service whose clients all had pod11, when that was its only endpoint."""
    service = net.publish(name, ["pod11"], affinity_s=affinity_s)
    assert set(asked(net, service).values()) == {"pod11"}
    net.publish(name, ALL, affinity_s=affinity_s)
    return service


def all_with(answers, pod):
    elsewhere = {at: who for at, who in answers.items() if who != pod}
    assert not elsewhere, f"not with {pod}: {elsewhere}"


def test_new_connections_of_a_client_stay_when_endpoints_come(net):
    """S-140, S-145: by whatever frontend of the service port."""
    service = tied(net, "staying", LONG_S)
    for kind in ("VIP", "cluster IP", "node port", "external IP"):
        all_with(asked(net, service, kind), "pod11")


def test_ports_and_clients_are_apart(net):
    """S-140, S-141: a new client has all endpoints to choose from."""
    service = net.publish("apart", ALL, affinity_s=LONG_S)
    first = asked(net, service)
    assert len(set(first.values())) > 1, first
    for _ in range(3):
        assert asked(net, service) == first


def test_memory_ends_after_the_timeout_and_not_before(net):
    """S-142: every new connection begins it anew."""
    service = tied(net, "forgetful", SHORT_S)
    for _ in range(4):
        time.sleep(SHORT_S / 3)
        all_with(asked(net, service), "pod11")
    time.sleep(SHORT_S + 1)
    assert len(set(asked(net, service).values())) > 1, "nobody was forgotten"


def test_endpoint_that_left_and_came_back_is_not_remembered(net):
    """S-143, S-147"""
    service = tied(net, "returning", LONG_S)
    net.publish("returning", ALL[1:], affinity_s=LONG_S)
    second = asked(net, service)
    assert "pod11" not in second.values(), second
    net.publish("returning", ALL, affinity_s=LONG_S)
    assert asked(net, service) == second


def test_memory_survives_kill_9(net):
    service = tied(net, "lasting", LONG_S)
    net.daemon.kill()
    all_with(asked(net, service), "pod11")
    net.daemon.start()
    all_with(asked(net, service), "pod11")


def test_affinity_can_be_switched_off_and_on(net):
    """S-148: for new connections, at once."""
    service = tied(net, "switched", LONG_S)
    net.publish("switched", ALL)

    def spreads(proto, family):
        answers = net["client"].spread(proto=proto, to=service.vip[family], port=port_of(proto),
                                       count=40, source=plan.outside_address(family))
        assert set(answers) == set(ALL), answers

    every_way(spreads)
    net.publish("switched", ALL, affinity_s=LONG_S)
    first = asked(net, service)
    for _ in range(3):
        assert asked(net, service) == first


def test_masqueraded_clients_are_still_told_apart(net):
    """The key is the client's address before SNAT (S-140)."""
    net.daemon.stop()
    net.daemon.start("--masquerade", "compatible")
    try:
        service = net.publish("hidden", ALL, affinity_s=LONG_S)
        first = asked(net, service)
        assert len(set(first.values())) > 1, first
        for _ in range(3):
            assert asked(net, service) == first
    finally:
        net.daemon.stop()
        net.daemon.start()
