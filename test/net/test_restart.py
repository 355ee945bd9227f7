# SPDX-License-Identifier: Apache-2.0
"""sluiced killed, restarted, doubled and cleaned up while its datapath works on."""

import pathlib
import subprocess

import pytest

from checks import SILENCE_S, answered, ask, echo_on, every_way, frontends, held, silent
from sandbox.daemon import BPFFS

FLOWS = 200


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.many = sandbox.publish("many", ["pod11", "pod12", "pod21", "pod22"])
    sandbox.local = sandbox.publish("local", ["pod12"])
    return sandbox.start()


def test_kill_9_and_restart_under_400_flows_breaks_and_moves_none(net):
    ways = {f"{proto}{family}": {"proto": proto, "to": to[family], "port": port}
            for proto, port in (("tcp", 80), ("udp", 53))
            for family, to in ((4, net.many.vip), (6, net.many.cluster_ip))}
    first = {}
    for key, way in ways.items():
        first[key] = net["client"].hold(key=key, count=FLOWS // 2, **way)
        held(first[key], FLOWS // 2)
        assert len(first[key]["servers"]) == 4, "not all backends take part"

    net.daemon.kill()
    echo_on(net["client"], ways)
    net.daemon.start()
    echo_on(net["client"], ways)

    reports = {key: net["client"].release(key=key) for key in ways}
    for key, report in reports.items():
        held(report, FLOWS // 2)
        assert report["servers"] == first[key]["servers"]
        assert report["lost"] == 0, f"{key}: {report['lost']} datagrams lost"
    broken = sum(len(r["broken"]) for r in reports.values())
    moved = sum(r["moved"] for r in reports.values())
    print(f"{sum(r['flows'] for r in reports.values())} flows: {broken} broken, {moved} moved")


def test_new_connections_work_while_sluiced_is_down(net):
    for end in (net.daemon.kill, net.daemon.stop):
        end()
        try:
            every_way(lambda proto, family: answered(
                ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"]),
                {"pod12"}))
            every_way(lambda proto, family: answered(
                ask(net["client"], proto, frontends(net.many, family)["node port"]),
                {"pod11", "pod12", "pod21", "pod22"}))
        finally:
            net.daemon.start()


def test_changes_made_while_sluiced_was_down_are_applied(net):
    service = net.publish("absent", ["pod12"])
    net.daemon.kill()
    net.publish("absent", ["pod13"], wait=False)
    net.daemon.start()
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(service, family)["cluster IP"]), {"pod13"}))
    net.daemon.kill()
    net.folder.remove("absent")
    net.daemon.start()
    every_way(lambda proto, family: silent(
        ask(net["pod11"], proto, frontends(service, family)["cluster IP"],
            timeout_s=SILENCE_S)))


def test_counters_go_on_after_a_restart(net):
    def connections():
        ports = net.daemon.get("services/default/local")["ports"]
        return sum(port["counters"]["connections"] for port in ports)

    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"]), {"pod12"}))
    before = connections()
    net.daemon.stop()
    net.daemon.start()
    assert connections() == before


def test_second_sluiced_of_an_instance_refuses_and_names_the_first(net):
    second = subprocess.run(net.daemon.command(), capture_output=True, text=True, timeout=20,
                            check=False)
    assert second.returncode != 0
    assert str(net.daemon.process.pid) in second.stderr, second.stderr
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"]), {"pod12"}))


def test_cleanup_removes_pins_and_translation(net):
    pins = pathlib.Path(BPFFS) / "sluice" / net.daemon.instance
    assert any(pins.rglob("*")), f"nothing is pinned in {pins}"
    net.daemon.stop()
    net.daemon.cleanup()
    assert not pins.exists()
    every_way(lambda proto, family: silent(
        ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"],
            timeout_s=SILENCE_S)))
    net.daemon.start()
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.local, family)["cluster IP"]), {"pod12"}))
