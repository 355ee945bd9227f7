# SPDX-License-Identifier: Apache-2.0
"""What lbctl says of Services that can't be programmed, and repairs of the pinned maps."""

import ipaddress
import struct
import subprocess

import pytest

from checks import answered, ask, every_way, frontends
from sandbox import plan
from sandbox.daemon import eventually

PODS = ["pod11", "pod12", "pod13", "pod21", "pod22"]


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.steady = sandbox.publish("steady", ["pod11", "pod21"])
    return sandbox.start("--max-backends=24", "--audit-interval=1")


def steady_answers(net):
    every_way(lambda proto, family: answered(
        ask(net["pod12"], proto, frontends(net.steady, family)["cluster IP"]),
        {"pod11", "pod21"}))


def service(net, name):
    return net.daemon.get(f"services/default/{name}")


def test_a_programmed_service_says_so(net):
    one = service(net, "steady")
    assert one["state"] == "programmed", one
    assert "message" not in one and one["since"].endswith("Z")
    assert "programmed since" in net.daemon.lbctl("service", "get", "default/steady")


def test_a_service_that_does_not_fit_is_named_and_harms_nobody(net):
    net.publish("big", PODS, wait=False)
    eventually(lambda: net.daemon.get("status")["programmed"]["failed"] == 1)
    shown = net.daemon.lbctl("status")
    assert shown.startswith("FAILED       default/big since "), shown
    assert "map backends: full" in shown.splitlines()[0]
    one = service(net, "big")
    assert (one["state"], one["ports"]) == ("failed", [])
    assert "map backends: full" in one["message"]
    listed = {item["name"]: item["state"] for item in net.daemon.get("services")["items"]}
    assert listed == {"steady": "programmed", "big": "failed"}
    assert "FAILED" in net.daemon.lbctl("service", "list")
    steady_answers(net)


def test_it_is_programmed_when_room_comes(net):
    small = net.publish("big", ["pod13"], wait=False)
    eventually(lambda: service(net, "big")["state"] == "programmed")
    assert net.daemon.get("status")["failures"] == []
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(small, family)["cluster IP"]), {"pod13"}))
    net.withdraw("big")


def test_nearly_full_maps_are_named(net):
    net.publish("more", ["pod11", "pod12", "pod13"], wait=False)
    eventually(lambda: service(net, "more")["state"] == "programmed")
    fill = {entry["name"]: entry for entry in net.daemon.get("status")["maps"]}["backends"]
    full = fill["entries"] >= 0.9 * fill["maxEntries"]
    assert fill["nearlyFull"] is full, fill
    listed = {entry["name"]: entry for entry in net.daemon.get("maps")["items"]}
    assert listed["backends"]["nearlyFull"] is full
    assert isinstance(listed["maglev"]["entries"], int)
    net.withdraw("more")


def bpftool(net, *words):
    subprocess.run(["bpftool", *words], check=True, stdout=subprocess.DEVNULL)


def pin(net, name):
    maps = net.daemon.get("maps")["items"]
    return next(entry["pinned"] for entry in maps if entry["name"] == name)


def hexadecimal(data):
    return ["hex"] + [f"{byte:02x}" for byte in data]


def repaired(net, name):
    return net.daemon.get("status")["audit"]["repaired"].get(name, 0)


def test_what_somebody_else_removed_comes_back(net):
    eventually(lambda: net.daemon.get("status")["audit"].get("rounds", 0) > 0)
    assert net.daemon.get("status")["audit"]["repaired"] == {}
    vip = ipaddress.ip_address(net.steady.cluster_ip[4]).packed
    key = vip + struct.pack(">HBB", 80, 6, 0)
    bpftool(net, "map", "delete", "pinned", pin(net, "frontends4"), "key", *hexadecimal(key))
    eventually(lambda: repaired(net, "frontends4") == 1, patience_s=30)
    steady_answers(net)
    assert "REPAIRED frontends4 1" in net.daemon.lbctl("status")
    assert f"{net.steady.cluster_ip[4]}:80 protocol 6 is missing" in net.daemon.log.read_text()


def test_a_service_that_somebody_switched_off_comes_back(net):
    identity = next(port["id"] for port in service(net, "steady")["ports"]
                    if (port["protocol"], port["family"]) == ("TCP", "IPv4"))
    bpftool(net, "map", "update", "pinned", pin(net, "services"),
            "key", *hexadecimal(struct.pack("<I", identity)), "value", *hexadecimal(bytes(8)))
    eventually(lambda: repaired(net, "services") == 1, patience_s=30)
    steady_answers(net)
