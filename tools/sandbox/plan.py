# SPDX-License-Identifier: Apache-2.0
"""Who is where in a sandbox: every name and address, and nothing else.

                      client  (outside; also the nodes' default gateway)
                        | 172.30.0.254            lo: 198.51.100.1 ... .3
                   ---- fabric (a bridge) ----
                   |                         |
          172.30.0.1 node1          172.30.0.2 node2
             |     |     |              |     |
          pod11  pod12  pod13        pod21  pod22
          10.244.1.11 .12 .13        10.244.2.11 .12

Each name is a namespace, `PREFIX-client` and so on. IPv6 runs beside IPv4
everywhere, with the same last number:

    nodes and client   172.30.0.0/24     fd00:30::/64
    outside clients    198.51.100.0/24   2001:db8:100::/64
    pods of node N     10.244.N.0/24     fd00:10:244:N::/64
    cluster IPs        10.96.0.0/16      fd00:10:96::/112
    VIPs               203.0.113.0/24    2001:db8:203::/64
    external IPs       192.0.2.0/24      2001:db8:192::/64

The client routes cluster IPs, VIPs and external IPs to node1. Nothing routes
to the machine's own namespace, so a packet that is not translated ends in the
client, which forwards nothing.
"""

import ipaddress

FAMILIES = (4, 6)
CLIENT = "client"
FABRIC = "fabric"
NODES = {"node1": ("pod11", "pod12", "pod13"), "node2": ("pod21", "pod22")}
NAMESPACES = (FABRIC, CLIENT, *NODES, *(pod for pods in NODES.values() for pod in pods))

NETWORKS = {
    "nodes": {4: "172.30.0.0/24", 6: "fd00:30::/64"},
    "outside": {4: "198.51.100.0/24", 6: "2001:db8:100::/64"},
    "cluster": {4: "10.96.0.0/16", 6: "fd00:10:96::/112"},
    "vip": {4: "203.0.113.0/24", 6: "2001:db8:203::/64"},
    "external": {4: "192.0.2.0/24", 6: "2001:db8:192::/64"},
}
POD_NETWORKS = {
    node: {4: f"10.244.{n}.0/24", 6: f"fd00:10:244:{n}::/64"}
    for n, node in enumerate(NODES, start=1)
}
HOST_BITS = {4: 32, 6: 128}

# What every pod serves.
TCP_PORT = 8080
UDP_PORT = 5353


def host(network, number):
    """Address number `number` of a network."""
    net = ipaddress.ip_network(network)
    return str(net[number])


def length(network):
    return int(network.rpartition("/")[2])


def node_of(pod):
    return next(node for node, pods in NODES.items() if pod in pods)


def _pod_number(pod):
    """The last number of a pod's address; IPv6 shows the same digits, so it is read as hex."""
    return NODES[node_of(pod)].index(pod) + 11


def pod_address(pod, family):
    number = _pod_number(pod)
    return host(POD_NETWORKS[node_of(pod)][family],
                number if family == 4 else int(str(number), 16))


def gateway(node, family):
    """What a node's pods have as default gateway."""
    return host(POD_NETWORKS[node][family], 1)


def node_address(node, family):
    return host(NETWORKS["nodes"][family], list(NODES).index(node) + 1)


def client_address(family):
    """The client's address on the nodes' own link."""
    return host(NETWORKS["nodes"][family], 254 if family == 4 else 0x254)


def outside_address(family, number=1):
    """An address of the client behind its link, which nodes reach by their default route."""
    return host(NETWORKS["outside"][family], number)
