# SPDX-License-Identifier: Apache-2.0
"""How sluiced reads the API: streams of all objects, one connection, one that died."""

import pytest

import control_plane
from objects import port
from sandbox import netns
from sandbox.daemon import eventually
from world import NODE, NOTICED_S, RECONNECTED_S

KINDS = {"Service", "EndpointSlice", "Node", "ServiceCIDR"}


@pytest.fixture(autouse=True)
def _as_before(world, ns):
    """After each test everything is as before it, for the next one."""
    yield
    if world.daemon.running():
        world.daemon.stop()
    world.restore(ns)


@pytest.fixture(name="web")
def _web(world, ns):
    """A Service with one pod."""
    pods = world.run_pods(ns, "web", ["pod11"], 8080)
    cluster_ips = ns.service("web", [port(80, 8080)])["spec"]["clusterIPs"]
    world.programmed(ns, "web", pods)
    return cluster_ips


def connections(world):
    """The local ends of sluiced's connections to the API server."""
    lines = netns.run(*netns.enter(world.name(NODE)), "ss", "-tnpH", "state", "established",
                      "dport", "=", f":{control_plane.API_PORT}").splitlines()
    return [line.split()[2] for line in lines if f"pid={world.daemon.pid}," in line]


def restart(world, *flags):
    if world.daemon.running():
        world.daemon.stop()
    world.daemon.start(*flags)


def goes_on(world, ns):
    """What changes now arrives."""
    world.run_pods(ns, "web", ["pod21"], 8080)
    world.programmed(ns, "web", ["pod11", "pod21"], RECONNECTED_S)


@pytest.mark.usefixtures("web")
def test_all_watches_share_a_connection(world, ns):
    """S-282, S-285: WatchList and HTTP/2, at the start and after it."""
    restart(world)
    assert world.daemon.listed_by() == dict.fromkeys(KINDS, "stream")
    before = connections(world)
    assert len(before) == 1
    goes_on(world, ns)
    assert connections(world) == before


@pytest.mark.usefixtures("web")
def test_pages_are_read_where_streams_are_off(world, ns):
    """S-274, S-282"""
    world.control_plane.kill_apiserver()
    world.control_plane.start_apiserver("--feature-gates=WatchList=false")
    try:
        restart(world)
        assert world.daemon.listed_by() == dict.fromkeys(KINDS, "pages")
        assert "does not stream lists" in world.daemon.log_of_this_run()
        assert len(connections(world)) == 1
        goes_on(world, ns)
    finally:
        world.control_plane.kill_apiserver()


@pytest.mark.parametrize("how", ["swallowed", "frozen"])
def test_a_dead_connection_is_noticed(world, ns, web, how):
    """S-285: neither a machine that is gone nor a server that hangs says a word."""
    before = connections(world)
    if how == "swallowed":
        world.swallow()
    else:
        world.control_plane.freeze_apiserver()
    eventually(lambda: not world.daemon.connected(), NOTICED_S, "sluiced knows that it is cut off")
    assert world.answering("pod12", web, 80) == {"pod11"}

    world.mend()
    world.control_plane.thaw_apiserver()
    eventually(world.daemon.connected, RECONNECTED_S, "sluiced connects again")
    goes_on(world, ns)
    assert connections(world) != before
    assert len(connections(world)) == 1


@pytest.mark.usefixtures("web")
def test_the_next_api_server_takes_over(world, ns):
    """S-270: of two addresses the first is refused; CA and token are the kubeconfig's."""
    address = world.control_plane.address
    servers = [f"https://{address}:{number}" for number in (1, control_plane.API_PORT)]
    restart(world, "--api-server", ",".join(servers))
    assert f"{servers[0]} fails, going on with {servers[1]}" in world.daemon.log_of_this_run()
    goes_on(world, ns)
