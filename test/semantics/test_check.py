# SPDX-License-Identifier: Apache-2.0
"""The checker itself: a changed expectation makes exactly its case fail."""

import copy
import json
import os
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TABLES = Path(__file__).resolve().parent / "tables"
CHECK = Path(os.environ.get("SLUICE_BUILD", TOP / "build")) / "bin" / "semantics-check"


def packet(case, **wanted):
    """The first packet of a case with these values."""
    return next(p for p in case["packets"] if all(p.get(k) == v for k, v in wanted.items()))


def has_packet(**wanted):
    return lambda case: any(all(p.get(k) == v for k, v in wanted.items())
                            for p in case.get("packets") or [])


def table(name, suits, around=2):
    """A table of a few cases of a file, and the index of one that suits."""
    file = json.loads((TABLES / f"{name}.json").read_text())
    index = next(i for i, case in enumerate(file["cases"]) if suits(case))
    first = max(0, index - around)
    file["cases"] = copy.deepcopy(file["cases"][first:index + around + 1])
    return file, index - first


def run(folder, file, *flags):
    """Exit code and what became of each case."""
    path = folder / "table.json"
    path.write_text(json.dumps(file))
    done = subprocess.run([CHECK, "--list", *flags, path], capture_output=True, text=True,
                          timeout=60, stdin=subprocess.DEVNULL)
    cases = dict(line.split(" ", 2)[1:] for line in done.stdout.splitlines()
                 if line.startswith("case "))
    return done.returncode, cases, done.stdout + done.stderr


def other_verdict(to, **wanted):
    def change(case):
        target = packet(case, **wanted)
        target["verdict"] = to
        target.pop("to", None)
    return change


def other_endpoint(**wanted):
    def change(case):
        packet(case, verdict="dnat", **wanted)["to"][0]["ep"] = "10.9.9.9:1"
    return change


def another_endpoint(**wanted):
    def change(case):
        to = packet(case, verdict="dnat", **wanted)["to"]
        to.append(dict(to[0], ep="10.9.9.9:1"))
    return change


def other_snat(case):
    to = packet(case, verdict="dnat", iif="veth100")["to"]
    to[0]["snat"] = not to[0]["snat"]


def other_decision(case):
    other_verdict("pass", fromNode=True, proto="SCTP", dstKind="cluster-ip")(case)


def set_port(key, value):
    def change(case):
        case["servicePorts"][0][key] = value
    return change


def other_watched(case):
    name = next(iter(case["watched"]))
    case["watched"][name] = not case["watched"][name]


def other_step(case):
    case["steps"][-1]["programmed"] = not case["steps"][-1]["programmed"]


def other_generation(case):
    # The endpoint's flows would have to leave it.
    port = next(p for step in reversed(case["steps"]) for p in step.get("servicePorts") or []
                if p["endpoints"])
    port["endpoints"][0]["serving"] = port["endpoints"][0]["ready"] = False


def other_flow(case):
    flow = next(f for f in case["flows"] if f["deleted"] and f["note"] == "cluster-ip")
    flow["deleted"] = False


def other_connection(case):
    connection = next(c for c in case["connections"] if not c["free"])
    connection["chosenInThisRun"] = next(ep for ep in connection["allowed"]
                                         if ep != connection["chosenInThisRun"])


def other_health(case):
    case["localReadyEndpoints"] = {"IPv4 nobody/nothing": 3}


def other_status(case):
    case["status"] += 1


def other_body(case):
    case["body"] += " "


def kind(*notes):
    return lambda case: any(f["deleted"] and f["note"] in notes for f in case["flows"])


def always(_case):
    return True


def updates(case):
    return any(step["op"] == "slice-update" for step in case["steps"])


