# SPDX-License-Identifier: Apache-2.0
"""The benchmark's network: one node, one pod on it, all other pods, and the API server.

                       control 172.30.1.2   (etcd, API server)
                          | api0
    client 10.244.0.2 -- node -- eth0 -- pods   (10.128.0.0/10, any address answers)
                         172.30.2.1      172.30.2.2

The node's link to the API server carries nothing else, so its counters are what was received
from there. Nothing routes to the machine's own namespace.
"""

import json

from sandbox import netns

PREFIX = "sl-scale"
CONTROL, NODE, CLIENT, PODS = NAMESPACES = ("control", "node", "client", "pods")

CONTROL_ADDRESS = "172.30.1.2"
NODE_ADDRESS = "172.30.2.1"
CLUSTER_CIDR = "10.128.0.0/9"  # the client and the pods

_API_LINK, _UPLINK, _POD_LINK = "api0", "eth0", "pod0"
_POD_NETWORK = "10.128.0.0/10"
_CLIENT_ADDRESS, _GATEWAY = "10.244.0.2", "10.244.0.1"

# A flow is forgotten before the prober comes to its source port again.
UDP_TIMEOUT_S = 2


def name(namespace):
    return f"{PREFIX}-{namespace}"


def up():
    down()
    netns.ip([f"netns add {name(n)}" for n in NAMESPACES])
    for namespace in NAMESPACES:
        netns.ip(["link set lo up"], name(namespace))
        netns.sysctl(name(namespace), {"ipv4/ip_forward": int(namespace == NODE),
                                       "ipv4/conf/all/rp_filter": 0,
                                       "ipv4/conf/default/rp_filter": 0})
    node = name(NODE)
    for link, other in ((_API_LINK, CONTROL), (_UPLINK, PODS), (_POD_LINK, CLIENT)):
        netns.ip([f"link add {link} netns {node} type veth peer name eth0 netns {name(other)}"])
        netns.ip([f"link set {link} up"], node)
        netns.ip(["link set eth0 up"], name(other))
    netns.ip(["addr add 172.30.1.1/24 dev api0", f"addr add {NODE_ADDRESS}/24 dev eth0",
              f"addr add {_GATEWAY}/32 dev pod0", f"route add {_CLIENT_ADDRESS}/32 dev pod0",
              f"route add {_POD_NETWORK} via 172.30.2.2", "route add default via 172.30.2.2"], node)
    netns.ip([f"addr add {CONTROL_ADDRESS}/24 dev eth0", "route add default via 172.30.1.1"],
             name(CONTROL))
    netns.ip([f"addr add {_CLIENT_ADDRESS}/32 dev eth0", f"route add {_GATEWAY}/32 dev eth0",
              f"route add default via {_GATEWAY}"], name(CLIENT))
    netns.ip(["addr add 172.30.2.2/24 dev eth0", f"route add local {_POD_NETWORK} dev lo",
              f"route add default via {NODE_ADDRESS}"], name(PODS))
    # The kernel must not hold back what a proxy refuses, nor remember flows for longer than
    # the prober's source ports last.
    netns.sysctl(node, {"ipv4/icmp_ratemask": 0, "netfilter/nf_conntrack_udp_timeout": UDP_TIMEOUT_S,
                        "netfilter/nf_conntrack_udp_timeout_stream": UDP_TIMEOUT_S})


def down():
    netns.remove(PREFIX)


def received_bytes():
    """From the API server so far, with all headers."""
    (link,) = json.loads(netns.run("ip", "-j", "-s", "-n", name(NODE), "link", "show", _API_LINK))
    return link["stats64"]["rx"]["bytes"]
