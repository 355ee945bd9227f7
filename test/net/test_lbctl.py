# SPDX-License-Identifier: Apache-2.0
"""What lbctl shows of real traffic."""

import subprocess

import pytest

from checks import answered, ask, counters, every_way, frontends
from sandbox import plan
from sandbox.plan import FAMILIES

ASKED = 5


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.web = sandbox.publish("web", ["pod12", "pod21"])
    sandbox.quiet = sandbox.publish("quiet", ["pod13"])
    return sandbox.start()


def talk(net, proto, family, times=ASKED):
    for _ in range(times):
        answered(ask(net["pod11"], proto, frontends(net.web, family)["cluster IP"]),
                 {"pod12", "pod21"})


def test_status_shows_the_instance_and_what_is_programmed(net):
    status = net.daemon.lbctl_json("status")
    assert (status["apiVersion"], status["kind"]) == ("sluice.dev/v1", "Status")
    assert status["instance"] == net.daemon.instance
    assert status["pid"] == net.daemon.process.pid
    assert status["programmed"]["services"] == 2
    assert status["programmed"]["failed"] == 0


def test_service_counters_are_what_was_sent(net):
    def probe(proto, family):
        before = counters(net, net.web, proto, family)
        talk(net, proto, family)
        after = counters(net, net.web, proto, family)
        assert after["connections"] - before["connections"] == ASKED
        for field in ("packets", "answerPackets"):
            grown = after[field] - before[field]
            assert grown >= ASKED if proto == "tcp" else grown == ASKED, (field, grown)
        assert after["bytes"] > before["bytes"]

    every_way(probe)
    assert counters(net, net.quiet, "tcp", 4)["packets"] == 0


def test_service_list_names_frontends_and_backends(net):
    items = net.daemon.lbctl_json("service", "list")["items"]
    web = next(item for item in items if item["name"] == "web")
    port = next(p for p in web["ports"] if (p["protocol"], p["family"]) == ("TCP", "IPv4"))
    shown = {(frontend["kind"], frontend["address"]) for frontend in port["frontends"]}
    assert shown == {("clusterIP", f"{net.web.cluster_ip[4]}:80"),
                     ("nodePort", f"*:{net.web.node_port}"),
                     ("loadBalancer", f"{net.web.vip[4]}:80"),
                     ("externalIP", f"{net.web.external_ip[4]}:80")}
    assert "web" in net.daemon.lbctl("service", "list")


def test_backend_list_counts_each_backend(net):
    talk(net, "udp", 4)
    items = net.daemon.lbctl_json("backend", "list")["items"]
    ours = [b for b in items if b["service"] == "default/web"
            and (b["protocol"], b["family"]) == ("UDP", "IPv4")]
    assert {b["address"]: b["local"] for b in ours} == {
        f"{plan.pod_address('pod12', 4)}:{plan.UDP_PORT}": True,
        f"{plan.pod_address('pod21', 4)}:{plan.UDP_PORT}": False}
    total = counters(net, net.web, "udp", 4)
    assert sum(b["counters"]["packets"] for b in ours) == total["packets"]


def test_flow_list_finds_flows_by_client_service_and_backend(net):
    for family in FAMILIES:
        net["pod11"].hold(key="one", proto="tcp", to=net.web.cluster_ip[family], port=80,
                          count=1, source_port=7300 + family, interval_s=0.05)
        server = net["pod11"].held(key="one")["servers"].popitem()[0]
        client = plan.pod_address("pod11", family)
        for flag, value in (("--client", client), ("--service", "default/web"),
                            ("--backend", plan.pod_address(server, family))):
            flows = net.daemon.lbctl_json("flow", "list", flag, value)["items"]
            ours = [f for f in flows if f["client"].endswith(f":{7300 + family}")]
            assert len(ours) == 1, f"{flag} {value}: {flows}"
            assert ours[0]["packets"] > 0 and ours[0]["answerPackets"] > 0, ours
            assert ours[0]["state"] == "established"
        flows = net.daemon.lbctl_json("flow", "list", "--service", "default/quiet")["items"]
        assert flows == []
        net["pod11"].release(key="one")


def test_attach_shows_every_interface_and_why(net):
    items = {i["name"]: i for i in net.daemon.lbctl_json("attach")["items"]}
    assert items["eth0"]["role"] == "uplink"
    for pod in plan.NODES["node1"]:
        link = items[net.topology.pod_link(pod)]
        assert link["role"] == "pod", link
        assert all(hook["state"] == "attached" for hook in link["hooks"] if "/" in hook["hook"])
    assert all(item["why"] for item in items.values())


def test_map_list_shows_entries_in_use(net):
    maps = {m["name"]: m for m in net.daemon.lbctl_json("map", "list")["items"]}
    # Four frontends a port and two ports, of two Services, in each family.
    for family in FAMILIES:
        assert maps[f"frontends{family}"]["entries"] >= 2 * 2 * 4
    assert all(m["pinned"] for m in maps.values())
    assert maps["established4"]["bytes"] > 0


def test_yaml_and_wide_tables_show_the_same_service(net):
    assert "name: web" in net.daemon.lbctl("service", "get", "default/web", "-o", "yaml")
    assert "web" in net.daemon.lbctl("service", "list", "-o", "wide")


def test_service_that_is_unknown_is_an_error(net):
    done = subprocess.run(net.daemon.lbctl_command("service", "get", "default/nobody"),
                          capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "nobody" in done.stderr


def test_lbctl_reads_the_pins_when_sluiced_is_down(net):
    every_way(lambda proto, family: talk(net, proto, family, 1))
    net.daemon.stop()
    try:
        done = subprocess.run(net.daemon.lbctl_command("service", "list", "-o", "json"),
                              capture_output=True, text=True, check=False)
        assert '"web"' in done.stdout, done
        assert net.daemon.instance in done.stderr, f"no word that sluiced is down: {done.stderr}"
        status = subprocess.run(net.daemon.lbctl_command("status"), capture_output=True,
                                text=True, check=False)
        assert status.returncode != 0
    finally:
        net.daemon.start()
