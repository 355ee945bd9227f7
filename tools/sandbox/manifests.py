# SPDX-License-Identifier: Apache-2.0
"""Kubernetes objects for a sandbox, and the folder of manifests that sluiced reads."""

import json
import os
import pathlib

from . import plan
from .plan import FAMILIES

_FAMILY_NAME = {4: "IPv4", 6: "IPv6"}


def service(name, spec, vips=(), annotations=None, namespace="default"):
    """A Service; `vips` become its status.loadBalancer."""
    made = {"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "namespace": namespace,
                         "annotations": annotations or {}}, "spec": spec}
    if vips:
        made["status"] = {"loadBalancer": {"ingress": [{"ip": vip} for vip in vips]}}
    return made


def endpoint(pod, family, **conditions):
    """One endpoint of a slice; it is ready unless `conditions` say otherwise."""
    return {"addresses": [plan.pod_address(pod, family)],
            "conditions": {"ready": True} | conditions,
            "nodeName": plan.node_of(pod),
            "targetRef": {"kind": "Pod", "name": pod}}


def slices(name, ports, pods, namespace="default", **conditions):
    """A slice for each family, with `ports` as [(name, protocol, number)]."""
    return [{
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{_FAMILY_NAME[family].lower()}", "namespace": namespace,
                     "labels": {"kubernetes.io/service-name": name}},
        "addressType": _FAMILY_NAME[family],
        "ports": [{"name": port, "protocol": protocol, "port": number}
                  for port, protocol, number in ports],
        "endpoints": [endpoint(pod, family, **conditions) for pod in pods],
    } for family in FAMILIES]


def node(name):
    return {
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
        "spec": {"podCIDR": plan.POD_NETWORKS[name][4],
                 "podCIDRs": [plan.POD_NETWORKS[name][family] for family in FAMILIES]},
        "status": {"addresses": [
            {"type": "InternalIP", "address": plan.node_address(name, family)}
            for family in FAMILIES] + [{"type": "Hostname", "address": name}]},
    }


def to_yaml(value, indent=0):
    """Block-style YAML; strings are quoted as in JSON, which YAML reads alike."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            nested = isinstance(item, (dict, list)) and item
            text = f"\n{to_yaml(item, indent + 1)}" if nested else f" {json.dumps(item)}"
            lines.append(f"{pad}{key}:{text}")
        return "\n".join(lines)
    if isinstance(value, list) and value:
        return "\n".join(f"{pad}- {to_yaml(item, indent + 1).lstrip()}" for item in value)
    return f"{pad}{json.dumps(value)}"


class Folder:
    """A folder of manifests. A file appears whole: it is written aside and renamed."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.path.mkdir(parents=True, exist_ok=True)

    def write(self, name, objects):
        self.write_text(name, "".join(f"---\n{to_yaml(each)}\n" for each in objects))

    def write_text(self, name, text):
        aside = self.path / f".{name}.new"
        aside.write_text(text, encoding="utf-8")
        os.replace(aside, self.path / f"{name}.yaml")

    def remove(self, name):
        (self.path / f"{name}.yaml").unlink(missing_ok=True)
