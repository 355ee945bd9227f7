# SPDX-License-Identifier: Apache-2.0
"""Taking a node over from kube-proxy: masquerade where nobody configured it."""

import pytest

from checks import answered, ask, frontends
from sandbox import netns, plan
from sandbox.plan import FAMILIES

KUBE_PROXY = {
    "nftables ip": [("nft", "add table ip kube-proxy"), ("nft", "add chain ip kube-proxy services")],
    "nftables ip6": [("nft", "add table ip6 kube-proxy"),
                     ("nft", "add chain ip6 kube-proxy services")],
    "iptables-nft": [("iptables-nft", "-t nat -N KUBE-SERVICES")],
    "ip6tables-legacy": [("ip6tables-legacy", "-t nat -N KUBE-SERVICES")],
    "iptables-legacy": [("iptables-legacy", "-t nat -N KUBE-SERVICES")],
}
OTHERS = [("nft", "add table inet kube-proxy"), ("nft", "add chain inet kube-proxy services"),
          ("iptables-nft", "-t nat -N KUBE-KUBELET-CANARY"),
          ("iptables-legacy", "-t nat -N KUBE-KUBELET-CANARY")]
LEFT = [("nft", "flush ruleset"), ("iptables-legacy", "-t nat -F"), ("iptables-legacy", "-t nat -X"),
        ("ip6tables-legacy", "-t nat -F"), ("ip6tables-legacy", "-t nat -X")]


@pytest.fixture(scope="module", name="net")
def _net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.web = sandbox.publish("web", ["pod11"])
    return sandbox.start()


@pytest.fixture(autouse=True)
def clean(net):
    yield
    run(net, LEFT)


def run(net, commands):
    for program, words in commands:
        netns.run(*netns.enter(net.daemon.namespace), program, *words.split())


def first_start(net, *flags):
    """Starts on a node without pins of a run before."""
    net.daemon.stop()
    net.daemon.cleanup()
    net.daemon.start(*flags)


def masquerade(net):
    told = net.daemon.get("status")["masquerade"]
    return told["mode"], told["why"]


def client_is_seen(net, as_node):
    for family in FAMILIES:
        client = plan.outside_address(family)
        answered(ask(net[plan.CLIENT], "tcp", frontends(net.web, family)["VIP"], source=client),
                 {"pod11"}, {plan.gateway("node1", family), plan.node_address("node1", family)}
                 if as_node else {client})


@pytest.mark.parametrize("rules", KUBE_PROXY)
def test_a_first_start_beside_kube_proxys_rules_is_compatible(net, rules):
    run(net, KUBE_PROXY[rules])
    first_start(net)
    assert masquerade(net) == ("compatible", "kubeProxy")
    assert "Masquerade:  compatible (taken over from kube-proxy)" in net.daemon.lbctl("status")


def test_other_programs_rules_are_not_kube_proxys(net):
    run(net, OTHERS)
    first_start(net)
    assert masquerade(net) == ("minimal", "default")
    client_is_seen(net, as_node=False)


def test_it_stays_compatible_when_the_rules_are_gone_until_told_otherwise(net):
    run(net, KUBE_PROXY["nftables ip"])
    first_start(net)
    client_is_seen(net, as_node=True)
    run(net, LEFT)
    net.daemon.kill()
    net.daemon.start()
    assert masquerade(net) == ("compatible", "adopted")
    client_is_seen(net, as_node=True)
    net.daemon.stop()
    net.daemon.start("--masquerade", "minimal")
    assert masquerade(net) == ("minimal", "configured")
    client_is_seen(net, as_node=False)
    net.daemon.stop()
    net.daemon.start()
    assert masquerade(net) == ("minimal", "adopted")


def test_what_was_configured_ends_with_its_flag(net):
    first_start(net, "--masquerade", "compatible")
    client_is_seen(net, as_node=True)
    net.daemon.stop()
    net.daemon.start()
    assert masquerade(net) == ("minimal", "default")
    client_is_seen(net, as_node=False)


def test_what_is_configured_wins_over_kube_proxys_rules(net):
    run(net, KUBE_PROXY["nftables ip"])
    first_start(net, "--masquerade", "minimal")
    assert masquerade(net) == ("minimal", "configured")
    client_is_seen(net, as_node=False)
