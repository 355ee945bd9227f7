# SPDX-License-Identifier: Apache-2.0
"""lbctl migrate: what of kube-proxy is found on a node, and what is removed."""

import json
import shutil
import signal
import subprocess
import sys
import textwrap

import pytest

from conftest import BINARIES
from sandbox import netns

NODE = "sl-migrate-node"
PROGRAMS = ["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"]

# kubelet's, an administrator's and a network plugin's.
OTHERS = """
*nat
:CNI-HOSTPORT-DNAT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-HOSTPORT-DNAT -p tcp -m tcp --dport 8080 -j RETURN
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-ROUTER-INPUT - [0:0]
-A INPUT -j KUBE-ROUTER-INPUT
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp -m tcp --dport 22 -m comment --comment "not KUBE-SERVICES" -j ACCEPT
-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP
COMMIT
*mangle
:KUBE-IPTABLES-HINT - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
COMMIT
"""

KUBE_PROXYS = """
*nat
:KUBE-EXT-ABCDEFGHIJKLMNOP - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-POSTROUTING - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SEP-ABCDEFGHIJKLMNOP - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABCDEFGHIJKLMNOP - [0:0]
-I PREROUTING 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I OUTPUT 1 -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I POSTROUTING 1 -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-NODEPORTS -p tcp -m tcp --dport 30080 -j KUBE-EXT-ABCDEFGHIJKLMNOP
-A KUBE-EXT-ABCDEFGHIJKLMNOP -j KUBE-MARK-MASQ
-A KUBE-EXT-ABCDEFGHIJKLMNOP -j KUBE-SVC-ABCDEFGHIJKLMNOP
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
-A KUBE-SEP-ABCDEFGHIJKLMNOP -p tcp -m tcp -j DNAT --to-destination {endpoint}
-A KUBE-SERVICES -d {vip} -p tcp -m tcp --dport 80 -j KUBE-SVC-ABCDEFGHIJKLMNOP
-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS
-A KUBE-SVC-ABCDEFGHIJKLMNOP -j KUBE-SEP-ABCDEFGHIJKLMNOP
COMMIT
*filter
:KUBE-EXTERNAL-SERVICES - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-PROXY-CANARY - [0:0]
:KUBE-PROXY-FIREWALL - [0:0]
:KUBE-SERVICES - [0:0]
-I INPUT 1 -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL
-I INPUT 1 -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS
-I FORWARD 1 -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-I FORWARD 1 -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD
-I OUTPUT 1 -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
COMMIT
*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
"""

NFTABLES = """
table {family} kube-proxy {{
	map services {{ type inet_proto . inet_service : verdict; }}
	chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
	chain services {{ meta l4proto . th dport vmap @services; }}
	chain endpoint {{ counter; }}
}}
add element {family} kube-proxy services {{ tcp . 80 : goto endpoint }}
"""


def inside(*command, stdin=None):
    return netns.run(*netns.enter(NODE), *command, stdin=stdin)


@pytest.fixture(name="node", autouse=True)
def _node():
    netns.run("ip", "netns", "add", NODE)
    netns.ip(["link set lo up"], NODE)
    yield
    netns.run("ip", "netns", "delete", NODE)


@pytest.fixture(name="start")
def _start():
    """Starts a process in the node."""
    running = []

    def begin(*command):
        running.append(subprocess.Popen([*netns.enter(NODE), *command],  # pylint: disable=consider-using-with
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True))
        return running[-1]

    yield begin
    for process in running:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


