# SPDX-License-Identifier: Apache-2.0
"""lbctl doctor on a node that is healthy, and on one that was kube-proxy's."""

import json
import subprocess

import pytest

from sandbox import netns, plan

POLICY = """
apiVersion: v1
kind: List
items:
- apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {{name: from-node, namespace: shop}}
  spec:
    podSelector: {{}}
    ingress:
    - from:
      - ipBlock: {{cidr: {address}/32}}
"""


@pytest.fixture(scope="module", name="net")
def _net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.publish("web", ["pod11"])
    return sandbox.start()


def doctor(net, *words, text=""):
    """The exit code and what is printed."""
    done = subprocess.run(net.daemon.lbctl_command("doctor", *words), input=text,
                          capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def found(net, *words, text=""):
    code, out, err = doctor(net, "-o", "json", *words, text=text)
    diagnosis = json.loads(out)
    assert diagnosis["kind"] == "Diagnosis", err
    assert code == (1 if diagnosis["findings"] else 0), out
    assert plan.node_address("node1", 4) in diagnosis["addresses"]
    return diagnosis


def run(net, *command):
    netns.run(*netns.enter(net.daemon.namespace), *command)


def test_a_healthy_node_has_no_findings(net):
    diagnosis = found(net)
    assert diagnosis["findings"] == []
    assert [item["what"] for item in diagnosis["skipped"]] == ["NetworkPolicies"]


def test_what_relies_on_the_nodes_address_or_is_left_over_is_named(net):
    address = plan.node_address("node1", 4)
    nft = "add table inet fw; add chain inet fw f {{ type filter hook forward priority 0; }}; " \
          "add rule inet fw f ip saddr {0} accept; add table ip kube-proxy; " \
          "add chain ip kube-proxy services"
    run(net, "nft", nft.format(address))
    run(net, "iptables-nft", "-A", "FORWARD", "-s", address, "-j", "ACCEPT")
    run(net, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 61010")
    try:
        diagnosis = found(net, "--policies", "-", text=POLICY.format(address=address))
    finally:
        run(net, "nft", "flush ruleset")
        run(net, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999")
    where = sorted(item["where"].split(", handle")[0] for item in diagnosis["findings"])
    assert where == ["NetworkPolicy shop/from-node, ingress[0].from[0].ipBlock",
                     "iptables-save: table filter, chain FORWARD, rule 1",
                     "net.ipv4.ip_local_port_range",
                     "nft: table inet fw, chain f",
                     "nftables ip table kube-proxy, chain services"]
    assert all(address in item["what"] for item in diagnosis["findings"]
               if "rule" in item["where"] or "nft:" in item["where"])
    assert diagnosis["skipped"] == []


def test_without_the_daemon_the_rest_is_looked_at(net):
    net.daemon.stop()
    try:
        diagnosis = found(net)
    finally:
        net.daemon.start()
    assert [item["what"] for item in diagnosis["skipped"]] == [
        "snatPorts", "interfaces and the cgroup", "NetworkPolicies"]


def test_policies_that_cannot_be_read_are_an_error(net):
    for words, text, want in ((("--policies", "/nowhere"), "", "No such file"),
                              (("--policies", "-"), "a: [", "standard input:")):
        code, _, err = doctor(net, *words, text=text)
        assert code == 2 and want in err, err


def test_people_read_what_to_do(net):
    code, out, _ = doctor(net)
    assert code == 0 and out.startswith("0 findings\nNot looked at: NetworkPolicies"), out
