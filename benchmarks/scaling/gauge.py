# SPDX-License-Identifier: Apache-2.0
"""What a process costs: CPU with its children's, memory of its own and in the kernel."""

import os
import pathlib
import re
import subprocess

_NAME = "sluice-scale"


def _mounts(kind, option=None):
    with open("/proc/mounts", encoding="utf-8") as f:
        for line in f:
            _, where, found, options, *_ = line.split()
            if found == kind and (option is None or option in options.split(",")):
                return pathlib.Path(where)
    return None


class Group:
    """Control groups for one process and its children, made anew.

    The second hierarchy counts CPU even where it has no controllers; kernel memory needs the
    memory controller, of either version, and is None without.
    """

    def __init__(self):
        unified = _mounts("cgroup2")
        if unified is None:
            raise RuntimeError("no cgroup2 file system is mounted: CPU can't be counted")
        self._cpu = self._make(unified)
        old = self._make(_mounts("cgroup", "memory"))
        self._kernel = old / "memory.kmem.usage_in_bytes" if old else self._cpu / "memory.stat"
        self._folders = [f for f in (self._cpu, old) if f]

    @staticmethod
    def _make(root):
        if root is None:
            return None
        folder = root / _NAME
        if folder.is_dir():
            folder.rmdir()
        folder.mkdir()
        return folder

    def enter(self):
        """The calling process, by a child before it executes."""
        for folder in self._folders:
            (folder / "cgroup.procs").write_text("0")

    def close(self):
        for folder in self._folders:
            folder.rmdir()

    def cpu_s(self):
        """Seconds: `usage` in all, `system` of it in the kernel."""
        stat = _pairs(self._cpu / "cpu.stat")
        return {what: stat[f"{what}_usec"] / 1e6 for what in ("usage", "system")}

    def kernel_bytes(self):
        if not self._kernel.exists():
            return None
        if self._kernel.name == "memory.stat":
            return _pairs(self._kernel).get("kernel")
        return int(self._kernel.read_text())


def _pairs(path):
    return {key: int(value) for key, value in map(str.split, path.read_text().splitlines())}


class KernelThreads:
    """CPU of all kernel threads of the machine since this was made: what is put off to them, such
    as freeing memory, belongs to nobody. What others on the machine cause is in it.
    """

    def __init__(self):
        self._before = self._all()

    def cpu_s(self):
        return sum(ns - self._before.get(thread, 0) for thread, ns in self._all().items()) / 1e9

    @staticmethod
    def _all():
        """Nanoseconds by thread."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                if stat[1] == "2":
                    spent = pathlib.Path(f"/proc/{pid}/schedstat").read_text().split()[0]
                    found[pid, stat[19]] = int(spent)  # and when it started
            except OSError:
                continue
        return found


def memory(pid):
    """Bytes, from /proc/PID/status: peak and present RSS, and its anonymous part."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmHWM|VmRSS|RssAnon):\s+(\d+) kB$", text, re.M))
    return {"peak": int(found["VmHWM"]) * 1024, "rss": int(found["VmRSS"]) * 1024,
            "anon": int(found["RssAnon"]) * 1024}


def mapped_maps_bytes(pid):
    """Resident pages of BPF maps that the process has mapped; they are the kernel's anyway."""
    total, inside = 0, False
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as f:
        for line in f:
            if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
                inside = "bpf-map" in line
            elif inside and line.startswith("Rss:"):
                total += int(line.split()[1]) * 1024
    return total


def maps_bytes(pid):
    """What the kernel says the BPF maps take that the process has open."""
    found = {}
    for fd in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        try:
            text = fd.read_text()
        except OSError:
            continue
        pairs = dict(re.findall(r"^(map_id|memlock):\s+(\d+)$", text, re.M))
        if "map_id" in pairs:
            found[pairs["map_id"]] = int(pairs["memlock"])
    return sum(found.values())


def machine():
    """What results are worth nothing without."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    here = pathlib.Path(__file__).parent
    commit = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty", "--abbrev=12"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"machine": f"{os.cpu_count()} x {model[1] if model else os.uname().machine}",
            "memoryBytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "kernel": os.uname().release, "commit": commit or None}
