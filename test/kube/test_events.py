# SPDX-License-Identifier: Apache-2.0
"""What sluiced tells the API server, and the ServiceCIDRs that it reads from it."""

from sandbox.daemon import eventually
from world import NODE, PROGRAMMED_S

_EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"
_CIDRS = "/apis/networking.k8s.io/v1/servicecidrs"


def _kind(world, name):
    kinds = world.daemon.get("status")["source"]["kinds"]
    return next(kind for kind in kinds if kind["kind"] == name)


def test_the_node_has_an_event_of_the_start(world):
    """S-260, with no more rights than system:node-proxier has."""
    client = world.control_plane.api

    def starts():
        return [e for e in client.request("GET", _EVENTS)["items"]
                if e["reason"] == "Starting" and e["reportingController"] == "sluice"]

    event = eventually(starts, PROGRAMMED_S, "an event of the start")[-1]
    assert event["type"] == "Normal"
    assert event["regarding"]["kind"] == "Node"
    assert event["regarding"]["name"] == NODE
    assert event["reportingInstance"] == f"sluice-{NODE}"
    assert "refused" not in world.daemon.log_of_this_run()


def test_a_new_service_cidr_is_seen(world):
    client = world.control_plane.api
    before = _kind(world, "ServiceCIDR")
    assert before["listed"]

    client.request("POST", _CIDRS, {
        "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "sluice-more"}, "spec": {"cidrs": ["10.211.0.0/24"]}})
    try:
        eventually(lambda: _kind(world, "ServiceCIDR")["events"] > before["events"], PROGRAMMED_S,
                   "the new ServiceCIDR in the source's status")
    finally:
        client.request("DELETE", f"{_CIDRS}/sluice-more")
