# SPDX-License-Identifier: Apache-2.0
"""Faults that the API server, its machine and the network have. After each, the tables are those
of a fresh start, and a stream through a Service has lost nothing.

Each is a function that does the harm, makes changes that sluiced can't see meanwhile, and ends
the harm. What it prints is what it injected.
"""

import pytest

import scripted
from sandbox.daemon import eventually
from world import RECONNECTED_S

_MANY = 10_000  # faults that are switched off, not used up


@pytest.fixture(autouse=True)
def _same_process(net):
    """One sluiced lives through a fault; what it waits after failures is not the next one's."""
    net.api.tell("clear")
    net.daemon.stop()
    pid = net.daemon.start().pid
    yield
    assert net.daemon.running() and net.daemon.pid == pid


def say(text):
    print(f"injected: {text}")


def cut_off(net):
    eventually(lambda: not net.daemon.connected(), RECONNECTED_S,
               "sluiced knows that it is cut off")


# What comes over the connection

def cut(how):
    def fault(net):
        say(f"watches end in the middle of an event's JSON, by {how}")
        met = net.api.met("cut")
        net.api.fault("cut", times=2, verb="watch", how=how)
        net.change()
        net.api.wait_met("cut", met + 1)
        net.change()
    return fault


def cut_list(net):
    say("watches get 410, and the list after that ends in the middle of an object, twice")
    met = net.api.met("cut")
    net.api.fault("cut", times=2, verb="list", kind="EndpointSlice")
    net.api.fault("cut", times=2, verb="initial", kind="EndpointSlice")
    net.api.fault("error-event", times=1, kind="EndpointSlice", verb="watch", code=410,
                  reason="Expired")
    net.api.tell("disconnect")
    net.change()
    net.api.wait_met("cut", met)
    net.change()


def duplicates(net):
    say("every event comes twice")
    met = net.api.met("duplicate")
    net.api.fault("duplicate")
    for _ in range(3):
        net.change()
    net.api.wait_met("duplicate", met + 20)


def reordered(net):
    say("events come in pairs, the later one first")
    met = net.api.met("reorder")
    net.api.fault("reorder", times=_MANY)
    # Both events of a pair are about the same object.
    for addresses in (["10.1.0.1"], ["10.1.0.2"]):
        net.api.put(scripted.endpoint_slice("twice-0", "twice", addresses))
    for cluster_ip in ("10.96.202.1", "10.96.202.2"):
        net.api.put(scripted.service("twice", cluster_ip))
    net.api.wait_met("reorder", met + 1)


def slow_drip(net):
    say("1500 bytes a second on each connection, to a client that lists again")
    net.api.tell("drip", bytesPerSecond=1500)
    net.api.tell("compact")
    net.api.tell("disconnect")
    net.change()
    before = net.api.stats()["sentBytes"]
    eventually(lambda: net.api.stats()["sentBytes"] > before + 12_000, RECONNECTED_S, "12 kB came")
    net.change()
    net.api.tell("drip", bytesPerSecond=0)


def long_line(net):
    say("an event of 17 MB, more than a line may have")
    net.api.put(scripted.service("long", "10.96.202.10"), pad=17_000_000)
    net.change()


# What the server answers

def gone(kind, **fields):
    def fault(net):
        say(f"410 as {kind}: {fields}")
        met = net.api.met(kind)
        net.api.fault(kind, times=2, verb="watch", **fields)
        net.api.tell("disconnect")
        net.change()
        net.api.wait_met(kind, met + 1)
    return fault


def gone_midway(net):
    say("an ERROR event of 410 in open watches")
    lists = net.daemon.lists("Service")
    for kind in ("Service", "EndpointSlice"):
        net.api.tell("send", kind=kind, lines=[{"type": "ERROR", "object": {
            "kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired",
            "message": "too old resource version", "code": 410}}])
    net.change()
    eventually(lambda: net.daemon.lists("Service") > lists, RECONNECTED_S, "a new list")


def compacted(net):
    say("all history is compacted while sluiced is cut off")
    net.api.tell("listen", open=False)
    cut_off(net)
    net.change()
    net.api.tell("compact")
    net.api.tell("listen", open=True)


def answers(code, **fields):
    def fault(net):
        say(f"every request is answered with {code} {fields}")
        met = net.api.met("status")
        net.api.fault("status", code=code, reason="Fault", message="scripted", **fields)
        net.api.tell("disconnect")
        net.change()
        net.api.wait_met("status", met + 4)
        net.change()
    return fault


def refused_token(net):
    say("401 until the token file has a new token")
    second = f"token-{net.api.stats()['resourceVersion']}"
    net.api.tell("token", accept=[second])
    net.api.tell("disconnect")
    net.change()
    eventually(lambda: "401" in net.daemon.log_of_this_run(), RECONNECTED_S,
               "the log tells of 401")
    net.daemon.write_token(f"{second}\n")


