# SPDX-License-Identifier: Apache-2.0
"""The server at metricsBindAddress: its page is valid, and moves with what it tells of."""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys

import pytest

import exposition
from checks import answered, ask, counters, every_way, frontends, refused
from sandbox import netns, plan
from sandbox.daemon import eventually
from sandbox.sandbox import service_objects, service_of

PORT = 10249
HEALTHZ = 10256
DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
TRIGGER = "endpoints.kubernetes.io/last-change-trigger-time"
SYNC = "kubeproxy_sync_proxy_rules"
_ASK = """
import http.client, json, sys
port, method, path, body = sys.argv[1:]
connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
try:
    connection.request(method, path, body or None)
    answer = connection.getresponse()
    print(json.dumps([answer.status, dict(answer.getheaders()), answer.read().decode()]))
except ConnectionRefusedError:
    print(json.dumps([0, {}, ""]))
"""
# Until its input ends.
_HOLD = """
import socket, sys
holder = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("holding", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.web = sandbox.publish("web", ["pod12", "pod21"])
    sandbox.empty = sandbox.publish("empty", [])
    return sandbox.start()


def get(net, path, port=PORT, method="GET", body=""):
    """Status (0: refused), headers and body, asked on the node."""
    where = netns.enter(net.topology.name("node1"))
    return json.loads(netns.run(*where, sys.executable, "-c", _ASK, str(port), method, path, body))


def scrape(net):
    status, headers, text = get(net, "/metrics")
    assert status == 200, text
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return exposition.read(text)


def value(page, name, **labels):
    """The one sample of the metric with these labels among its own; 0 if there is none."""
    family = re.sub("_(bucket|sum|count)$", "", name)
    family = page[name if name in page else family]
    found = [number for (sample, pairs), number in family.samples.items()
             if sample == name and labels.items() <= dict(pairs).items()]
    assert len(found) < 2, f"{name} {labels} is ambiguous"
    return found[0] if found else 0


def service_value(page, name, service, proto, family, **labels):
    return value(page, f"sluice_service_{name}_total", service_namespace="default",
                 service_name=service.name, protocol=proto.upper(), ip_family=f"IPv{family}",
                 **labels)


def restart(net, *flags):
    net.daemon.stop()
    net.start(*flags)


def test_page_has_what_the_documentation_lists(net):
    page = scrape(net)
    rows = re.findall(r"^\| `([a-z0-9_]+)` \| (\w+) \| ([a-z_,]*) \| (.*) \|$",
                      DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: (kind, help_) for name, kind, _, help_ in rows} == {
        name: (family.type, family.help) for name, family in page.items()}
    labels = {name: set(names.split(",")) - {""} for name, _, names, _ in rows}
    for name, family in page.items():
        for _, pairs in family.samples:
            assert {label for label, _ in pairs} - {"le"} == labels[name], name


def test_traffic_moves_the_services_counters_and_the_totals(net):
    def probe(proto, family):
        before, told = scrape(net), counters(net, net.web, proto, family)
        for _ in range(5):
            answered(ask(net["pod11"], proto, frontends(net.web, family)["cluster IP"]),
                     {"pod12", "pod21"})
        page, tells = scrape(net), counters(net, net.web, proto, family)
        for name, labels, field in (
                ("connections", {}, "connections"),
                ("packets", {"direction": "request"}, "packets"),
                ("packets", {"direction": "answer"}, "answerPackets"),
                ("bytes", {"direction": "request"}, "bytes"),
                ("bytes", {"direction": "answer"}, "answerBytes")):
            grown = tells[field] - told[field]
            assert grown >= 5
            assert service_value(page, name, net.web, proto, family, **labels) == tells[field]
            assert (value(page, f"sluice_{name}_total", **labels)
                    - value(before, f"sluice_{name}_total", **labels)) == grown

    every_way(probe)


def test_losses_are_counted_by_reason(net):
    before = scrape(net)
    refused(ask(net["pod11"], "tcp", frontends(net.empty, 4)["cluster IP"]))
    page = scrape(net)
    lost = service_value(page, "losses", net.empty, "tcp", 4, reason="no_endpoints")
    assert lost > 0
    assert value(page, "sluice_losses_total", reason="no_endpoints") == lost + value(
        before, "sluice_losses_total", reason="no_endpoints")


def _publish_triggered(net, name, number, pods, when):
    objects = service_objects(service_of(name, number), pods)
    for slice_ in objects[1:]:
        slice_["metadata"]["annotations"] = {TRIGGER: when.isoformat().replace("+00:00", "Z")}
    net.folder.write(name, objects)
    eventually(lambda: (document := net.daemon.get(f"services/default/{name}")) and
               {len(port["backends"]) for port in document["ports"]} >= {len(pods)},
               what=f"{name} is programmed")


def test_runs_and_changes_are_counted(net):
    before = scrape(net)
    net.publish("web", ["pod12", "pod21", "pod22"])
    page = scrape(net)
    for name, grown in ((f"{SYNC}_endpoint_changes_total", 2), (f"{SYNC}_service_changes_total", 0)):
        assert value(page, name) - value(before, name) == grown, name
    for family in ("IPv4", "IPv6"):
        for name in ("kubeproxy_sync_partial_proxy_rules_duration_seconds",
                     f"{SYNC}_duration_seconds"):
            assert value(page, f"{name}_count", ip_family=family) > value(
                before, f"{name}_count", ip_family=family), name
        name = "kubeproxy_sync_full_proxy_rules_duration_seconds_count"
        assert value(page, name, ip_family=family) == value(before, name, ip_family=family) > 0
        for name in ("last_timestamp_seconds", "last_queued_timestamp_seconds"):
            assert value(page, f"{SYNC}_{name}", ip_family=family) > value(
                before, f"{SYNC}_{name}", ip_family=family), name
    name = "sluice_change_duration_seconds_count"
    assert value(page, name) > value(before, name)
    for name in ("endpoint_changes_pending", "service_changes_pending"):
        assert value(page, f"{SYNC}_{name}") == 0


def test_network_programming_counts_changes_since_the_start(net):
    def counted():
        page = scrape(net)
        return [value(page, "kubeproxy_network_programming_duration_seconds_count",
                      ip_family=family) for family in ("IPv4", "IPv6")]

    now = datetime.datetime.now(datetime.timezone.utc)
    before = counted()
    _publish_triggered(net, "late", 60, ["pod11"], now)
    assert counted() == [n + 1 for n in before]
    _publish_triggered(net, "late", 60, ["pod11", "pod12"], now - datetime.timedelta(days=1))
    assert counted() == [n + 1 for n in before]
    net.withdraw("late")
    assert counted() == [n + 1 for n in before]


def test_local_policies_without_local_endpoints_are_counted(net):
    def told():
        page = scrape(net)
        return {(family, policy): value(page, f"{SYNC}_no_local_endpoints_total",
                                        ip_family=family, traffic_policy=policy)
                for family in ("IPv4", "IPv6") for policy in ("internal", "external")}

    assert set(told().values()) == {0}
    net.publish("away", ["pod21"], local=True)
    assert told() == {("IPv4", "internal"): 0, ("IPv4", "external"): 2,
                      ("IPv6", "internal"): 0, ("IPv6", "external"): 2}
    net.publish("away", ["pod11", "pod21"], local=True)
    assert set(told().values()) == {0}
    net.withdraw("away")


def test_answers_of_healthz_are_counted(net):
    before = scrape(net)
    get(net, "/healthz", HEALTHZ)
    get(net, "/livez", HEALTHZ)
    get(net, "/livez", HEALTHZ)
    get(net, "/nothing", HEALTHZ)
    page = scrape(net)
    for name, grown in (("healthz", 1), ("livez", 2)):
        name = f"kubeproxy_proxy_{name}_total"
        assert value(page, name, code="200") - value(before, name, code="200") == grown
        assert value(page, name, code="503") == value(before, name, code="503")


def test_state_is_that_of_the_other_documents(net):
    page, status = scrape(net), net.daemon.get("status")
    for name, field in (("services", "services"), ("service_ports", "servicePorts"),
                        ("backends", "backends"), ("services_failed", "failed")):
        assert value(page, f"sluice_{name}") == status["programmed"][field]
    for name in ("frontends4", "backends", "established6", "services"):
        told = next(m for m in net.daemon.get("maps")["items"] if m["name"] == name)
        assert value(page, "sluice_map_max_entries", map=name) == told["maxEntries"]
        assert value(page, "sluice_map_bytes", map=name) == told["bytes"]
    told = next(m for m in net.daemon.get("maps")["items"] if m["name"] == "frontends4")
    assert value(page, "sluice_map_entries", map="frontends4") == told["entries"]
    hooks = [(item["role"], hook["hook"], hook["state"])
             for item in net.daemon.get("attach")["items"] for hook in item["hooks"]]
    assert hooks
    for role, hook, state in set(hooks):
        assert value(page, "sluice_attach_hooks", role=role, hook=hook,
                     state=state) == hooks.count((role, hook, state))
    assert value(page, "sluice_source_connected", source="manifests") == 1
    assert value(page, "sluice_source_listed", kind="Service") == 1


def test_process_is_described(net):
    page, pid = scrape(net), net.daemon.process.pid
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    boot = re.search(r"^btime (\d+)", pathlib.Path("/proc/stat").read_text(encoding="ascii"),
                     re.MULTILINE)
    tick = os.sysconf("SC_CLK_TCK")
    started = int(boot[1]) + int(fields[19]) / tick
    assert abs(value(page, "process_start_time_seconds") - started) < 0.02
    assert value(page, "process_resident_memory_bytes") > 1 << 20
    assert value(page, "process_virtual_memory_bytes") > value(
        page, "process_resident_memory_bytes")
    assert 0 < value(page, "process_open_fds") < value(page, "process_max_fds")
    used = (int(fields[11]) + int(fields[12])) / tick
    assert 0 < value(page, "process_cpu_seconds_total") <= used


def test_other_paths(net):
    assert get(net, "/healthz")[::2] == [200, "ok"]
    assert get(net, "/proxyMode")[::2] == [200, "sluice"]
    status, headers, body = get(net, "/configz")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    config = json.loads(body)["sluice"]
    assert config["instance"] == net.daemon.instance
    assert config["masquerade"] == net.daemon.get("status")["masquerade"]["mode"]
    assert config["snatPorts"] == "61000-65535"
    assert get(net, "/nothing")[0] == 404
    assert get(net, "/metrics", method="POST")[0] == 405
    assert get(net, "/metrics", body="something")[0] == 400
    assert get(net, "/metrics", method="HEAD")[::2] == [200, ""]


def test_totals_do_not_go_back_and_services_go_on_over_a_restart(net):
    going = net.publish("going", ["pod12"])
    answered(ask(net["pod11"], "udp", frontends(going, 4)["cluster IP"]), {"pod12"})
    before = scrape(net)
    assert service_value(before, "connections", going, "udp", 4) == 1
    net.withdraw("going")
    eventually(lambda: not service_value(scrape(net), "packets", going, "udp", 4,
                                         direction="request"), what="its id is free")
    page = scrape(net)
    for name in ("connections", "packets", "bytes"):
        for direction in ((), (("direction", "request"),)):
            if (name == "connections") == bool(direction):
                continue
            name_ = f"sluice_{name}_total"
            assert value(page, name_, **dict(direction)) == value(before, name_, **dict(direction))
    # What is opened from now on is not set off against what went.
    answered(ask(net["pod11"], "tcp", frontends(net.web, 4)["cluster IP"]),
             {"pod12", "pod21", "pod22"})
    page = scrape(net)
    name = "sluice_connections_total"
    assert value(page, name) == value(before, name) + 1
    told = service_value(page, "connections", net.web, "tcp", 4)
    restart(net)
    page = scrape(net)
    assert value(page, "sluice_connections_total") == 0
    assert service_value(page, "connections", net.web, "tcp", 4) == told


def test_metrics_of_services_are_bounded(net):
    ports = int(value(scrape(net), "sluice_service_ports"))
    for room in (3, 0):
        restart(net, "--metrics-services", str(room))
        page = scrape(net)
        assert len(page.get("sluice_service_connections_total",
                            exposition.Family("", "")).samples) == room
        assert value(page, "sluice_metrics_service_ports_left_out") == ports - room
        answered(ask(net["pod11"], "tcp", frontends(net.web, 4)["cluster IP"]),
                 {"pod12", "pod21", "pod22"})
        assert value(scrape(net), "sluice_connections_total") == 1
    restart(net)


def test_taken_port_is_told_and_tried_again(net):
    net.daemon.stop()
    where = netns.enter(net.topology.name("node1"))
    with subprocess.Popen([*where, sys.executable, "-c", _HOLD, str(PORT)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        net.start()
        log = net.daemon.log.read_text(encoding="utf-8")
        assert f"metrics: listen on 127.0.0.1:{PORT}: Address already in use" in log
    eventually(lambda: get(net, "/proxyMode")[0] == 200, what="it listens")


def test_no_address_no_server(net):
    restart(net, "--metrics-bind-address", "")
    assert get(net, "/metrics")[0] == 0
    restart(net, "--metrics-bind-address", "127.0.0.1:10250")
    assert get(net, "/healthz", 10250)[0] == 200
    assert get(net, "/metrics")[0] == 0
