# SPDX-License-Identifier: Apache-2.0
"""Two instances on one machine, each in a network namespace of its own."""

import pytest

from checks import SILENCE_S, answered, ask, every_way, frontends, silent
from sandbox import manifests
from sandbox.daemon import Daemon
from sandbox.sandbox import service_objects, service_of


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.first = sandbox.publish("first", ["pod12"])
    sandbox.start()
    folder = manifests.Folder(sandbox.state / "manifests2")
    sandbox.second = service_of("second", 211)
    folder.write("node", [manifests.node("node2")])
    folder.write("second", service_objects(sandbox.second, ["pod22"]))
    other = Daemon(sandbox.binaries, sandbox.topology.name("node2"), f"{sandbox.prefix}-2",
                   "node2", folder.path, sandbox.state)
    other.cleanup()
    sandbox.other = other.start()
    yield sandbox
    other.stop()
    other.cleanup()


def names(daemon):
    return {item["name"] for item in daemon.get("services")["items"]}


def serves(net, pod, service, backend):
    every_way(lambda proto, family: answered(
        ask(net[pod], proto, frontends(service, family)["cluster IP"]), {backend}))


def serves_not(net, pod, service):
    every_way(lambda proto, family: silent(
        ask(net[pod], proto, frontends(service, family)["cluster IP"], timeout_s=SILENCE_S)))


def test_each_instance_serves_its_own_node(net):
    serves(net, "pod11", net.first, "pod12")
    serves(net, "pod21", net.second, "pod22")


def test_an_instance_knows_no_service_of_the_other(net):
    assert names(net.daemon) == {"first"}
    assert names(net.other) == {"second"}
    serves_not(net, "pod11", net.second)
    serves_not(net, "pod21", net.first)


def test_processes_of_each_node_have_their_own_instance(net):
    serves(net, "node1", net.first, "pod12")
    serves(net, "node2", net.second, "pod22")
    serves_not(net, "node1", net.second)
    serves_not(net, "node2", net.first)


def test_lbctl_picks_an_instance(net):
    for daemon, name in ((net.daemon, "first"), (net.other, "second")):
        listed = daemon.lbctl_json("service", "list")["items"]
        assert [item["name"] for item in listed] == [name]


def test_cleanup_of_one_instance_leaves_the_other(net):
    net.other.stop()
    net.other.cleanup()
    serves_not(net, "pod21", net.second)
    serves_not(net, "node2", net.second)
    serves(net, "pod11", net.first, "pod12")
    serves(net, "node1", net.first, "pod12")
    net.other.start()
    serves(net, "pod21", net.second, "pod22")
