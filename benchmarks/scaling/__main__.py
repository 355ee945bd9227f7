# SPDX-License-Identifier: Apache-2.0
"""The program of benchmarks/scale."""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "test/kube")]

# pylint: disable=wrong-import-position
import api  # noqa: E402
from sandbox import netns  # noqa: E402
from sandbox.sandbox import STATE  # noqa: E402

from . import candidates, gauge, measure, network, report  # noqa: E402
from .clusters import GeneratedCluster, RealCluster, say  # noqa: E402
from .prober import Prober  # noqa: E402


class Setup:
    """What the candidates of one load share."""

    def __init__(self, binaries, logs, kube_proxy):
        self.binaries, self.logs, self.kube_proxy = binaries, logs, kube_proxy
        self.cpus = os.sched_getaffinity(0)
        self.cluster = self.prober = self.group = None
        self._number = 0

    def next_number(self):
        """Of a new Service: no name and no address comes back soon."""
        self._number += 1
        return self._number


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="benchmarks/scale", description=(
        "How long sluiced takes to program a cluster and to follow its changes, and what that "
        "costs, beside kube-proxy and beside a client that only listens."))
    parser.add_argument("--services", default="100", metavar="N[,N...]",
                        help="Services of a load; several loads one after the other (%(default)s)")
    parser.add_argument("--endpoints", type=int, default=10, help="of each of them (%(default)s)")
    parser.add_argument("--against", choices=("kube-proxy-nftables", "none"), default="none")
    parser.add_argument("--generated", action="store_true",
                        help="a generated load from a server of the test suite, for sizes that a "
                             "real API server takes too long to load")
    parser.add_argument("--rounds", type=int, default=3, help="of all candidates (%(default)s)")
    parser.add_argument("--changes", type=int, default=50,
                        help="of endpoints that are timed in a round (%(default)s)")
    parser.add_argument("--new", type=int, default=10,
                        help="Services that are created in a round (%(default)s)")
    parser.add_argument("--churn", type=int, default=100, metavar="N",
                        help="changes at 10 a second whose cost is counted (%(default)s)")
    parser.add_argument("--settle", type=float, default=2, metavar="SECONDS",
                        help="before and after what is counted (%(default)s)")
    parser.add_argument("--output", type=pathlib.Path, help="JSON Lines of all samples, appended")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build/bin",
                        help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    try:
        chosen.services = [int(n) for n in chosen.services.split(",")]
    except ValueError:
        parser.error(f"--services: {chosen.services!r} is not a list of numbers")
    for flag, value, least in (("services", min(chosen.services), 2),
                               ("endpoints", chosen.endpoints, 2), ("rounds", chosen.rounds, 1),
                               ("changes", chosen.changes, 2), ("new", chosen.new, 0),
                               ("churn", chosen.churn, 1)):
        if value < least:
            parser.error(f"--{flag}: {value} is less than {least}")
    if chosen.changes % 2:
        parser.error(f"--changes: {chosen.changes} is odd: endpoints leave and come back")
    if chosen.generated and chosen.against != "none":
        parser.error("--against: kube-proxy can't read a generated load")
    return chosen


def _build(*words):
    """Runs a script that builds a program and prints its path; 77: can't be built here."""
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return pathlib.Path(done.stdout.strip())


def _pin(pids):
    """Keeps the API server and the prober on the first CPU, with the threads they have already;
    who is measured may use all.
    """
    first = {min(os.sched_getaffinity(0))}
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread), first)


def _append(path, line):
    when = datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds")
    with open(path, "a", encoding="utf-8") as f:
        f.write(json.dumps({"when": when} | line) + "\n")


def _run_load(setup, chosen, services, program):
    """Returns the figures of each candidate's rounds."""
    kind = GeneratedCluster if chosen.generated else RealCluster
    setup.cluster = kind(program, services, chosen.endpoints, setup.logs)
    about = gauge.machine() | {"source": kind.source, "services": services,
                               "endpoints": chosen.endpoints}
    try:
        network.up()
        setup.cluster.up()
        setup.prober = Prober(setup.binaries)
        _pin([*setup.cluster.pids(), *setup.prober.pids()])
        all_of_them = candidates.make(chosen.against, setup)
        runs = {candidate.name: [] for candidate in all_of_them}
        for number in range(chosen.rounds):
            # Whoever is first in one round is last in the next.
            turn = number % len(all_of_them)
            for candidate in all_of_them[turn:] + all_of_them[:turn]:
                say(f"{services} Services, round {number + 1} of {chosen.rounds}: "
                    f"{candidate.name}")
                found = measure.measure(candidate, setup, chosen)
                runs[candidate.name].append(found)
                if chosen.output:
                    _append(chosen.output, about | {"candidate": candidate.name,
                                                    "round": number + 1} | found)
        return runs
    finally:
        if setup.prober:
            setup.prober.close()
            setup.prober = None
        setup.cluster.down()
        network.down()


def _show(title, runs):
    print("", title, "", *report.table(runs), sep="\n", flush=True)


def main(arguments):
    chosen = _parse(arguments)
    if chosen.generated:
        program = _build(ROOT / "test/kube/fakeapi/build")
    else:
        program = _build(ROOT / "test/kube/build")
    kube_proxy = None
    if chosen.against != "none":
        kube_proxy = _build(ROOT / "test/kube/build", "kube-proxy")
    # Ends as by Ctrl-C: everything is removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logs = STATE / network.PREFIX
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    network.down()  # what a run that was killed left
    setup = Setup(chosen.binaries.resolve(), logs, kube_proxy)
    setup.group = gauge.Group()
    about = gauge.machine()
    print(f"{about['machine']}, kernel {about['kernel']}, sluice {about['commit']}; "
          f"{chosen.rounds} rounds", flush=True)
    try:
        loads = {}
        for services in chosen.services:
            loads[services] = runs = _run_load(setup, chosen, services, program)
            _show(f"{services} Services x {chosen.endpoints} endpoints", runs)
        if len(loads) > 1:
            _show("Side by side, by the number of Services", {
                f"{name} {services}": loads[services][name] for name in runs for services in loads})
    finally:
        setup.group.close()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit("benchmarks/scale: interrupted")
    except (RuntimeError, TimeoutError, netns.CommandError, api.ApiError) as error:
        sys.exit(f"benchmarks/scale: {error}")