def without_watch_list(code):
    def fault(net):
        say(f"WatchList is refused with {code}, plain lists and watches are not")
        net.api.fault("status", verb="watchlist", code=code, reason="Invalid",
                      message="sendInitialEvents is forbidden")
        net.api.tell("compact")
        net.api.tell("disconnect")
        net.change()
        eventually(net.daemon.connected, RECONNECTED_S, "sluiced is connected")
    return fault


# The server itself

def refused_connections(net):
    say("connections are refused, the open ones reset")
    net.api.tell("listen", open=False)
    cut_off(net)
    net.change()
    net.api.tell("listen", open=True)


def expired(**fields):
    def fault(net):
        say(f"new connections are shown a certificate: {fields}")
        net.api.tell("certificate", **fields)
        net.api.tell("disconnect")
        cut_off(net)
        net.change()
        net.api.tell("certificate", ca="new" if fields["ca"] == "expired" else "keep",
                     leaf="valid", write=True)
    return fault


def hanging(net):
    say("requests are never answered, once each")
    met = net.api.met("hang")
    net.api.fault("hang", times=1, kind="Service")
    net.api.tell("disconnect")
    net.change()
    net.api.wait_met("hang", met)
    net.api.tell("disconnect")


FAULTS = {
    "cut-by-fin": cut("close"),
    "cut-by-reset": cut("reset"),
    "cut-of-one-request": cut("stream"),
    "cut-list": cut_list,
    "duplicates": duplicates,
    "reordered": reordered,
    "slow-drip": slow_drip,
    "long-line": long_line,
    "410-answer": gone("status", code=410, reason="Expired", message="too old"),
    "410-event": gone("error-event", code=410, reason="Gone", message="too old"),
    "410-reason-alone": gone("error-event", code=0, reason="Expired", message="too old"),
    "410-midway": gone_midway,
    "410-compacted": compacted,
    "429": answers(429, retryAfter=1),
    "500": answers(500),
    "503": answers(503),
    "401": refused_token,
    "no-watch-list-422": without_watch_list(422),
    "no-watch-list-400": without_watch_list(400),
    "refused": refused_connections,
    "expired-certificate": expired(ca="keep", leaf="expired"),
    "expired-ca": expired(ca="expired", leaf="valid", write=True),
    "no-answer": hanging,
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(net, name):
    with net.stream():
        FAULTS[name](net)
        net.api.tell("clear")
        net.check_tables()


# Objects that are wrong: the log names them and the field, and all others count.
_BAD = {
    "spec.ports": scripted.service("bad-ports", "10.96.203.1", ports="none"),
    "spec.ports[0].port": scripted.service("bad-port", "10.96.203.2", ports=[
        {"port": "eighty", "protocol": "TCP"}]),
    "spec": scripted.service("bad-spec", "10.96.203.3") | {"spec": [1]},
    "endpoints": scripted.endpoint_slice("bad-endpoints", "web", []) | {"endpoints": 7},
    "endpoints[0].conditions": scripted.endpoint_slice("bad-conditions", "web", []) | {
        "endpoints": [{"addresses": ["10.1.1.1"], "conditions": []}]},
}


def _tells(net, document, field):
    name = f"{scripted.NAMESPACE}/{document['metadata']['name']}"
    return any(name in line and field in line
               for line in net.daemon.log_of_this_run().splitlines())


def test_invalid_objects_are_named_and_cost_nothing_else(net):
    """Those that watches bring, and again those of a list."""
    say(f"objects with wrong {', '.join(_BAD)}")
    with net.stream():
        for field, document in _BAD.items():
            net.api.put(document)
            eventually(lambda: _tells(net, document, field), RECONNECTED_S,
                       f"the log names {document['metadata']['name']} and {field}")
            net.change()
        net.check_tables()
        net.api.tell("compact")
        net.api.tell("disconnect")
        net.change()
        net.check_tables()
        for document in _BAD.values():
            net.api.delete(document["kind"], document["metadata"]["name"])
        net.check_tables()


def test_invalid_update_leaves_what_was_known(net):
    say("an update with wrong spec.ports of a Service that is served")
    with net.stream():
        wrong = scripted.service("web", scripted.CLUSTER_IP, ports=[{"port": []}])
        net.api.put(wrong)
        eventually(lambda: _tells(net, wrong, "spec.ports[0].port"), RECONNECTED_S,
                   "the log names web and spec.ports[0].port")
        assert net.answering("pod12", [scripted.CLUSTER_IP], 80, 5) == {scripted.POD}
        net.api.put(scripted.service("web", scripted.CLUSTER_IP))
        net.check_tables()
