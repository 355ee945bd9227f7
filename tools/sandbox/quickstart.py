# SPDX-License-Identifier: Apache-2.0
"""What tools/quickstart does once sluice is built: sandbox, manifests, traffic, tables."""

import argparse
import pathlib
import shutil
import signal
import subprocess
import sys

from . import plan
from .daemon import DaemonError
from .netns import CommandError
from .sandbox import Sandbox

PREFIX = "slq"
_HERE = pathlib.Path(__file__).resolve().parent
_MANIFESTS = _HERE / "manifests"
_TIMES = 10
# Where each kind of frontend is tried from.
_FROM = {"clusterIP": "pod13", "nodePort": "client", "loadBalancer": "client",
         "externalIP": "client"}


class TrafficError(Exception):
    """Traffic did not do what it should."""


def say(text):
    print(f"==> {text}", flush=True)


def _ways(daemon):
    """Every frontend that sluiced serves, as (service, port, kind, address, port number)."""
    for service in daemon.get("services")["items"]:
        for port in service["ports"]:
            family = 4 if port["family"] == "IPv4" else 6
            for frontend in port["frontends"]:
                address, _, number = frontend["address"].rpartition(":")
                if address == "*":
                    address = plan.node_address("node1", family)
                yield service, port, frontend["kind"], address.strip("[]"), int(number)


def _counters(daemon, service, port):
    document = daemon.get(f"services/{service['namespace']}/{service['name']}")
    return next(p["counters"] for p in document["ports"] if p["id"] == port["id"])


def _served(sandbox):
    """What the pods' own servers counted, all together."""
    return sum(sum(sandbox[pod].served().values())
               for pods in plan.NODES.values() for pod in pods)


def _try(sandbox, service, port, kind, address, number):
    """Sends traffic one way and returns its row; raises if not all of it came back."""
    client, proto = _FROM[kind], port["protocol"].lower()
    family = 4 if port["family"] == "IPv4" else 6
    source = plan.outside_address(family) if client == "client" else None
    before, served = _counters(sandbox.daemon, service, port), _served(sandbox)
    answers = sandbox[client].spread(proto=proto, to=address, port=number, count=_TIMES,
                                     source=source)
    after = _counters(sandbox.daemon, service, port)
    grown = {key: after[key] - before[key] for key in after}
    way = f"{proto} to {service['namespace']}/{service['name']} by {kind} {address}:{number}"
    wrong = {who: n for who, n in answers.items() if not who.startswith("pod")}
    if wrong:
        raise TrafficError(f"{way} from {client}: got {wrong}")
    if _served(sandbox) - served != _TIMES:
        raise TrafficError(f"{way}: the pods served {_served(sandbox) - served} requests, "
                           f"not {_TIMES}")
    if grown["connections"] != _TIMES or min(grown["packets"], grown["answerPackets"]) < _TIMES:
        raise TrafficError(f"{way}: {_TIMES} requests were answered, but sluice counted {grown}")
    return [f"{service['namespace']}/{service['name']}:{port['name']}", proto, kind,
            f"[{address}]:{number}" if family == 6 else f"{address}:{number}", client,
            grown["connections"], grown["packets"], grown["answerPackets"],
            " ".join(f"{pod}:{n}" for pod, n in sorted(answers.items()))]


def _table(heads, rows):
    lines = [heads, *[[str(cell) for cell in row] for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _refused_source(sandbox):
    """The service `admin` takes one outside address only; another must be dropped."""
    dropped = sandbox["client"].ask(proto="tcp", to="203.0.113.40", port=443, timeout_s=1.0,
                                    source=plan.outside_address(4, 2))
    if dropped.get("errno") != "ETIMEDOUT":
        raise TrafficError(f"a source outside loadBalancerSourceRanges got {dropped}")


def _lbctl(sandbox, *words):
    print(f"\n$ lbctl -i {PREFIX} {' '.join(words)}", flush=True)
    print(sandbox.daemon.lbctl(*words).rstrip(), flush=True)


def show(sandbox):
    say("waiting for answers through each frontend, from a pod and from outside")
    rows = [_try(sandbox, *way) for way in _ways(sandbox.daemon)]
    _refused_source(sandbox)
    print()
    _table(["SERVICE", "PROTO", "BY", "ADDRESS", "FROM", "CONNS", "PACKETS", "ANSWERS",
            "SERVED BY"], rows)
    say(f"{len(rows)} ways, {len(rows) * _TIMES} requests, all answered; "
        "CONNS, PACKETS and ANSWERS are what sluice counted")
    _lbctl(sandbox, "service", "list")
    _lbctl(sandbox, "backend", "list")
    _lbctl(sandbox, "flow", "list", "--limit", "10")


def _how_to_play(sandbox, binaries):
    # State is told as what it is: one folder to edit, one socket to ask.
    client = f"sudo nsenter --net=/run/netns/{sandbox.topology.name('client')}"
    pod = f"sudo nsenter --net=/run/netns/{sandbox.topology.name('pod13')}"
    worker = f"python3 {_HERE / 'worker.py'}"
    print(f"""
The sandbox is up. To play with it:
  {client} {worker} tcp 203.0.113.10 80
  {client} {worker} udp {plan.node_address('node1', 6)} 30053
  {pod} {worker} tcp 10.96.0.10 80
  {client} curl -s http://203.0.113.10/
Change it, sluiced follows:
  {sandbox.folder.path}/*.yaml
Look into it:
  sudo {binaries / 'lbctl'} -i {PREFIX} --run-dir {sandbox.state} status
  sudo {binaries / 'lbctl'} -i {PREFIX} --run-dir {sandbox.state} flow list
  tail -f {sandbox.daemon.log}
Remove it:
  sudo tools/quickstart --down""")


def run(binaries, keep):
    sandbox = Sandbox(PREFIX, binaries)
    try:
        say("making the sandbox: a client, node1 with three pods, node2 with two")
        sandbox.up()
        for manifest in sorted(_MANIFESTS.glob("*.yaml")):
            shutil.copy(manifest, sandbox.folder.path)
        say(f"starting sluiced on {sandbox.folder.path}, waiting until all is programmed")
        sandbox.start()
        show(sandbox)
        if keep:
            for worker in sandbox.workers.values():
                worker.close(stay=True)
            _how_to_play(sandbox, binaries)
            return
    except BaseException:
        # Its log and manifests stay, to see why.
        sandbox.down()
        raise
    sandbox.down()
    sandbox.forget()


def main():
    parser = argparse.ArgumentParser(prog="quickstart")
    parser.add_argument("binaries", type=pathlib.Path)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--down", action="store_true")
    options = parser.parse_args()
    # A hang-up or a termination cleans up as an interrupt does.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit("quickstart: ended by a signal"))
    try:
        if options.down:
            sandbox = Sandbox(PREFIX, options.binaries)
            sandbox.down()
            sandbox.forget()
            say("the sandbox is gone")
        else:
            run(options.binaries, options.keep)
            say("done")
    except KeyboardInterrupt:
        sys.exit("quickstart: interrupted; the sandbox is gone")
    except (CommandError, DaemonError, TrafficError, TimeoutError, RuntimeError, OSError,
            subprocess.SubprocessError) as error:
        sys.exit(f"quickstart: failed: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