DNAT = {"verdict": "dnat"}
CHANGES = {
    "a verdict by test run": ("policies", has_packet(iif="eth0", **DNAT),
                              other_verdict("drop", iif="eth0", **DNAT)),
    "an endpoint by test run": ("policies", has_packet(iif="eth0", **DNAT),
                                other_endpoint(iif="eth0")),
    "one endpoint more": ("policies", has_packet(iif="eth0", **DNAT),
                          another_endpoint(iif="eth0")),
    "masquerade": ("masquerade", has_packet(iif="veth100", **DNAT), other_snat),
    "a verdict by a socket": ("policies", has_packet(fromNode=True, proto="TCP", **DNAT),
                              other_verdict("reject", fromNode=True, proto="TCP", **DNAT)),
    "an endpoint by a datagram": ("policies", has_packet(fromNode=True, proto="UDP", **DNAT),
                                  other_endpoint(fromNode=True, proto="UDP")),
    "a verdict by decision": ("policies", has_packet(fromNode=True, proto="SCTP",
                                                     dstKind="cluster-ip"), other_decision),
    "the cluster set": ("topology", always, set_port("clusterEndpoints", ["10.9.9.9:1"])),
    "the local set": ("topology", always, set_port("localEndpoints", ["10.9.9.9:1"])),
    "any endpoints": ("policies", lambda c: c["servicePorts"][0]["hasAnyEndpoints"],
                      set_port("hasAnyEndpoints", False)),
    "a node port": ("policies", always, set_port("nodePort", 31999)),
    "source ranges": ("source-ranges",
                      lambda c: c["servicePorts"][0]["loadBalancerVIPs"],
                      set_port("loadBalancerSourceRanges", ["10.9.0.0/16"])),
    "ready endpoints here": ("policies", always, other_health),
    "a selector": ("selection", always, other_watched),
    "whether a step programs": ("sequences", always, other_step),
    "who keeps its flows": ("sequences", updates, other_generation),
    "a flow that leaves": ("conntrack", kind("cluster-ip"), other_flow),
    "whom a client is remembered with": (
        "affinity", lambda c: any(not x["free"] and len(x["allowed"]) > 1
                                  for x in c["connections"]), other_connection),
    "a status": ("http", always, other_status),
    "a body": ("http", always, other_body),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_expectation_fails_exactly_its_case(change, tmp_path):
    name, suits, edit = CHANGES[change]
    file, index = table(name, suits)
    code, cases, output = run(tmp_path, file)
    assert code == 0 and set(cases.values()) == {"passed"}, output

    edit(file["cases"][index])
    code, cases, output = run(tmp_path, file)
    assert code == 1, output
    assert [id_ for id_, word in cases.items() if word == "FAILED"] == \
        [file["cases"][index]["id"]], output
    assert f"{len(cases) - 1} passed, 1 failed" == output.strip().splitlines()[-1]


@pytest.mark.parametrize("name", ["policies", "node-ports", "selection", "slices", "sequences",
                                  "conntrack", "affinity"])
def test_a_mutated_table_has_the_same_outcome(name, tmp_path):
    file, _ = table(name, always, around=4)
    code, cases, output = run(tmp_path, file, "--mutate", "7", "2")
    assert code == 0 and set(cases.values()) == {"passed"}, output
    assert output.strip().splitlines()[-1] == f"{2 * len(file['cases'])} passed, 0 failed"


def test_what_is_no_table_is_refused(tmp_path):
    assert run(tmp_path, {"format": 2})[0] == 2
    assert run(tmp_path, {"format": 1, "kind": "unheard of", "cases": [{"id": "a"}]})[0] == 2


def test_what_was_not_run_does_not_count_as_success(tmp_path):
    file, _ = table("sequences", always)
    code, cases, output = run(tmp_path, file, "--state-only")
    assert code == 3 and set(cases.values()) == {"not run"}, output
    assert output.strip().splitlines()[-1] == "0 passed, 0 failed"


def test_the_checker_leaves_nothing_behind(tmp_path):
    pins = set(os.listdir("/sys/fs/bpf"))
    run(tmp_path, table("policies", always)[0])
    left = set(os.listdir("/sys/fs/bpf")) - pins
    assert not any(name.startswith("semantics-check") for name in left)
