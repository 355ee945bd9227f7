# SPDX-License-Identifier: Apache-2.0
"""What net tests say about answers."""

from sandbox import plan
from sandbox.daemon import eventually
from sandbox.plan import FAMILIES

PROTOS = ("tcp", "udp")
SILENCE_S = 0.8
# A TCP sender over IPv6 whose SYN is refused while connect() still holds the socket, as on one
# machine it is, believes only the answer to its second one, 1 s later; nft's reject gives the same.
PROMPT_MS = 1900


def every_way(probe, protos=PROTOS):
    """Runs probe(proto, family) for each protocol and family and tells all that fail."""
    failures = []
    for proto in protos:
        for family in FAMILIES:
            try:
                probe(proto, family)
            except AssertionError as error:
                failures.append(f"{proto} over IPv{family}: {error}")
    assert not failures, "\n".join(failures)


def port_of(proto):
    """The port of a published Service."""
    return 80 if proto == "tcp" else 53


def target_of(proto):
    """The port that pods serve."""
    return plan.TCP_PORT if proto == "tcp" else plan.UDP_PORT


def answered(answer, by, peer=None):
    """One of `by` answered, and saw one of the addresses `peer` as its client."""
    assert answer.get("name") in by, f"got {answer}, wanted an answer of {by}"
    if peer:
        assert answer["peer"][0] in peer, f"{answer['name']} saw {answer['peer']}, not {peer}"


def refused(answer):
    assert answer.get("errno") == "ECONNREFUSED", f"got {answer}, wanted ECONNREFUSED"
    assert answer["ms"] < PROMPT_MS, f"refused after {answer['ms']} ms only"


def silent(answer):
    assert answer.get("errno") == "ETIMEDOUT", f"got {answer}, wanted silence"


def intact(result, by):
    assert result.get("name") in by, f"got {result}, wanted a transfer with {by}"
    assert result["up"], "what the server received is not what was sent"
    assert result["down"], "what the client received is not what was sent"


def held(report, flows):
    """All flows live, none moved."""
    assert not report["broken"], f"{len(report['broken'])} broken: {report['broken'][:5]}"
    assert report["moved"] == 0, f"{report['moved']} moved"
    assert sum(report["servers"].values()) == flows, report


def echo_on(worker, keys, times=4, patience_s=20):
    """Waits until every flow of these holds was echoed some times more."""
    def least():
        return min(worker.held(key=key)["least"] for key in keys)

    goal = least() + times
    eventually(lambda: least() >= goal, patience_s, "every flow is echoed")


def frontends(service, family, node="node1"):
    """How an external client reaches a Service's ports: {kind: (address, port or None)}."""
    return {
        "cluster IP": (service.cluster_ip[family], None),
        "node port": (plan.node_address(node, family), service.node_port),
        "VIP": (service.vip[family], None),
        "external IP": (service.external_ip[family], None),
    }


def ask(worker, proto, frontend, **options):
    address, port = frontend
    return worker.ask(proto=proto, to=address, port=port or port_of(proto), **options)


def losses(net, service, reason):
    """Packets that a Service lost for a reason, over all its ports."""
    document = net.daemon.get(f"services/default/{service.name}")
    return sum(loss["packets"] for port in document["ports"] for loss in port["losses"]
               if loss["reason"] == reason)


def counters(net, service, proto, family):
    document = net.daemon.get(f"services/default/{service.name}")
    port = next(p for p in document["ports"]
                if p["protocol"] == proto.upper() and p["family"] == f"IPv{family}")
    return port["counters"]


def snat_addresses(family):
    """What a remote backend may see instead of an outside client: node1, not the client."""
    return {plan.node_address("node1", family), plan.gateway("node1", family),
            plan.host(plan.POD_NETWORKS["node1"][family], 0)}
