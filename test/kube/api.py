# SPDX-License-Identifier: Apache-2.0
"""A small client of the Kubernetes API: JSON over one kept connection."""

import http.client
import json
import ssl
import urllib.parse

_PATHS = {
    "Namespace": ("/api/v1", "namespaces", False),
    "Node": ("/api/v1", "nodes", False),
    "Pod": ("/api/v1", "pods", True),
    "Service": ("/api/v1", "services", True),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
    "ServiceCIDR": ("/apis/networking.k8s.io/v1", "servicecidrs", False),
    "EndpointSlice": ("/apis/discovery.k8s.io/v1", "endpointslices", True),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings", False),
}


class ApiError(Exception):
    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status = status


def path_of(kind, namespace=None, name=None, sub=None):
    root, plural, namespaced = _PATHS[kind]
    path = root
    if namespaced and namespace:
        path += f"/namespaces/{namespace}"
    path += f"/{plural}"
    for part in (name, sub):
        if part:
            path += f"/{part}"
    return path


class Api:
    """`connect(host, port)` gives a socket; the address may be in another network namespace."""

    def __init__(self, host, port, pki, user, connect):
        self._where = (host, port)
        self._connect = connect
        self._tls = ssl.create_default_context(cafile=pki.path("ca.crt"))
        self._tls.load_cert_chain(pki.path(f"{user}.crt"), pki.path(f"{user}.key"))
        self._connection = None

    def request(self, method, path, body=None, content="application/json"):
        """Returns the answer's document; raises ApiError, or OSError without a server."""
        data = None if body is None else json.dumps(body)
        kept = self._connection is not None
        try:
            return self._once(method, path, data, content)
        except (http.client.HTTPException, OSError):
            self.close()
            # A kept connection may have been closed by a server that is new by now.
            if not kept:
                raise
        return self._once(method, path, data, content)

    def _once(self, method, path, data, content):
        if self._connection is None:
            host, port = self._where
            connection = http.client.HTTPSConnection(host, port)
            connection.sock = self._tls.wrap_socket(self._connect(host, port),
                                                    server_hostname=host)
            self._connection = connection
        self._connection.request(method, path, data,
                                 {"Content-Type": content, "Accept": "application/json"})
        answer = self._connection.getresponse()
        raw = answer.read()
        try:
            document = json.loads(raw)
        except ValueError:
            document = {"message": raw.decode(errors="replace")}
        if answer.status >= 300:
            raise ApiError(answer.status, document.get("message", ""))
        return document

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, kind, namespace, name):
        return self.request("GET", path_of(kind, namespace, name))

    def list(self, kind, namespace=None, labels=None):
        query = "?" + urllib.parse.urlencode({"labelSelector": labels}) if labels else ""
        return self.request("GET", path_of(kind, namespace) + query)["items"]

    def create(self, document):
        meta = document["metadata"]
        return self.request("POST", path_of(document["kind"], meta.get("namespace")), document)

    def patch(self, kind, namespace, name, change, status=False):
        return self.request("PATCH", path_of(kind, namespace, name, "status" if status else None),
                            change, "application/merge-patch+json")

    def delete(self, kind, namespace, name, grace=None):
        body = None if grace is None else {"gracePeriodSeconds": grace}
        return self.request("DELETE", path_of(kind, namespace, name), body)

    def delete_all(self, kind, namespace):
        return self.request("DELETE", path_of(kind, namespace), {"gracePeriodSeconds": 0})

