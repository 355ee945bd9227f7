# SPDX-License-Identifier: Apache-2.0
"""The API server dies, refuses, or has forgotten; sluiced dies meanwhile."""

import pytest

from objects import port
from sandbox.daemon import eventually
from world import RECONNECTED_S, addresses


@pytest.fixture(autouse=True)
def _outage(world, ns):
    """After each test everything is as before it, for the next one, and the tables are right."""
    yield
    world.restore(ns)
    world.check_tables()


def test_traffic_goes_on_while_the_api_server_is_down(world, ns):
    """What changes after its return arrives, without a restart of sluiced."""
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)
    pid = world.daemon.pid

    world.control_plane.kill_apiserver()
    eventually(lambda: not world.daemon.connected(), 30, "sluiced knows that it is cut off")
    assert world.answering("pod12", cluster_ips, 80) == {"pod11"}

    world.control_plane.start_apiserver()
    world.run_pods(ns, "web", ["pod21"], 8080)
    world.programmed(ns, "web", ["pod11", "pod21"], RECONNECTED_S)
    assert world.answering("pod12", cluster_ips, 80) == {"pod11", "pod21"}
    assert world.daemon.running() and world.daemon.pid == pid


@pytest.mark.parametrize("killed", [["kube-apiserver"], ["etcd"], ["etcd", "kube-apiserver"]],
                         ids=",".join)
def test_killed_and_started_again(world, ns, killed):
    """kill -9, twice, with changes between: what they know comes back from etcd's files."""
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    cluster_ip = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"][0]
    world.programmed(ns, "web", pods)

    with world.held_stream(cluster_ip):
        for pod in ("pod13", "pod21"):
            print(f"injected: kill -9 of {' and '.join(killed)}, and a restart")
            for name in killed:
                world.control_plane.kill(name)
            if "kube-apiserver" in killed:
                eventually(lambda: not world.daemon.connected(), 30, "sluiced knows of it")
            world.control_plane.start_again()
            pods += world.run_pods(ns, "web", [pod], 8080)
            world.programmed(ns, "web", pods, RECONNECTED_S)
        world.check_tables()
    ns.delete_service("web")
    world.daemon.wait_gone(ns, "web", RECONNECTED_S)


def test_sluiced_restarts_while_the_api_server_is_down(world, ns):
    """S-240: the pins carry new connections too, until sluiced has seen whole lists."""
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)

    world.control_plane.kill_apiserver()
    world.daemon.kill()
    assert world.answering("pod12", cluster_ips, 80, 5) == {"pod11"}, "without sluiced"
    world.daemon.start(blind=True)
    assert world.answering("pod12", cluster_ips, 80) == {"pod11"}, "with a blind sluiced"

    world.control_plane.start_apiserver()
    world.run_pods(ns, "web", ["pod21"], 8080)
    ns.delete_pod("web-pod11")
    world.programmed(ns, "web", ["pod21"], RECONNECTED_S)
    assert world.answering("pod12", cluster_ips, 80) == {"pod21"}


def test_what_vanished_while_cut_off_is_removed(world, ns):
    """S-279, S-280: its revision is too old (410); the new list is compared with the store."""
    pods = world.run_pods(ns, "web", ["pod11", "pod21"], 8080)
    kept, gone = (ns.service(name, [port(80, 8080)], selector={"app": "web"})["spec"]["clusterIPs"]
                  for name in ("kept", "gone"))
    for name in ("kept", "gone"):
        world.programmed(ns, name, pods)
    lists = world.daemon.lists("Service")

    world.cut()
    eventually(lambda: not world.daemon.connected(), 30, "sluiced knows that it is cut off")
    ns.delete_service("gone")
    ns.delete_pod("web-pod21")
    late = ns.service("late", [port(80, 8080)], selector={"app": "web"})["spec"]["clusterIPs"]
    ns.wait_ready("late", addresses(["pod11"]))
    assert world.answering("pod12", gone, 80) == set(pods), "nothing is forgotten blindly"
    # Neither etcd nor the cache of a new API server knows the events of before.
    world.control_plane.compact()
    world.control_plane.kill_apiserver()
    world.control_plane.start_apiserver()
    world.mend()

    world.daemon.wait_gone(ns, "gone", RECONNECTED_S)
    for name in ("kept", "late"):
        world.programmed(ns, name, ["pod11"])
    assert world.daemon.lists("Service") > lists
    assert not any(world.answers("pod12", address, 80) for address in gone)
    assert world.answering("pod12", kept + late, 80) == {"pod11"}


def test_refused_token_is_told_and_tried_again(world, ns):
    """S-271: 401 is logged, what is programmed stays, a corrected file works by itself."""
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)

    world.daemon.kill()
    good = world.daemon.read_token()
    world.daemon.write_token("not-a-token\n")
    try:
        world.daemon.start(blind=True)
        eventually(lambda: "401" in world.daemon.log_of_this_run(), 15, "the log tells of 401")
        assert not world.daemon.connected()
        assert world.answering("pod12", cluster_ips, 80) == {"pod11"}
    finally:
        world.daemon.write_token(good)

    eventually(world.daemon.connected, RECONNECTED_S, "sluiced connects with the right token")
    world.run_pods(ns, "web", ["pod21"], 8080)
    world.programmed(ns, "web", ["pod11", "pod21"])
    assert world.answering("pod12", cluster_ips, 80) == {"pod11", "pod21"}
