# SPDX-License-Identifier: Apache-2.0
"""What lbctl explain foretells, and what then becomes of real packets."""

import subprocess

import pytest

from checks import answered, ask, every_way, frontends, port_of, refused, silent
from sandbox import plan
from sandbox.plan import FAMILIES


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.web = sandbox.publish("web", ["pod12", "pod13", "pod21"])
    sandbox.away = sandbox.publish("away", ["pod21"], local=True)
    sandbox.empty = sandbox.publish("empty", [])
    return sandbox.start()


def place(address, port):
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def explain(net, proto, frontend, source, source_port=None, iface=None):
    address, port = frontend
    words = ["explain", "--from", place(source, source_port),
             "--to", f"{place(address, port or port_of(proto))}/{proto}"]
    told = net.daemon.lbctl_json(*words, *(["--iface", iface] if iface else []))
    assert told.get("agrees") is not False, told
    return told


def pod_of(endpoint):
    """The pod that has this "address:port"."""
    address = endpoint.rpartition(":")[0].strip("[]")
    return next(pod for pods in plan.NODES.values() for pod in pods
                for family in FAMILIES if plan.pod_address(pod, family) == address)


def test_the_endpoint_that_is_chosen_answers_a_pod(net):
    link = net.topology.pod_link("pod11")
    seen = set()

    def probe(proto, family):
        for kind, frontend in frontends(net.web, family).items():
            for source_port in range(7401, 7405):
                told = explain(net, proto, frontend, plan.pod_address("pod11", family),
                               source_port, link)
                assert told["agrees"] is True, (kind, told)
                chosen = pod_of(told["chosen"])
                answered(ask(net["pod11"], proto, frontend, source_port=source_port), {chosen})
                seen.add(chosen)

    every_way(probe)
    assert seen == {"pod12", "pod13", "pod21"}


def test_what_the_outside_meets_is_foretold(net):
    def probe(proto, family):
        client = plan.host(plan.NETWORKS["outside"][family], 1)
        for kind, frontend in frontends(net.web, family).items():
            told = explain(net, proto, frontend, client, 7411, "eth0")
            assert (told["verdict"], told["agrees"]) == ("forward", True), (kind, told)
            answered(ask(net[plan.CLIENT], proto, frontend, source=client, source_port=7411),
                     {pod_of(told["chosen"])})
        told = explain(net, proto, frontends(net.away, family)["VIP"], client, 7411, "eth0")
        assert (told["verdict"], told["reason"]) == ("drop", "no_local_endpoints"), told
        assert "S-115" in told["steps"][-1]["rules"], told
        silent(ask(net[plan.CLIENT], proto, frontends(net.away, family)["VIP"], source=client,
                   timeout_s=0.5))
        told = explain(net, proto, frontends(net.empty, family)["VIP"], client, 7411, "eth0")
        assert (told["verdict"], told["reason"]) == ("reject", "no_endpoints"), told
        refused(ask(net[plan.CLIENT], proto, frontends(net.empty, family)["VIP"], source=client))

    every_way(probe)


def test_every_other_packet_is_told_apart(net):
    link = net.topology.pod_link("pod11")

    def probe(proto, family):
        pod = plan.pod_address("pod11", family)
        rows = [((net.web.cluster_ip[family], 9), "reject", "S-121"),
                ((net.web.vip[family], 9), "pass", "S-123"),
                ((plan.node_address("node1", family), 9), "pass", "S-125"),
                ((plan.node_address("node2", family), net.web.node_port), "pass", "S-124")]
        for frontend, verdict, rule in rows:
            told = explain(net, proto, frontend, pod, iface=link)
            assert (told["verdict"], told["agrees"]) == (verdict, True), told
            assert rule in told["steps"][0]["rules"], told
        node = plan.node_address("node1", family)
        told = explain(net, proto, frontends(net.web, family)["cluster IP"], node)
        assert (told["packet"]["local"], told["agrees"]) == (True, True), told
        assert len(told["endpoints"]) == 3 and told["chosen"] is None, told

    every_way(probe)


def test_an_interface_without_a_role_is_not_looked_at(net):
    told = explain(net, "tcp", frontends(net.web, 4)["cluster IP"], "127.0.0.1", iface="lo")
    assert told["verdict"] == "pass" and "datapath" not in told
    assert "lo, which has no role" in told["steps"][0]["text"]


def test_a_table_says_it_to_people(net):
    text = net.daemon.lbctl("explain", "--from", plan.pod_address("pod11", 4),
                            "--to", f"{net.web.cluster_ip[4]}:80",
                            "--iface", net.topology.pod_link("pod11"))
    assert "Verdict:   goes to one of 3 endpoints of default/web" in text
    assert "decides the same" in text


def test_what_cannot_be_asked_is_refused(net):
    for words, code, want in (
            (["--from", "10.0.0.1", "--to", "10.96.0.1"], 2, "is not ADDRESS:PORT"),
            (["--from", "10.0.0.1", "--to", "10.96.0.1:80", "--iface", "none0"], 1,
             'no interface "none0"')):
        done = subprocess.run(net.daemon.lbctl_command("explain", *words),
                              capture_output=True, text=True, check=False)
        assert done.returncode == code and want in done.stderr, done
