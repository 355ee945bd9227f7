# SPDX-License-Identifier: Apache-2.0
"""The program of benchmarks/udp-failover: BINARIES RUNS."""

import sys

from sandbox import plan
from sandbox.failover import UdpStream, moves, quantile, returns
from sandbox.sandbox import Sandbox

# Who sends, to which kind of address, and between which pods the Service moves.
WAYS = (
    ("pod, cluster IP, IPv4", "pod13", "cluster_ip", 4, ("pod11", "pod12")),
    ("pod, cluster IP, IPv6", "pod13", "cluster_ip", 6, ("pod11", "pod21")),
    ("outside, VIP, IPv4", plan.CLIENT, "vip", 4, ("pod11", "pod21")),
    ("outside, VIP, IPv6", plan.CLIENT, "vip", 6, ("pod21", "pod22")),
)
KINDS = (("one backend to another", moves), ("1 -> 0 -> 1", returns))


def main(binaries, runs):
    sandbox = Sandbox("slb-failover", binaries).up()
    try:
        sandbox.start()
        print(f"ms from the change of the slices to the first answer of the new backend; "
              f"{runs} runs, a datagram every ms")
        for name, who, kind, family, pods in WAYS:
            service = sandbox.publish("moving", pods[:1])
            to = getattr(service, kind)[family]
            with UdpStream(sandbox.topology.name(who), to, service.port("udp")) as stream:
                stream.reaches(pods[0], 0)
                for what, run in KINDS:
                    took = run(stream, lambda to: sandbox.publish("moving", to, wait=False),
                               pods, runs)
                    # An even number of moves ends where it began.
                    sandbox.publish("moving", pods[:1])
                    figures = "  ".join(f"p{q * 100:g} {quantile(took, q) * 1000:6.1f}"
                                        for q in (0.5, 0.99, 1))
                    print(f"{name:24} {what:24} {figures}", flush=True)
    finally:
        sandbox.down()
        sandbox.forget()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
