# SPDX-License-Identifier: Apache-2.0
"""What load balancers ask a node: healthCheckNodePort, /healthz and /livez."""

import json
import sys

import pytest

from checks import answered, ask, every_way
from sandbox import manifests, netns, plan
from sandbox.daemon import eventually
from sandbox.plan import FAMILIES
from sandbox.sandbox import service_objects, service_of

HEALTHZ = 10256
TAINT = {"key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule"}
_ASK = """
import http.client, json, sys
address, port, path = sys.argv[1:]
connection = http.client.HTTPConnection(address, int(port), timeout=5)
try:
    connection.request("GET", path)
    answer = connection.getresponse()
    print(json.dumps([answer.status, dict(answer.getheaders()), answer.read().decode()]))
except ConnectionRefusedError:
    print(json.dumps([0, {}, ""]))
"""


@pytest.fixture(scope="module")
def net(make_sandbox):
    return make_sandbox(pods="routed", between="routes").start()


def get(net, address, port, path="/", namespace="client"):
    """Status (0: refused), headers and body."""
    where = netns.enter(net.topology.name(namespace))
    return json.loads(netns.run(*where, sys.executable, "-c", _ASK, address, str(port), path))


def status(net, port, family, path="/"):
    return get(net, plan.node_address("node1", family), port, path)[0]


def local_service(name, number, pods, **conditions):
    """A Service with externalTrafficPolicy Local, its objects and its health check's port."""
    service = service_of(name, number)
    objects = service_objects(service, pods, local=True, conditions=conditions)
    objects[0]["spec"]["healthCheckNodePort"] = 32000 + number
    return service, objects, 32000 + number


def publish(net, name, number, pods, **conditions):
    service, objects, port = local_service(name, number, pods, **conditions)
    net.folder.write(name, objects)
    return service, port


def becomes(net, port, wanted, path="/", families=FAMILIES):
    eventually(lambda: all(status(net, port, family, path) == wanted for family in families),
               what=f"port {port} answers {wanted or 'nothing'}")


def test_node_with_local_endpoints_passes_and_one_without_does_not(net):
    _, port = publish(net, "here", 100, ["pod11", "pod12", "pod21"])
    becomes(net, port, 200)
    for family in FAMILIES:
        _, headers, body = get(net, plan.node_address("node1", family), port, "/any?x=1")
        assert headers["X-Load-Balancing-Endpoint-Weight"] == "2", headers
        assert json.loads(body) == {"service": {"namespace": "default", "name": "here"},
                                    "localEndpoints": 2, "serviceProxyHealthy": True}
    publish(net, "here", 100, ["pod21"])
    becomes(net, port, 503)
    for family in FAMILIES:
        _, headers, _ = get(net, plan.node_address("node1", family), port)
        assert headers["X-Load-Balancing-Endpoint-Weight"] == "0", headers
    publish(net, "here", 100, ["pod13"])
    becomes(net, port, 200)


def test_each_family_counts_its_own_endpoints(net):
    _, objects, port = local_service("apart", 101, ["pod11"])
    objects[2]["endpoints"] = []
    net.folder.write("apart", objects)
    becomes(net, port, 200, families=[4])
    becomes(net, port, 503, families=[6])


def test_terminating_endpoints_serve_but_do_not_count(net):
    service, port = publish(net, "ending", 102, ["pod11"], ready=False, serving=True,
                            terminating=True)
    becomes(net, port, 503)
    every_way(lambda proto, family: answered(
        ask(net["client"], proto, (service.vip[family], None)), {"pod11"}))


def test_cluster_policy_has_no_server(net):
    _, objects, port = local_service("spread", 103, ["pod11"])
    objects[0]["spec"]["externalTrafficPolicy"] = "Cluster"
    net.folder.write("spread", objects)
    eventually(lambda: net.daemon.get("services/default/spread"), what="the Service is there")
    assert [status(net, port, family) for family in FAMILIES] == [0, 0]


def test_port_moves_and_goes_with_its_service(net):
    _, objects, port = local_service("moving", 104, ["pod11"])
    net.folder.write("moving", objects)
    becomes(net, port, 200)
    objects[0]["spec"]["healthCheckNodePort"] = port + 500
    net.folder.write("moving", objects)
    becomes(net, port + 500, 200)
    assert [status(net, port, family) for family in FAMILIES] == [0, 0]
    net.folder.remove("moving")
    becomes(net, port + 500, 0)


def test_taken_port_is_told_and_other_servers_open(net):
    _, other = publish(net, "beside", 106, ["pod11"])
    _, objects, port = local_service("blocked", 105, ["pod11"])
    holder = net["node1"].begin("serve", proto="tcp", address="0.0.0.0", port=port)
    holder.result()
    net.folder.write("blocked", objects)
    eventually(lambda: f"0.0.0.0:{port}: Address already in use" in
               net.daemon.log.read_text(encoding="utf-8"), what="the log tells it")
    becomes(net, other, 200)
    becomes(net, port, 200, families=[6])


def test_healthz_follows_the_node_and_livez_does_not(net):
    becomes(net, HEALTHZ, 200, "/healthz")
    _, headers, body = get(net, plan.node_address("node1", 4), HEALTHZ, "/healthz")
    assert headers["Content-Type"] == "application/json"
    assert list(json.loads(body)) == ["lastUpdated", "currentTime", "nodeEligible", "healthy",
                                      "status"]
    node = manifests.node("node1")
    node["spec"]["taints"] = [TAINT]
    net.folder.write("node", [node])
    becomes(net, HEALTHZ, 503, "/healthz")
    becomes(net, HEALTHZ, 200, "/livez")
    net.folder.write("node", [manifests.node("node1")])
    becomes(net, HEALTHZ, 200, "/healthz")
    assert status(net, HEALTHZ, 4, "/nothing") == 404


def test_only_node_port_addresses_are_listened_at(net):
    _, port = publish(net, "primary", 107, ["pod11"])
    becomes(net, port, 200)
    gateway = plan.gateway("node1", 4)
    assert get(net, gateway, port, namespace="pod11")[0] == 200
    net.daemon.stop()
    net.start("--node-port-addresses", "primary")
    becomes(net, port, 200)
    assert get(net, gateway, port, namespace="pod11")[0] == 0
    net.daemon.stop()
    net.start()


def _last_sync(net):
    _, _, body = get(net, plan.node_address("node1", 4), HEALTHZ, "/livez")
    return json.loads(body)["status"]["IPv4"]["lastUpdated"]


def test_pass_that_fails_is_not_a_finished_sync(net):
    for name in ("here", "apart", "ending", "spread", "blocked", "beside", "primary"):
        net.folder.remove(name)
    net.daemon.stop()
    net.daemon.cleanup()
    net.start("--max-services", "16")
    net.publish("fits", ["pod11"])
    for number in range(5):
        net.publish(f"more{number}", ["pod11"], wait=False)
    eventually(lambda: net.daemon.get("status")["programmed"]["failed"], what="a Service fails")
    failing = _last_sync(net)
    net.publish("fits", ["pod12"])
    assert _last_sync(net) == failing
    for number in range(5):
        net.folder.remove(f"more{number}")
    eventually(lambda: _last_sync(net) > failing, what="a sync is finished")
