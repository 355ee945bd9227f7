# SPDX-License-Identifier: Apache-2.0
"""The Services and EndpointSlices of a load, as the API server is given them.

A load is N Services with E endpoints each. The last one is the probed one: the prober asks it, it
answers by UDP, and its endpoints change. What the prober sees of an endpoint is its group, the
third byte of its address.
"""

import ipaddress

NAMESPACE = "scale"
PROBED = "probed"
PROBE_PORT = 8053
KEPT, CHANGED, NEW = 1, 2, 3  # groups of endpoints

_FIRST_CLUSTER_IP = ipaddress.ip_address("10.96.0.16")
_FIRST_POD_IP = ipaddress.ip_address("10.128.0.0")
_OTHER_POD_IP = ipaddress.ip_address("10.176.0.0")  # in place of a changed one
_PROBED_IP = "10.96.254.1"
_NODES = 100


def _meta(name, **labels):
    return {"name": name, "namespace": NAMESPACE, "labels": labels}


def service(name, address, protocol="TCP"):
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(name),
            "spec": {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address],
                     "ports": [{"name": "main", "port": 80, "protocol": protocol,
                                "targetPort": PROBE_PORT}]}}


def slice_of(name, addresses, protocol="TCP"):
    """The Service's one slice."""
    endpoints = [
        {"addresses": [address], "nodeName": f"other-{number % _NODES}", "zone": "zone-a",
         "conditions": {"ready": True, "serving": True, "terminating": False},
         "targetRef": {"kind": "Pod", "namespace": NAMESPACE, "name": f"{name}-{number}"}}
        for number, address in enumerate(addresses)]
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": _meta(name, **{"kubernetes.io/service-name": name}),
            "addressType": "IPv4", "endpoints": endpoints,
            "ports": [{"name": "main", "port": PROBE_PORT, "protocol": protocol}]}


def filler(number):
    return service(_filler_name(number), str(_FIRST_CLUSTER_IP + number))


def filler_slice(number, endpoints, changed=False):
    """`changed`: with another first endpoint."""
    first = number * endpoints
    addresses = [str(_FIRST_POD_IP + first + i) for i in range(endpoints)]
    if changed:
        addresses[0] = str(_OTHER_POD_IP + number)
    return slice_of(_filler_name(number), addresses)


def _filler_name(number):
    return f"s{number:06}"


def probed():
    return service(PROBED, _PROBED_IP, "UDP")


def probed_slice(endpoints, whole=True):
    """Half of the endpoints are always there, the others come and go."""
    kept = (endpoints + 1) // 2
    changed = endpoints - kept if whole else 0
    return slice_of(PROBED, _group(KEPT, kept) + _group(CHANGED, changed), "UDP")


def new(number, endpoints):
    """One more Service, and its slice."""
    name = f"new{number:06}"
    return (service(name, f"10.96.255.{1 + number % 250}", "UDP"),
            slice_of(name, _group(NEW, endpoints), "UDP"))


def _group(group, n):
    if n > 250:
        raise ValueError(f"{n} endpoints in one group: there is room for 250")
    return [f"10.190.{group}.{1 + i}" for i in range(n)]


def address_of(document):
    return document["spec"]["clusterIP"]


PROBED_ADDRESS = address_of(probed())
