# SPDX-License-Identifier: Apache-2.0
"""Builds, runs the levels of tests and counts their cases.

A case is a named behaviour: a Check test, a pytest function or a fuzzer. The rows of a
loop or of a parametrised test belong to one case, which fails if any row does.
"""

import concurrent.futures
import dataclasses
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = TOP / "build"
SANITIZED = TOP / "build-sanitized"
LOGS = BUILD / "test-logs"
LEVELS = ["unit", "packet", "semantics", "net", "kube", "fuzz", "kernels"]
# Seconds a level may take before it is ended: a hang must not hide the rest.
# What takes too long for every day: by name alone, not in "all".
LONG_LEVELS = ["kube-long"]
LIMITS = {"unit": 300, "packet": 300, "semantics": 300, "net": 1500, "kube": 2400,
          "kube-long": 3600, "fuzz": 90}
FUZZ_SECONDS = 30  # that a fuzzer searches
CHECK_AT_ONCE = 2  # programs: they wait for the kernel much of their time
FUZZ_AT_ONCE = 2
SKIPPED = 77  # exit code of a program that can't run here
# Undefined behaviour fails a test, instead of a line that nobody reads.
SANITIZERS = {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}

PASSED, SKIP, FAILED = 0, 1, 2
# file.c:12:P:tcase:name:iteration: Passed
CHECK_LINE = re.compile(r"^[^:]*:\d+:([PFE]):([^:]*):([^:]*):\d+: (.*)$")

# case NAME passed
CASE_LINE = re.compile(r"^case (.*) (passed|FAILED|not run)$")


@dataclasses.dataclass
class Cases:
    """What became of each case of a level, by name."""

    state: dict = dataclasses.field(default_factory=dict)
    why: dict = dataclasses.field(default_factory=dict)

    def add(self, name, state, why=""):
        if state >= self.state.get(name, PASSED):
            self.state[name] = state
            if why:
                self.why[name] = why
        self.state.setdefault(name, state)

    def count(self, state):
        return sum(1 for s in self.state.values() if s == state)


def build(folder, *options):
    """Configures and builds; ends the run with the last lines if it fails."""
    log = LOGS / f"{folder.name}.log"
    steps = [
        ["cmake", "-S", TOP, "-B", folder, "-G", "Ninja", *options],
        ["cmake", "--build", folder],
    ]
    with open(log, "w") as out:
        for step in steps:
            if subprocess.run(step, stdout=out, stderr=subprocess.STDOUT).returncode:
                print("".join(open(log).readlines()[-25:]), end="")
                sys.exit(f"run-tests: the build failed, see {log}")


def run_program(level, program):
    """One Check program. Returns its exit code and what it printed."""
    env = dict(os.environ, CK_VERBOSITY="verbose", **SANITIZERS)
    try:
        done = subprocess.run([program], env=env, cwd=TOP, capture_output=True, text=True,
                              errors="replace", timeout=LIMITS[level],
                              stdin=subprocess.DEVNULL)
        return done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as e:
        return -1, str(e)


def run_check(level, folder):
    """Every Check program of a level, some at a time. Returns its cases."""
    cases = Cases()
    programs = sorted((folder / "bin").glob(f"{level}_*"))
    with concurrent.futures.ThreadPoolExecutor(CHECK_AT_ONCE) as at_once:
        ends = list(at_once.map(lambda program: run_program(level, program), programs))
    for program, (code, output) in zip(programs, ends):
        log = LOGS / f"{program.name}.log"
        log.write_text(output)
        if code == SKIPPED:
            cases.add(program.name, SKIP, output.strip().splitlines()[-1] if output else "")
            continue
        failed = False
        for line in output.splitlines():
            match = CHECK_LINE.match(line)
            if match:
                bad = match[1] != "P"
                failed |= bad
                cases.add(f"{program.name}:{match[2]}:{match[3]}", FAILED if bad else PASSED,
                          line if bad else "")
        if code and not failed:
            cases.add(program.name, FAILED, f"exit code {code}, see {log}")
    return cases


def run_semantics(level, folder):
    """The checker's own tests, then the behaviour tables; a case of a table is
    a case. Returns them all."""
    cases = run_pytest(level, folder)
    log = LOGS / f"{level}-tables.log"
    tables = sorted((TOP / "test" / "semantics" / "tables").glob("*.json"))
    try:
        done = subprocess.run([folder / "bin" / "semantics-check", "--list", *tables], cwd=TOP,
                              capture_output=True, text=True, timeout=LIMITS[level],
                              stdin=subprocess.DEVNULL)
        code, output = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as e:
        code, output = -1, str(e)
    log.write_text(output)
    for line in output.splitlines():
        match = CASE_LINE.match(line)
        if match:
            cases.add(match[1], {"passed": PASSED, "FAILED": FAILED}.get(match[2], SKIP),
                      "" if match[2] == "passed" else f"see {log}")
    if code not in (0, 3) and not cases.count(FAILED):
        cases.add(level, FAILED, f"exit code {code}, see {log}")
    return cases


