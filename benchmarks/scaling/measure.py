# SPDX-License-Identifier: Apache-2.0
"""One candidate, once: from its start to its end. Latencies are ms, sizes bytes."""

import random
import time

from . import documents, gauge, network

_CHURN_RATE = 10  # a second


def measure(candidate, setup, chosen):
    """Starts it, measures all, stops it. Returns the figures by name."""
    setup.prober.ask(None)
    received = network.received_bytes()
    candidate.start()
    try:
        found = _start(candidate, setup, received, chosen.settle)
        found["removedMs"], found["addedMs"] = _endpoint_changes(candidate, setup, chosen.changes)
        found["newMs"] = _new_services(candidate, setup, chosen.new)
        found |= _cost_of_changes(setup, chosen.churn, chosen.settle)
        found |= _memory(candidate, setup)
        return found
    finally:
        setup.prober.ask(None)
        candidate.stop()


def _start(candidate, setup, received, settle_s):
    cpu = setup.group.cpu_s()
    took_ns = candidate.wait_all() - candidate.began_ns
    after = setup.group.cpu_s()
    time.sleep(settle_s)
    setup.prober.ask(documents.PROBED_ADDRESS)
    time.sleep(0.1)
    return {"startMs": took_ns / 1e6, "startCpuS": after["usage"] - cpu["usage"],
            "startSystemCpuS": after["system"] - cpu["system"],
            "startReceivedBytes": network.received_bytes() - received}


def _pause(candidate):
    time.sleep(random.uniform(*candidate.pause_s))


def _changed(candidate, change, group, there):
    """Makes one change; ms from the API's answer until it was in force."""
    mark = candidate.mark()
    answered_ns, version = change()
    return (candidate.wait_change(mark, group, there, version) - answered_ns) / 1e6


def _endpoint_changes(candidate, setup, changes):
    """Half of the probed Service's endpoints leave and come back, and so on."""
    took = {False: [], True: []}
    for number in range(changes):
        there = number % 2 == 1
        document = documents.probed_slice(setup.cluster.endpoints, whole=there)
        _pause(candidate)
        took[there].append(_changed(candidate, lambda: setup.cluster.replace(document),
                                    documents.CHANGED, there))
    return took[False], took[True]


def _new_services(candidate, setup, number):
    """A Service and then its slice, whose answer the time counts from."""
    took = []
    for _ in range(number):
        service, its_slice = documents.new(setup.next_number(), setup.cluster.endpoints)
        setup.prober.ask(documents.address_of(service))
        _pause(candidate)
        setup.cluster.create(service)
        took.append(_changed(candidate, lambda: setup.cluster.create(its_slice),
                             documents.NEW, True))
        setup.cluster.delete(service)
        setup.cluster.delete(its_slice)
    return took


def _cost_of_changes(setup, changes, settle_s):
    """Of changes of endpoints at 10 a second, each of another Service; scaled to 100."""
    setup.prober.ask(None)
    time.sleep(settle_s)
    cpu, threads = setup.group.cpu_s(), gauge.KernelThreads()
    received, began = network.received_bytes(), time.monotonic()
    for number in range(changes):
        setup.cluster.change_filler(number % (setup.cluster.services - 1))
        time.sleep(max(0, began + (number + 1) / _CHURN_RATE - time.monotonic()))
    time.sleep(settle_s)
    scale = 100 / changes
    after = setup.group.cpu_s()
    return {"changesCpuS": (after["usage"] - cpu["usage"]) * scale,
            "changesSystemCpuS": (after["system"] - cpu["system"]) * scale,
            "changesKernelThreadsCpuS": threads.cpu_s() * scale,
            "changesReceivedBytes": (network.received_bytes() - received) * scale}


def _memory(candidate, setup):
    pid = candidate.process.pid
    memory = gauge.memory(pid)
    return {"peakRssBytes": memory["peak"], "rssBytes": memory["rss"],
            "anonBytes": memory["anon"], "binaryBytes": candidate.binary_bytes(),
            "mappedMapsBytes": gauge.mapped_maps_bytes(pid), "mapsBytes": gauge.maps_bytes(pid),
            "kernelBytes": setup.group.kernel_bytes()}
