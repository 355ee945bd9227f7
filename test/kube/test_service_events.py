# SPDX-License-Identifier: Apache-2.0
"""Events about Services and the node, found as kubectl describe finds them."""

import pytest

from objects import port
from sandbox import plan
from sandbox.daemon import eventually
from world import NODE, PROGRAMMED_S, RECONNECTED_S

VIP = plan.host(plan.NETWORKS["vip"][4], 9)
LEAVE = "sluice.dev/on-endpoint-removal"
# A restart that begins anew: maps keep their sizes otherwise.
SMALL = ("--max-frontends", "64")


def core_events(world, namespace, uid):
    """What kubectl describe lists."""
    path = f"/api/v1/namespaces/{namespace}/events?fieldSelector=involvedObject.uid={uid}"
    return world.control_plane.api.request("GET", path)["items"]


def find(world, service, reason):
    """The newest Event with this reason about the Service, by its uid."""
    meta = service["metadata"]

    def look():
        return [e for e in core_events(world, meta["namespace"], meta["uid"])
                if e["reason"] == reason]

    found = eventually(look, PROGRAMMED_S, f"an Event {reason} about {meta['name']}")[-1]
    assert found["involvedObject"]["kind"] == "Service"
    assert found["involvedObject"]["name"] == meta["name"]
    assert found["reportingComponent"] == "sluice"
    # The same by the newer API, which has no other way to ask.
    path = f"/apis/events.k8s.io/v1/namespaces/{meta['namespace']}/events"
    same = world.control_plane.api.request("GET", f"{path}/{found['metadata']['name']}")
    assert same["regarding"]["uid"] == meta["uid"]
    return found


def annotate(ns, name, value):
    ns.api.patch("Service", ns.name, name, {"metadata": {"annotations": {LEAVE: value}}})


def test_a_service_without_a_fault_has_no_event(world, ns):
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    service = ns.service("web", [port(80, 8080)])
    world.programmed(ns, "web", pods)
    # What a later Service's Event shows: nothing is on its way.
    broken = ns.service("broken", [port(80)], selector=None)
    annotate(ns, "broken", "drop")
    find(world, broken, "FieldIgnored")
    assert not core_events(world, ns.name, service["metadata"]["uid"])


def test_an_annotation_that_is_none_is_told(world, ns):
    service = ns.service("web", [port(80)], selector=None)
    annotate(ns, "web", "sometimes")
    event = find(world, service, "FieldIgnored")
    assert event["type"] == "Warning"
    assert LEAVE in event["message"] and '"sometimes"' in event["message"]


def test_what_is_wrong_at_the_start_is_told(world, ns):
    """When all objects come at once."""
    service = ns.service("web", [port(80)], selector=None)
    world.daemon.stop()
    try:
        annotate(ns, "web", "never")
    finally:
        world.daemon.start()
    assert LEAVE in find(world, service, "FieldIgnored")["message"]


def test_who_waits_for_a_frontend_hears_who_holds_it(world, ns):
    ns.service("first", [port(80)], selector=None, externalIPs=[VIP])
    world.daemon.wait_frontends(ns, "first", [VIP], True, PROGRAMMED_S)
    second = ns.service("second", [port(80)], selector=None, externalIPs=[VIP])
    event = find(world, second, "FrontendConflict")
    assert event["type"] == "Warning"
    assert f"{VIP}:80/TCP is held by Service {ns.name}/first" in event["message"]


@pytest.fixture(name="small")
def _small(world, ns):
    """sluiced with tables that are soon full; as before afterwards."""
    daemon = world.daemon
    daemon.stop()
    daemon.cleanup()
    daemon.start(*SMALL)
    yield
    if daemon.running():
        daemon.stop()
    daemon.cleanup()
    daemon.start()
    world.restore(ns)


@pytest.mark.usefixtures("small")
def test_full_maps_are_told_of_the_node_and_of_who_has_no_room(world, ns):
    """And of the latter again when it has room."""
    def node_event():
        return [e for e in core_events(world, "default", NODE) if e["reason"] == "MapNearlyFull"]

    def failed():
        return {f["name"] for f in world.daemon.get("status")["failures"]}

    ports = [port(80 + i, name=f"p{i}") for i in range(8)]
    made = {name: ns.service(name, ports, selector=None)
            for name in (f"fill{i}" for i in range(12))}
    last = eventually(lambda: sorted(failed() & set(made)), PROGRAMMED_S, "a full map")[0]
    event = find(world, made[last], "FailedToProgram")
    assert event["type"] == "Warning"
    assert "full" in event["message"] and f"{ns.name}/{last}" in event["message"]
    found = eventually(node_event, PROGRAMMED_S, "an Event MapNearlyFull of the node")[-1]
    assert found["involvedObject"]["kind"] == "Node"
    assert "frontends" in found["message"]

    for name in set(made) - failed():
        ns.delete_service(name)
    eventually(lambda: not failed(), RECONNECTED_S, "all have room")
    assert find(world, made[last], "Programmed")["type"] == "Normal"
