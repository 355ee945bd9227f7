# SPDX-License-Identifier: Apache-2.0
"""What sluiced does to be allowed to work: --init-only, few capabilities, oomScoreAdj."""

import pathlib

import pytest

from checks import answered, ask, every_way, frontends, silent
from sandbox import netns
from sandbox.daemon import BPFFS

FEW = "-all,+bpf,+net_admin,+perfmon"
WRAPPER = """#!/bin/sh
exec setpriv --bounding-set {few} --inh-caps -all {sluiced} "$@"
"""


@pytest.fixture(scope="module")
def net(make_sandbox):
    sandbox = make_sandbox(pods="routed", between="routes")
    sandbox.web = sandbox.publish("web", ["pod12", "pod21"])
    return sandbox


def capabilities(pid):
    """The numbers of those in effect."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = int(status.partition("CapEff:")[2].split()[0], 16)
    return {bit for bit in range(64) if mask >> bit & 1}


def test_init_only_pins_and_attaches_nothing(net):
    netns.run(*net.daemon.command("--init-only"))
    pins = pathlib.Path(BPFFS) / "sluice" / net.daemon.instance
    for folder, empty in (("maps", False), ("programs", False), ("links", True)):
        assert any(pins.glob(f"v*/{folder}/*")) != empty, folder
    silent(ask(net["client"], "udp", frontends(net.web, 4)["VIP"]))


def test_three_capabilities_are_enough(net):
    folder = net.state / "few"
    folder.mkdir()
    wrapper = folder / "sluiced"
    wrapper.write_text(WRAPPER.format(few=FEW, sluiced=net.binaries / "sluiced"), encoding="utf-8")
    wrapper.chmod(0o755)
    whole, net.daemon.binaries = net.daemon.binaries, folder
    try:
        net.start()
    finally:
        net.daemon.binaries = whole
    assert len(capabilities(net.daemon.process.pid)) == 3
    assert "maps=adopted" in net.daemon.log.read_text(encoding="utf-8")
    hooks = {hook["state"] for item in net.daemon.get("attach")["items"] for hook in item["hooks"]}
    assert "attached" in hooks and "failed" not in hooks
    every_way(lambda proto, family: answered(
        ask(net["pod11"], proto, frontends(net.web, family)["cluster IP"]), {"pod12", "pod21"}))
    every_way(lambda proto, family: answered(
        ask(net["client"], proto, frontends(net.web, family)["VIP"]), {"pod12", "pod21"}))
    # A later change is programmed, too.
    net.publish("web", ["pod11"])
    every_way(lambda proto, family: answered(
        ask(net["client"], proto, frontends(net.web, family)["node port"]), {"pod11"}))


def test_oom_score_is_set_or_told(net):
    net.daemon.stop()
    net.start("--oom-score-adj", "321")
    score = pathlib.Path(f"/proc/{net.daemon.process.pid}/oom_score_adj")
    assert score.read_text(encoding="ascii") == "321\n"
    net.daemon.stop()
    net.start("--oom-score-adj", "-321")
    told = "oomScoreAdj: -321 can't be set: " in net.daemon.log.read_text(encoding="utf-8")
    score = pathlib.Path(f"/proc/{net.daemon.process.pid}/oom_score_adj")
    assert (score.read_text(encoding="ascii") == "-321\n") != told
