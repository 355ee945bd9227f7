# SPDX-License-Identifier: Apache-2.0
"""Clients that send a datagram every millisecond and never stop follow their Service's endpoints.

benchmarks/udp-failover has the figures; here the bound is generous.
"""

import pytest

from checks import port_of
from sandbox.failover import UdpStream, moves, quantile, returns

RUNS = 6
BOUND_S = 2.0
# Who sends, to which kind of address, between which pods the Service moves.
WAYS = [("pod13", "cluster_ip", ("pod11", "pod12")), ("pod13", "cluster_ip", ("pod11", "pod21")),
        ("client", "vip", ("pod11", "pod21")), ("client", "vip", ("pod21", "pod22"))]


@pytest.fixture(scope="module", name="net", params=["minimal", "compatible"])
def _net(request, make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes", flags=["--masquerade", request.param])
    yield sandbox.start()
    sandbox.down()


def follows(net, run):
    for who, kind, pods in WAYS:
        service = net.publish("moving", pods[:1])
        for family, to in getattr(service, kind).items():
            with UdpStream(net.topology.name(who), to, port_of("udp")) as stream:
                stream.reaches(pods[0], 0)
                took = run(stream, lambda to: net.publish("moving", to, wait=False), pods, RUNS)
                net.publish("moving", pods[:1])
            print(f"{who} to {kind} over IPv{family}, {pods}: {quantile(took, 0.5) * 1000:.1f} ms, "
                  f"at most {max(took) * 1000:.1f} ms")
            assert max(took) < BOUND_S


def test_the_next_datagrams_reach_the_backend_that_replaced_theirs(net):
    follows(net, moves)


def test_clients_that_were_refused_reach_the_first_backend_that_comes(net):
    follows(net, returns)
