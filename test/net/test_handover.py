# SPDX-License-Identifier: Apache-2.0
"""From kube-proxy to sluice and back under traffic: each keeps its own connections."""

import pytest

from checks import answered, ask, echo_on, every_way, frontends, held
from sandbox import netns, plan
from sandbox.daemon import eventually
from sandbox.plan import FAMILIES

FLOWS = 50  # of each protocol and family, by each client
PODS = {"pod11": 11, "pod21": 21}


@pytest.fixture(scope="module", name="net")
def _net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.web = sandbox.publish("web", list(PODS), wait=False)
    sandbox.start()
    # What has ended is soon forgotten.
    netns.sysctl(sandbox.daemon.namespace, {
        f"netfilter/nf_conntrack_{name}": seconds for name, seconds in {
            "udp_timeout": 5, "udp_timeout_stream": 5, "tcp_timeout_time_wait": 1,
            "tcp_timeout_last_ack": 1, "tcp_timeout_close": 1}.items()})
    yield sandbox
    in_node(sandbox, "nft", "flush", "ruleset")


def in_node(net, *command, stdin=None):
    return netns.run(*netns.enter(net.daemon.namespace), *command, stdin=stdin)


def kube_proxys_rules(net, family):
    """As kube-proxy 1.37 writes them in mode nftables, for one Service."""
    ip = "ip" if family == 4 else "ip6"
    service = net.web
    pods = [plan.pod_address(pod, family) for pod in PODS]
    frontend = f"{{ {service.cluster_ip[family]}, {service.vip[family]} }}"

    def chains(proto, port):
        target = plan.TCP_PORT if proto == "tcp" else plan.UDP_PORT
        ends = [f"[{pod}]:{target}" if family == 6 else f"{pod}:{target}" for pod in pods]
        return "".join(f"chain endpoint-{proto}-{i} {{ meta l4proto {proto} dnat to {end}; }}\n"
                       for i, end in enumerate(ends)) + f"""
            chain external-{proto} {{ {ip} saddr != {plan.POD_NETWORKS['node1'][family]} mark set mark or 0x4000;
                goto service-{proto}; }}
            chain service-{proto} {{ numgen random mod 2 vmap {{ 0 : goto endpoint-{proto}-0, 1 : goto endpoint-{proto}-1 }}; }}
            chain services-{proto} {{ {ip} daddr {frontend} {proto} dport {port} goto external-{proto}; }}
        """

    return f"""
        table {ip} kube-proxy {{
            {chains("tcp", 80)}
            {chains("udp", 53)}
            chain services {{ jump services-tcp; jump services-udp; }}
            chain nat-prerouting {{ type nat hook prerouting priority dstnat; jump services; }}
            chain nat-output {{ type nat hook output priority -100; jump services; }}
            chain nat-postrouting {{ type nat hook postrouting priority srcnat;
                mark and 0x4000 != 0 mark set mark xor 0x4000 masquerade fully-random; }}
        }}
    """


def write_rules(net):
    for family in FAMILIES:
        in_node(net, "nft", "-f", "-", stdin=kube_proxys_rules(net, family))


def ways(net):
    """What is held, by the client outside and by a pod: {(worker, key): arguments}."""
    return {(who, f"{proto}{family}"): {"proto": proto, "to": address[family], "port": port}
            for proto, port in (("tcp", 80), ("udp", 53)) for family in FAMILIES
            for who, address in ((plan.CLIENT, net.web.vip), ("pod12", net.web.cluster_ip))}


def hold(net):
    for (who, key), way in ways(net).items():
        first = net[who].hold(key=key, count=FLOWS, **way)
        held(first, FLOWS)
        assert set(first["servers"]) == set(PODS), "not all endpoints take part"


def live_on(net):
    for who in (plan.CLIENT, "pod12"):
        echo_on(net[who], [key for of, key in ways(net) if of == who])


def release(net):
    for who, key in ways(net):
        report = net[who].release(key=key)
        held(report, FLOWS)
        assert report["lost"] == 0, f"{who} {key}: {report['lost']} datagrams lost"


def opened(net):
    """Connections that sluice opened for the Service."""
    ports = net.daemon.get("services/default/web")["ports"]
    return sum(port["counters"]["connections"] for port in ports)


def ask_anew(net):
    """New connections; how many of them sluice opened."""
    before = opened(net)
    for _ in range(10):
        every_way(lambda proto, family: answered(
            ask(net[plan.CLIENT], proto, frontends(net.web, family)["VIP"]), set(PODS)))
        every_way(lambda proto, family: answered(
            ask(net["pod12"], proto, frontends(net.web, family)["cluster IP"]), set(PODS)))
    return opened(net) - before


def handover(net):
    return net.daemon.get("status")["handover"]


def test_a_takeover_breaks_and_moves_no_connection(net):
    net.daemon.stop()
    net.daemon.cleanup()
    write_rules(net)
    hold(net)
    net.daemon.start()
    assert handover(net) == "fromKubeProxy"
    live_on(net)
    assert opened(net) == 0, "sluice took connections that are not its own"
    assert ask_anew(net) == 80
    live_on(net)
    net.daemon.lbctl("migrate", "cleanup")
    assert "kube-proxy" not in in_node(net, "nft", "list", "tables")
    live_on(net)
    assert ask_anew(net) == 80
    release(net)


def test_a_handover_is_over_when_the_last_connection_is(net):
    in_node(net, "nft", "flush", "ruleset")
    net.daemon.stop()
    net.daemon.cleanup()
    write_rules(net)
    held(net[plan.CLIENT].hold(key="last", count=1, proto="tcp", to=net.web.vip[4], port=80), 1)
    net.daemon.start()
    net.daemon.lbctl("migrate", "cleanup")
    echo_on(net[plan.CLIENT], ["last"])
    assert handover(net) == "fromKubeProxy"
    held(net[plan.CLIENT].release(key="last"), 1)
    eventually(lambda: handover(net) == "none", 30, "the handover is over")


def test_a_rollback_breaks_and_moves_no_connection(net):
    net.daemon.stop()
    net.daemon.cleanup()
    net.daemon.start()
    hold(net)
    write_rules(net)
    net.daemon.stop()
    net.daemon.start("--hand-back", "true")
    assert handover(net) == "toKubeProxy"
    live_on(net)
    assert ask_anew(net) == 0
    live_on(net)
    release(net)
    net.daemon.stop()
    net.daemon.cleanup()
    every_way(lambda proto, family: answered(
        ask(net[plan.CLIENT], proto, frontends(net.web, family)["VIP"]), set(PODS)))
