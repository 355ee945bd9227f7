# SPDX-License-Identifier: Apache-2.0
"""A second instance beside the first, to know what a fresh start would program."""

import time

import tables
from daemon import KubeDaemon
from sandbox import plan

# What is not compared is small, so that it is made fast.
SMALL = [word for name in ("flows-new", "flows", "snat-ports", "affinity", "sockets")
         for word in (f"--max-{name}", "1024")]
_POLL_S = 0.2


class Twin:
    """It attaches to nothing: it reads the same API and fills tables of its own."""

    def __init__(self, binaries, namespace, instance, node, state, kubeconfig, token, flags=()):
        links = ["lo", "eth0", *(f"veth{pod.removeprefix('pod')}" for pod in plan.NODES[node])]
        self._daemon = KubeDaemon(
            binaries, namespace, f"{instance}-twin", node, state, kubeconfig, token,
            [*SMALL, *flags, "--interfaces", ",".join(f"{link}=none" for link in links),
             "--xdp", "off", "--host-processes", "false", "--healthz-bind-address", ""])

    def remove(self):
        self._daemon.stop()
        self._daemon.cleanup()

    def fresh(self):
        """The tables of a fresh start."""
        self._daemon.cleanup()
        self._daemon.start()
        try:
            return tables.read(self._daemon.instance)
        finally:
            self.remove()

    def compare(self, instance, patience_s, exact):
        """Waits until an instance has what a fresh start has; fails with what differs."""
        wanted = self.fresh()
        assert wanted["services"], "a fresh start programs nothing: there is nothing to compare"
        deadline = time.monotonic() + patience_s
        while True:
            lines = tables.differences(tables.read(instance), wanted, exact)
            if not lines or time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        assert not lines, "the tables are not those of a fresh start:\n" + "\n".join(lines)