def migrate(verb, *words):
    """The exit code, the document, and what is complained of."""
    done = subprocess.run([*netns.enter(NODE), BINARIES / "lbctl", "migrate", verb, "-o", "json", *words],
                          capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


def found(document):
    return {(item["where"], item["what"]): (item["chains"], item["rules"])
            for item in document["found"]}


def addresses(program):
    return {"endpoint": "[fd00::2]:80", "vip": "fd00:10::1/128"} if program.startswith("ip6") else \
        {"endpoint": "10.1.0.2:80", "vip": "10.96.0.1/32"}


def restore(program, text):
    inside(f"{program}-restore", "--noflush", stdin=text.format(**addresses(program)))


def saved(program):
    """What is in the tables, without comments and counters."""
    lines = inside(f"{program}-save").splitlines()
    return [line.split(" [")[0] for line in lines if not line.startswith("#")]


def test_a_node_without_kube_proxy_has_nothing_to_do():
    code, plan, _ = migrate("plan")
    assert (code, plan["found"], plan["steps"]) == (0, [], [])
    assert not plan["kubeProxy"]["running"] and not plan["sluice"]["serving"]
    code, cleanup, _ = migrate("cleanup")
    assert (code, cleanup["found"], cleanup["failed"]) == (0, [], [])


@pytest.mark.parametrize("program", PROGRAMS)
def test_chains_of_iptables_are_removed_and_others_stay(program):
    restore(program, OTHERS)
    before = saved(program)
    restore(program, KUBE_PROXYS)
    full = saved(program)
    want = {(program, "table nat"): (8, 14), (program, "table filter"): (6, 6),
            (program, "table mangle"): (1, 0)}
    code, plan, _ = migrate("plan")
    assert (code, found(plan)) == (1, want)
    assert "lbctl migrate cleanup" in [step["command"] for step in plan["steps"]]
    code, dry, _ = migrate("cleanup", "--dry-run")
    assert (code, found(dry), saved(program)) == (0, want, full)
    code, cleanup, _ = migrate("cleanup")
    assert (code, found(cleanup), cleanup["failed"], cleanup["kept"]) == (0, want, [], [])
    assert saved(program) == before
    assert migrate("plan")[0] == 0


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_chain_that_others_use_stays_with_what_it_needs(program):
    restore(program, OTHERS)
    restore(program, KUBE_PROXYS)
    inside(program, "-t", "nat", "-A", "CNI-HOSTPORT-DNAT", "-p", "tcp", "-j", "KUBE-EXT-ABCDEFGHIJKLMNOP")
    code, cleanup, _ = migrate("cleanup")
    assert (code, cleanup["failed"]) == (0, [])
    kept = {item["what"].split()[-1] for item in cleanup["kept"]}
    assert kept == {"KUBE-EXT-ABCDEFGHIJKLMNOP", "KUBE-MARK-MASQ", "KUBE-SVC-ABCDEFGHIJKLMNOP",
                    "KUBE-SEP-ABCDEFGHIJKLMNOP"}
    left = inside(f"{program}-save", "-t", "nat")
    assert "--to-destination" in left and "--set-xmark 0x4000/0x4000" in left
    assert "KUBE-SERVICES" not in left and "MASQUERADE" not in left


def test_tables_of_nftables_are_removed_and_others_stay():
    inside("nft", "-f", "-", stdin="table inet kube-proxy { chain services { counter; }\n}\n"
           "table ip filter { chain KUBE-LIKE { counter; }\n}\n")
    before = inside("nft", "list", "ruleset")
    for family in ("ip", "ip6"):
        inside("nft", "-f", "-", stdin=NFTABLES.format(family=family))
    want = {("nftables ip", "table kube-proxy"): (3, 3), ("nftables ip6", "table kube-proxy"): (3, 3)}
    assert found(migrate("plan")[1]) == want
    code, cleanup, _ = migrate("cleanup")
    assert (code, found(cleanup), cleanup["failed"]) == (0, want, [])
    assert inside("nft", "list", "ruleset") == before


def test_sets_of_mode_ipvs_are_removed_and_others_stay():
    # kube-proxy cuts names at what the kernel takes.
    cut = "KUBE-6-LOAD-BALANCER-SOURCE-CID"
    for name, family in (("KUBE-CLUSTER-IP", "inet"), ("KUBE-6-CLUSTER-IP", "inet6"), (cut, "inet6"),
                         ("KUBE-MINE", "inet")):
        inside("ipset", "create", name, "hash:ip,port", "family", family)
    restore("iptables-nft", "*nat\n:KUBE-SERVICES - [0:0]\n-A PREROUTING -j KUBE-SERVICES\n"
            "-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\nCOMMIT\n")
    code, cleanup, _ = migrate("cleanup")
    assert (code, cleanup["failed"]) == (0, [])
    assert set(found(cleanup)) == {("iptables-nft", "table nat"), ("ipset", "set KUBE-CLUSTER-IP"),
                                   ("ipset", "set KUBE-6-CLUSTER-IP"), ("ipset", f"set {cut}")}
    assert inside("ipset", "list", "-n").split() == ["KUBE-MINE"]


def test_a_set_that_others_use_and_an_interface_of_that_name_are_failures():
    netns.ip(["link add kube-ipvs0 type bridge"], NODE)
    inside("ipset", "create", "KUBE-CLUSTER-IP", "hash:ip,port")
    restore("iptables-nft", "*nat\n-A PREROUTING -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT\nCOMMIT\n")
    code, cleanup, _ = migrate("cleanup")
    assert (code, cleanup["found"]) == (1, [])
    assert [item["where"] for item in cleanup["failed"]] == ["interface kube-ipvs0",
                                                             "set KUBE-CLUSTER-IP"]
    assert "kube-ipvs0" in inside("ip", "link") and "KUBE-CLUSTER-IP" in inside("ipset", "list", "-n")


def refused_while_running():
    inside("nft", "-f", "-", stdin=NFTABLES.format(family="ip"))
    code, document, complaint = migrate("cleanup")
    assert code == 1 and document is None and "kube-proxy runs on this node" in complaint
    assert migrate("cleanup", "--dry-run")[0] == 0
    assert "kube-proxy" in inside("nft", "list", "tables")
    code, document, _ = migrate("cleanup", "--force")
    assert code == 0 and found(document)
    assert inside("nft", "list", "tables") == ""


def test_a_process_of_kube_proxy_is_seen_and_nothing_is_removed_under_it(start, tmp_path):
    shutil.copy(shutil.which("sleep"), tmp_path / "kube-proxy")
    process = start(tmp_path / "kube-proxy", "1000")
    inside("sh", "-c", f"until grep -qx kube-proxy /proc/{process.pid}/comm; do sleep 0.02; done")
    _, plan, _ = migrate("plan")
    assert plan["kubeProxy"]["running"] and plan["kubeProxy"]["processes"] == [process.pid]
    refused_while_running()


SERVER = textwrap.dedent("""
    import http.server, json
    class Metrics(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            text = json.dumps({"kubeproxy.config.k8s.io": {"Mode": "nftables"}}).encode()
            self.send_response(200 if self.path == "/configz" else 404)
            self.end_headers()
            self.wfile.write(text)
        def log_message(self, *_):
            pass
    server = http.server.HTTPServer(("127.0.0.1", 10249), Metrics)
    print("ready", flush=True)
    server.serve_forever()
""")


def test_a_kube_proxy_of_another_process_namespace_is_seen_by_its_metrics(start):
    assert start(sys.executable, "-c", SERVER).stdout.readline() == "ready\n"
    _, plan, _ = migrate("plan")
    assert plan["kubeProxy"] == {"running": True, "processes": [], "metrics": "127.0.0.1:10249",
                                 "mode": "nftables"}
    refused_while_running()


def test_connections_that_conntrack_translates_are_counted(start):
    inside("nft", "-f", "-", stdin="table ip nat { chain out { type nat hook output priority -100; "
           "ip daddr 10.96.0.1 dnat to 127.0.0.1; }\n}\n")
    netns.ip(["route add 10.96.0.0/16 dev lo"], NODE)
    script = textwrap.dedent("""
        import socket
        server = socket.create_server(("127.0.0.1", 80))
        there = [socket.create_connection(("10.96.0.1", 80)) for _ in range(3)]
        plain = socket.create_connection(("127.0.0.1", 80))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.sendto(b"x", ("10.96.0.1", 53))
        print("ready", flush=True)
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM).recv(1)
    """)
    assert start(sys.executable, "-c", script).stdout.readline() == "ready\n"
    assert migrate("plan")[1]["connections"] == {"tcp": 3, "udp": 1, "sctp": 0, "other": 0}


def test_connections_outlive_the_rules_that_translate_them(start):
    inside("nft", "-f", "-", stdin="table ip kube-proxy { chain out { type nat hook output priority -100; "
           "ip daddr 10.96.0.1 dnat to 10.1.0.1; }\n}\n")
    netns.ip(["addr add 10.1.0.1/32 dev lo", "route add 10.96.0.0/16 dev lo src 10.1.0.1"], NODE)
    script = textwrap.dedent("""
        import socket, sys
        server = socket.create_server(("10.1.0.1", 80))
        client = socket.create_connection(("10.96.0.1", 80), 2)
        answerer, _ = server.accept()
        client.settimeout(5)
        answerer.settimeout(5)
        print("ready", flush=True)
        for line in sys.stdin:
            client.sendall(line.encode())
            answerer.sendall(answerer.recv(100))
            print(client.recv(100).decode(), end="", flush=True)
    """)
    process = start(sys.executable, "-c", script)
    assert process.stdout.readline() == "ready\n"
    code, cleanup, _ = migrate("cleanup")
    assert (code, found(cleanup)) == (0, {("nftables ip", "table kube-proxy"): (1, 1)})
    assert [item["what"] for item in cleanup["kept"]] == ["table sluice-handover"] * 2
    process.stdin.write("still there\n")
    process.stdin.flush()
    assert process.stdout.readline() == "still there\n"
    assert inside("nft", "list", "tables") == "table ip sluice-handover\ntable ip6 sluice-handover\n"
    process.kill()
    process.wait()
    assert found(migrate("plan")[1]) == {
        (f"nftables {family}", "table sluice-handover"): (0, 0) for family in ("ip", "ip6")}
    assert migrate("cleanup")[0] == 0
    assert inside("nft", "list", "tables") == ""
