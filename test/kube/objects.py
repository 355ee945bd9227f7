# SPDX-License-Identifier: Apache-2.0
"""Nodes, pods and Services of one API namespace, as the tests write them.

A pod here is an object whose status we write, as a kubelet would; the process
behind its addresses is the caller's.
"""

import time

from sandbox.daemon import eventually


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _conditions(ready, *types):
    return [{"type": t, "status": "True" if ready else "False", "lastTransitionTime": _now()}
            for t in types]


def port(number, target=None, name=None, protocol="TCP", node_port=None):
    """One entry of a Service's spec.ports."""
    entry = {"port": number, "protocol": protocol, "targetPort": target or number}
    if name:
        entry["name"] = name
    if node_port:
        entry["nodePort"] = node_port
    return entry


def _endpoint(address, zone=None):
    endpoint = {"addresses": [address], "conditions": {"ready": True}}
    if zone:
        endpoint["hints"] = {"forZones": [{"name": zone}]}
    return endpoint


def make_node(client, name, addresses, zone):
    client.create({"apiVersion": "v1", "kind": "Node",
                   "metadata": {"name": name,
                                "labels": {"kubernetes.io/hostname": name,
                                           "topology.kubernetes.io/zone": zone}}})
    client.patch("Node", None, name, {"status": {
        "addresses": [{"type": "InternalIP", "address": a} for a in addresses],
        "capacity": {"cpu": "4", "memory": "8Gi", "pods": "500"},
        "allocatable": {"cpu": "4", "memory": "8Gi", "pods": "500"},
        "conditions": _conditions(True, "Ready")}}, status=True)


class Namespace:
    """A namespace of the API that is the caller's alone."""

    def __init__(self, client, name):
        self.api, self.name = client, name
        client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def clear(self):
        """Deletes what is in it, without waiting for graces, and the namespace."""
        for kind in ("Service", "Pod", "EndpointSlice"):
            self.api.delete_all(kind, self.name)
        self.api.delete("Namespace", None, self.name)

    def _meta(self, name, labels=None):
        return {"name": name, "namespace": self.name, "labels": labels or {}}

    # Services

    def service(self, name, ports, labels=None, **spec):
        """Selects the pods with label app=NAME, in both families, unless `spec` says else."""
        spec.setdefault("selector", {"app": name})
        spec.setdefault("ipFamilyPolicy", "RequireDualStack")
        return self.api.create({"apiVersion": "v1", "kind": "Service",
                                "metadata": self._meta(name, labels),
                                "spec": dict(spec, ports=ports)})

    def change_service(self, name, **spec):
        """None takes a field away."""
        return self.api.patch("Service", self.name, name, {"spec": spec})

    def label_service(self, name, key, value):
        """`value` None takes the label away."""
        self.api.patch("Service", self.name, name, {"metadata": {"labels": {key: value}}})

    def balance(self, name, addresses):
        """What a cloud's or MetalLB's controller would do: names the VIPs."""
        ingress = [{"ip": a, "ipMode": "VIP"} for a in addresses]
        self.api.patch("Service", self.name, name,
                       {"status": {"loadBalancer": {"ingress": ingress}}}, status=True)

    def delete_service(self, name):
        self.api.delete("Service", self.name, name)

    # Pods

    def pod(self, name, node, addresses, app, ports=()):
        """A running, ready pod; `ports` are (name, number, protocol)."""
        container = {"name": "main", "image": "none.invalid/none",
                     "ports": [{"name": n, "containerPort": p, "protocol": proto}
                               for n, p, proto in ports]}
        self.api.create({"apiVersion": "v1", "kind": "Pod",
                         "metadata": self._meta(name, {"app": app}),
                         "spec": {"nodeName": node, "containers": [container],
                                  "terminationGracePeriodSeconds": 600}})
        self._pod_status(name, {
            "phase": "Running", "startTime": _now(),
            "podIP": addresses[0], "podIPs": [{"ip": a} for a in addresses],
            "conditions": _conditions(True, "Ready", "ContainersReady", "PodScheduled")})

    def _pod_status(self, name, status):
        self.api.patch("Pod", self.name, name, {"status": status}, status=True)

    def terminate_pod(self, name):
        """Asks it to go, as kubectl delete does; it stays, terminating."""
        self.api.delete("Pod", self.name, name)

    def delete_pod(self, name):
        """The end of a deletion: the object is gone."""
        self.api.delete("Pod", self.name, name, grace=0)

    # EndpointSlices

    def slice(self, name, service, family, addresses, number, protocol="TCP", zones=None):
        """A hand-made slice; `zones` are its hints, by address."""
        return self.api.create({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": self._meta(name, {"kubernetes.io/service-name": service}),
            "addressType": family,
            "ports": [{"name": "", "port": number, "protocol": protocol}],
            "endpoints": [_endpoint(a, (zones or {}).get(a)) for a in addresses]})

    def change_slice(self, name, addresses=None, **labels):
        """Sets its endpoints, where `addresses` says so, and labels; None takes a label away."""
        change = {"metadata": {"labels": labels}}
        if addresses is not None:
            change["endpoints"] = [_endpoint(a) for a in addresses]
        self.api.patch("EndpointSlice", self.name, name, change)

    def ready(self, service):
        """The addresses that the Service's slices call ready."""
        found = set()
        for document in self.api.list("EndpointSlice", self.name,
                                      f"kubernetes.io/service-name={service}"):
            for endpoint in document.get("endpoints") or ():
                if endpoint.get("conditions", {}).get("ready", True):
                    found.update(endpoint["addresses"])
        return found

    def wait_ready(self, service, addresses):
        eventually(lambda: self.ready(service) == set(addresses), 30,
                   f"the slices of {service} call {sorted(addresses)} ready")
