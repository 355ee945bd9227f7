# SPDX-License-Identifier: Apache-2.0
"""Who counts as pod traffic, and what a Service's annotations and ServiceCIDRs ask for."""

import contextlib
import time

import pytest

from checks import (answered, ask, every_way, frontends, losses, refused,
                    silent, snat_addresses)
from sandbox import plan
from sandbox.daemon import eventually
from sandbox.plan import FAMILIES

FIRST, SECOND = 1, 2  # numbers of outside addresses
FREE = 77  # number of an address that no Service has
FLOWS = 10
PATIENCE_S = 5.0
# For silences that a counter proves besides.
BRIEFLY_S = 0.25
COMPATIBLE = ("--masquerade", "compatible")


@pytest.fixture(scope="module", name="net")
def _net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.local = sandbox.publish("local", ["pod11"])
    sandbox.near = sandbox.publish("near", ["pod13", "pod22"], local=True)
    return sandbox.start()


@contextlib.contextmanager
def started_with(net, *flags):
    """sluiced with other flags for a while; its tables stay."""
    net.daemon.stop()
    try:
        net.daemon.start(*flags)
        yield
    finally:
        net.daemon.stop()
        net.daemon.start()


# Pod traffic (S-130 ... S-132)

def cluster_ip_sees(net, who, family, wanted, source=None):
    """What the endpoint behind a cluster IP sees of a client; `wanted` None: the node."""
    for proto in ("tcp", "udp"):
        answered(ask(net[who], proto, frontends(net.local, family)["cluster IP"], source=source),
                 {"pod11"}, {wanted} if wanted else snat_addresses(family))


def seen_by_near(net, who, family, count=12, source=None):
    """Which pods answer by the VIP of a Service with externalTrafficPolicy Local."""
    return {ask(net[who], "tcp", frontends(net.near, family)["VIP"], source=source)["name"]
            for _ in range(count)}


def test_cluster_cidr_tells_pods_by_their_source(net):
    """Here it holds an outside client and no pod, so only the flag can be the reason."""
    cidrs = ",".join(f"{plan.outside_address(f, FIRST)}/{plan.HOST_BITS[f]}" for f in FAMILIES)
    with started_with(net, *COMPATIBLE, "--detect-local-mode", "clusterCIDR",
                      "--cluster-cidr", cidrs):
        for family in FAMILIES:
            first, second = (plan.outside_address(family, n) for n in (FIRST, SECOND))
            cluster_ip_sees(net, "client", family, first, source=first)
            cluster_ip_sees(net, "client", family, None, source=second)
            cluster_ip_sees(net, "pod12", family, None)
            assert seen_by_near(net, "client", family, source=second) == {"pod13"}


def test_cluster_cidr_of_one_family_leaves_the_other_without_pods(net):
    """S-131: there nothing to a cluster IP is masqueraded, and no short cut exists."""
    with started_with(net, *COMPATIBLE, "--detect-local-mode", "clusterCIDR",
                      "--cluster-cidr", "10.244.0.0/16"):
        for family in FAMILIES:
            client = plan.outside_address(family)
            cluster_ip_sees(net, "pod12", family, plan.pod_address("pod12", family))
            cluster_ip_sees(net, "client", family, None if family == 4 else client,
                            source=client)
            assert seen_by_near(net, "pod12", family) == (
                {"pod13", "pod22"} if family == 4 else {"pod13"})


def test_node_cidr_is_that_of_the_node_object(net):
    with started_with(net, *COMPATIBLE, "--detect-local-mode", "nodeCIDR"):
        for family in FAMILIES:
            cluster_ip_sees(net, "pod12", family, plan.pod_address("pod12", family))
            cluster_ip_sees(net, "client", family, None, source=plan.outside_address(family))
            assert seen_by_near(net, "pod12", family) == {"pod13", "pod22"}


@pytest.mark.parametrize("prefix, kept", [("veth", True), ("cali", False)])
def test_interface_prefix_tells_pods_by_their_link(net, prefix, kept):
    with started_with(net, *COMPATIBLE, "--detect-local-mode", "interfaceNamePrefix",
                      "--interface-name-prefix", prefix):
        for family in FAMILIES:
            cluster_ip_sees(net, "pod12", family,
                            plan.pod_address("pod12", family) if kept else None)
            assert seen_by_near(net, "pod12", family) == (
                {"pod13", "pod22"} if kept else {"pod13"})


def test_masquerade_all_hides_pods_behind_cluster_ips(net):
    """S-132"""
    with started_with(net, *COMPATIBLE, "--masquerade-all", "true"):
        for family in FAMILIES:
            cluster_ip_sees(net, "pod12", family, None)


# Addresses of a ServiceCIDR (S-121, S-122)

def unallocated(net):
    found = net.daemon.get("status")["losses"]
    return sum(loss["packets"] for loss in found if loss["reason"] == "unallocated")


def asks_nobody(net):
    """Pod and client ask an address of the ServiceCIDR that no Service has."""
    def probe(proto, family):
        for who in ("pod12", "client"):
            silent(net[who].ask(proto=proto, to=plan.host(plan.NETWORKS["cluster"][family], FREE),
                                port=80, timeout_s=BRIEFLY_S))

    every_way(probe)


