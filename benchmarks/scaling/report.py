# SPDX-License-Identifier: Apache-2.0
"""One table a load: a row a figure, a column a candidate."""

import statistics

from sandbox.failover import quantile

_MIB = 1 << 20


def _median(key, scale=1.0, form="{:.1f}"):
    """Of the rounds."""
    def cell(runs):
        values = [run[key] for run in runs]
        if None in values:
            return "-"
        return form.format(statistics.median(values) / scale)

    return cell


def _quantiles(key):
    """Of all samples of all rounds."""
    def cell(runs):
        values = [value for run in runs for value in run[key]]
        if not values:
            return "-"
        return "  ".join(f"{quantile(values, q):.1f}" for q in (0.5, 0.99))

    return cell


def _anon_and_binary(runs):
    return f"{statistics.median(r['anonBytes'] + r['binaryBytes'] for r in runs) / _MIB:.1f}"


ROWS = (
    ("start to all programmed, ms", _median("startMs", form="{:.0f}")),
    ("  CPU until then, s", _median("startCpuS", form="{:.2f}")),
    ("  of it in the kernel", _median("startSystemCpuS", form="{:.2f}")),
    ("  received from the API, MB", _median("startReceivedBytes", 1e6, "{:.2f}")),
    ("endpoints removed: ack to last packet to them, ms, p50 p99", _quantiles("removedMs")),
    ("endpoints added: ack to first packet to them, ms, p50 p99", _quantiles("addedMs")),
    ("new Service: ack to first packet answered, ms, p50 p99", _quantiles("newMs")),
    ("CPU for 100 changes, s", _median("changesCpuS", form="{:.3f}")),
    ("  of it in the kernel", _median("changesSystemCpuS", form="{:.3f}")),
    ("  kernel threads of the machine meanwhile, s",
     _median("changesKernelThreadsCpuS", form="{:.3f}")),
    ("  received from the API, kB", _median("changesReceivedBytes", 1e3, "{:.0f}")),
    ("peak RSS, MiB", _median("peakRssBytes", _MIB)),
    ("RSS at the end, MiB", _median("rssBytes", _MIB)),
    ("  RssAnon + size of the binary, MiB", _anon_and_binary),
    ("  mapped pages of BPF maps, MiB", _median("mappedMapsBytes", _MIB)),
    ("kernel memory of BPF maps, MiB", _median("mapsBytes", _MIB)),
    ("kernel memory of its control group, MiB", _median("kernelBytes", _MIB)),
)


def table(runs):
    """`runs`: the figures of all rounds by what heads their column. Lines of a Markdown table."""
    cells = [["", *runs]] + [[label, *(cell(runs[name]) for name in runs)] for label, cell in ROWS]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join([row[0].ljust(widths[0])] + [
        text.rjust(width) for text, width in zip(row[1:], widths[1:])]) + " |" for row in cells]
    rule = "| " + " | ".join(["-" * widths[0]] + ["-" * (w - 1) + ":" for w in widths[1:]]) + " |"
    return [lines[0], rule, *lines[1:]]
