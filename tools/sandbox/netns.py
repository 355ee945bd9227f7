# SPDX-License-Identifier: Apache-2.0
"""Network namespaces by name: made, entered, and removed with all that runs in them."""

import os
import signal
import subprocess
import time

FOLDER = "/run/netns"


class CommandError(Exception):
    """A command that failed, and what it said."""


def run(*command, stdin=None):
    """Runs a command and returns its output; a failure says which command and why."""
    done = subprocess.run(command, input=stdin, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        raise CommandError(f"{' '.join(command)}: {said or f'exit {done.returncode}'}")
    return done.stdout


def path(name):
    return f"{FOLDER}/{name}"


def exists(name):
    return os.path.exists(path(name))


def enter(name):
    """The words before a command that is to run in a namespace.

    Not `ip netns exec`: that mounts a new /sys, which hides bpffs and cgroups.
    """
    return ["nsenter", f"--net={path(name)}", "--"]


def ip(lines, namespace=None):
    """Runs lines of ip(8) as one batch."""
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "-batch", "-", stdin="\n".join(lines) + "\n")


def sysctl(namespace, settings):
    """Sets keys below net/, as {"ipv4/ip_forward": 1}."""
    script = "cd /proc/sys/net\n" + "".join(f"echo {v} > {k}\n" for k, v in settings.items())
    run(*enter(namespace), "sh", "-e", stdin=script)


def named(prefix):
    """The namespaces of a prefix."""
    if not os.path.isdir(FOLDER):
        return []
    return sorted(n for n in os.listdir(FOLDER) if n.startswith(f"{prefix}-"))


def _processes(names):
    """Who runs in these namespaces, by comparing the namespace itself."""
    inodes = set()
    for name in names:
        try:
            inodes.add(os.stat(path(name)).st_ino)
        except OSError:
            continue
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}/ns/net").st_ino in inodes:
                found.append(int(pid))
        except OSError:
            continue
    return found


def end_processes(prefix, patience_s=3.0):
    """Ends whatever runs in a prefix's namespaces."""
    names = named(prefix)
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + patience_s
        while (pids := _processes(names)) and time.monotonic() < deadline:
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
            time.sleep(0.05)


def remove(prefix):
    """Ends what runs in a prefix's namespaces and removes them. Returns how many there were."""
    end_processes(prefix)
    names = named(prefix)
    for name in names:
        run("ip", "netns", "delete", name)
    return len(names)