def test_unallocated_cluster_ips_drop_and_unknown_ports_refuse(net):
    asks_nobody(net)
    assert unallocated(net) == 0, "no ServiceCIDR is known"
    networks = plan.NETWORKS["cluster"]
    with started_with(net, "--service-cidrs", f"{networks[4]},{networks[6]}"):
        asks_nobody(net)
        assert unallocated(net) >= 8

        def known(proto, family):
            for who in ("pod12", "client"):
                refused(net[who].ask(proto=proto, to=net.local.cluster_ip[family], port=4321))
                answered(ask(net[who], proto, frontends(net.local, family)["cluster IP"]),
                         {"pod11"})

        every_way(known)


def test_service_cidr_object_comes_grows_and_goes_live(net):
    def write(*networks):
        net.folder.write("cidr", [{
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
            "metadata": {"name": "kubernetes"}, "spec": {"cidrs": list(networks)}}])

    def drops(family):
        before = unallocated(net)
        silent(net["pod12"].ask(proto="udp", port=53, timeout_s=BRIEFLY_S,
                                to=plan.host(plan.NETWORKS["cluster"][family], FREE)))
        return unallocated(net) > before

    networks = plan.NETWORKS["cluster"]
    write(networks[4])
    eventually(lambda: drops(4), PATIENCE_S, "the IPv4 ServiceCIDR drops")
    assert not drops(6)
    write(networks[4], networks[6])
    eventually(lambda: drops(6), PATIENCE_S, "the IPv6 ServiceCIDR drops")
    net.folder.remove("cidr")
    eventually(lambda: not drops(4) and not drops(6), PATIENCE_S, "nothing drops any more")


def test_address_is_dropped_until_a_service_has_it(net):
    networks = plan.NETWORKS["cluster"]
    with started_with(net, "--service-cidrs", f"{networks[4]},{networks[6]}"):
        service = net.publish("newcomer", ["pod12"])
        every_way(lambda proto, family: answered(
            ask(net["pod11"], proto, frontends(service, family)["cluster IP"]), {"pod12"}))
        net.withdraw("newcomer")
        before = unallocated(net)
        every_way(lambda proto, family: silent(
            ask(net["pod11"], proto, frontends(service, family)["cluster IP"],
                timeout_s=BRIEFLY_S)))
        assert unallocated(net) >= before + 4


# Annotations

def test_source_ranges_for_all_spare_the_cluster_ip_only(net):
    ranges = [f"{plan.outside_address(f, FIRST)}/{plan.HOST_BITS[f]}" for f in FAMILIES]
    service = net.publish("guarded", ["pod11"], ranges=ranges,
                          annotations={"sluice.dev/source-ranges": "all"})

    def probe(proto, family):
        first, second = (plan.outside_address(family, n) for n in (FIRST, SECOND))
        for kind, frontend in frontends(service, family).items():
            answered(ask(net["client"], proto, frontend, source=first), {"pod11"}, {first})
            others = [ask(net["client"], proto, frontend, source=second, timeout_s=BRIEFLY_S),
                      ask(net["pod12"], proto, frontend, timeout_s=BRIEFLY_S)]
            for other in others:
                if kind == "cluster IP":
                    answered(other, {"pod11"})
                else:
                    silent(other)

    every_way(probe)
    assert losses(net, service, "source_range") >= 24


def leaving(net, policy):
    """Flows to a local and a remote pod, which then leave. Returns who holds which flows."""
    name = f"leave-{policy.partition('=')[0]}"
    annotations = {"sluice.dev/on-endpoint-removal": policy}
    service = net.publish(name, ["pod11", "pod12", "pod21", "pod22"], annotations=annotations)
    holds = {}
    for who, kind in (("client", "vip"), ("pod13", "cluster_ip")):
        for family in FAMILIES:
            key = f"{policy}{family}"
            holds[who, key] = net[who].hold(
                key=key, proto="tcp", to=getattr(service, kind)[family], port=80,
                count=4 * FLOWS, interval_s=0.05)
            assert set(holds[who, key]["servers"]) == {"pod11", "pod12", "pod21", "pod22"}
    net.publish(name, ["pod12", "pod22"], annotations=annotations)
    return holds


def _gone(report):
    return sum(n for pod, n in report["servers"].items() if pod in ("pod11", "pod21"))


def _broken(net, holds):
    return {at: net[at[0]].held(key=at[1])["broken"] for at in holds}


def _resets_exactly_those_that_left(net, holds):
    def done():
        broken = _broken(net, holds)
        return all(len(broken[at]) >= _gone(first) for at, first in holds.items())

    eventually(done, PATIENCE_S, "the flows of what left are reset")
    time.sleep(0.3)  # a wrong one would follow soon
    for (who, key), first in holds.items():
        report = net[who].release(key=key)
        assert len(report["broken"]) == _gone(first), f"{who}: {report['broken']}"
        assert all("ECONNRESET" in flow for flow in report["broken"]), report["broken"]
        assert set(report["servers"]) == {"pod12", "pod22"}, report


def test_reset_ends_the_connections_of_an_endpoint_that_left(net):
    holds = leaving(net, "reset")
    _resets_exactly_those_that_left(net, holds)


def test_drain_gives_connections_their_time(net):
    holds = leaving(net, "drain=2s")
    time.sleep(1.8)
    assert not any(_broken(net, holds).values()), "before the time was up"
    _resets_exactly_those_that_left(net, holds)


def test_keep_is_as_kube_proxy_does(net):
    holds = leaving(net, "keep")
    time.sleep(1.5)
    for (who, key), first in holds.items():
        report = net[who].release(key=key)
        assert not report["broken"] and not report["moved"], report
        assert report["servers"] == first["servers"]