def run_pytest(level, folder, *options):
    """Every pytest file of a level's folder. Returns its cases."""
    cases = Cases()
    report = LOGS / f"{level}.xml"
    log = LOGS / f"{level}.log"
    report.unlink(missing_ok=True)
    env = dict(os.environ, SLUICE_BUILD=str(folder), PYTHONDONTWRITEBYTECODE="1")
    with open(log, "w") as out:
        try:
            code = subprocess.run(
                [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider",
                 f"--junitxml={report}", *options, TOP / "test" / level.partition("-")[0]],
                env=env, cwd=TOP, stdout=out, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, timeout=LIMITS[level]).returncode
        except subprocess.TimeoutExpired:
            code = -1
            cases.add(level, FAILED, f"not done after {LIMITS[level]} s, see {log}")
    if report.exists():
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{case.get('classname')}.{case.get('name').split('[')[0]}"
            bad = case.find("failure")
            bad = case.find("error") if bad is None else bad
            skip = case.find("skipped")
            if bad is not None:
                cases.add(name, FAILED, (bad.get("message") or "").split("\n")[0])
            elif skip is not None:
                cases.add(name, SKIP, skip.get("message") or "")
            else:
                cases.add(name, PASSED)
    if code and not cases.count(FAILED):
        cases.add(level, FAILED, f"pytest ended with {code}, see {log}")
    return cases


def run_fuzzer(program):
    """One fuzzer, over its corpus and what is made of it. Returns its exit code and log."""
    log = LOGS / f"{program.name}.log"
    corpus = TOP / "test/fuzz/corpus" / program.name.removeprefix("fuzz_")
    with open(log, "w") as out:
        try:
            code = subprocess.run([program, "-t", str(FUZZ_SECONDS), corpus], cwd=LOGS,
                                  env=dict(os.environ, **SANITIZERS), stdout=out,
                                  stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  timeout=LIMITS["fuzz"]).returncode
        except subprocess.TimeoutExpired:
            code = -1
    return code, log


def run_fuzz(folder):
    """Every fuzzer, some at a time. Each is a case."""
    cases = Cases()
    programs = sorted((folder / "bin").glob("fuzz_*"))
    with concurrent.futures.ThreadPoolExecutor(FUZZ_AT_ONCE) as at_once:
        for program, (code, log) in zip(programs, at_once.map(run_fuzzer, programs)):
            cases.add(program.name, FAILED if code else PASSED,
                      f"exit code {code}, see {log}" if code else "")
    return cases


RUN = {
    "unit": lambda: run_check("unit", SANITIZED),
    "packet": lambda: run_check("packet", BUILD),
    "semantics": lambda: run_semantics("semantics", BUILD),
    "net": lambda: run_pytest("net", BUILD),
    "kube": lambda: run_pytest("kube", BUILD),
    "kube-long": lambda: run_pytest("kube-long", BUILD, "--long"),
    "fuzz": lambda: run_fuzz(SANITIZED),
}


def main(arguments):
    levels = arguments or ["all"]
    for level in levels:
        if level not in LEVELS + LONG_LEVELS + ["all"]:
            sys.exit(f"run-tests: no level \"{level}\"; there are {', '.join(LEVELS)}, all, and "
                     f"beside those {', '.join(LONG_LEVELS)}")
    if "all" in levels:
        levels = LEVELS + [level for level in levels if level in LONG_LEVELS]

    LOGS.mkdir(parents=True, exist_ok=True)
    print("run-tests: building", flush=True)
    build(BUILD)
    if "unit" in levels or "fuzz" in levels:
        build(SANITIZED, "-DSLUICE_SANITIZE=ON", "-DCMAKE_BUILD_TYPE=Debug")

    total = {PASSED: 0, SKIP: 0, FAILED: 0}
    for level in levels:
        if level not in RUN:
            print(f"{level}: nothing yet", flush=True)
            continue
        began = time.monotonic()
        cases = RUN[level]()
        for name, state in cases.state.items():
            if state != PASSED:
                word = "FAILED" if state == FAILED else "skipped"
                print(f"  {word} {name}: {cases.why.get(name, '')}")
        for state in total:
            total[state] += cases.count(state)
        print(f"{level}: {cases.count(PASSED)} passed, {cases.count(FAILED)} failed, "
              f"{cases.count(SKIP)} skipped, {time.monotonic() - began:.0f} s", flush=True)
    print(f"{total[PASSED]} passed, {total[FAILED]} failed, {total[SKIP]} skipped")
    return 1 if total[FAILED] or not total[PASSED] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
