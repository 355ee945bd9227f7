# SPDX-License-Identifier: Apache-2.0
"""A strict reader of Prometheus' text format 0.0.4: what it lets through, any reader can read."""

import re

from prometheus_client import parser

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"')
_SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^}]*(?:\"[^\"]*\"[^}]*)*)\})? (\S+)")
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}


class Family:
    """One metric: its type, help and samples as {(name, ((label, value), ...)): number}."""

    def __init__(self, name, help_):
        self.name = name
        self.help = help_
        self.type = None
        self.samples = {}


def _labels(text):
    labels, at = [], 0
    while at < len(text):
        found = _LABEL.match(text, at)
        assert found, f"not a label: {text[at:]}"
        labels.append((found[1], re.sub(r"\\(.)", lambda c: {"n": "\n"}.get(c[1], c[1]),
                                        found[2])))
        at = found.end()
        assert at == len(text) or (text[at] == "," and at + 1 < len(text)), text
        at += 1
    assert len({name for name, _ in labels}) == len(labels), f"a label twice: {text}"
    return tuple(labels)


def _check_histogram(family):
    rows = {}
    for (name, labels), value in family.samples.items():
        others = tuple(pair for pair in labels if pair[0] != "le")
        row = rows.setdefault(others, {"buckets": []})
        if name.endswith("_bucket"):
            row["buckets"].append((float(dict(labels)["le"]), value))
        else:
            row[name.rpartition("_")[2]] = value
    for labels, row in rows.items():
        bounds = [bound for bound, _ in row["buckets"]]
        counts = [count for _, count in row["buckets"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), (family.name, labels)
        assert counts == sorted(counts) and counts[-1] == row["count"], (family.name, labels)
        assert "sum" in row, (family.name, labels)


def read(text):
    """The metrics of a page by their names; raises AssertionError at what is not the format."""
    families, current = {}, None
    assert text.endswith("\n"), "the last line has no end"
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, help_ = line.removeprefix("# HELP ").split(" ", 1)
            assert _NAME.fullmatch(name) and name not in families, f"begins again: {line}"
            assert current is None or current.type, f"no TYPE: {current.name}"
            current = families[name] = Family(name, help_)
        elif line.startswith("# TYPE "):
            name, kind = line.removeprefix("# TYPE ").split(" ")
            assert current and name == current.name and not current.type, line
            assert kind in ("counter", "gauge", "histogram"), line
            current.type = kind
        else:
            found = _SAMPLE.fullmatch(line)
            assert found, f"not a sample: {line}"
            names = [current.name + suffix for suffix in _SUFFIXES.get(current.type, ("",))]
            assert current.type and found[1] in names, f"not of {current.name}: {line}"
            key = (found[1], _labels(found[2] or ""))
            assert key not in current.samples, f"twice: {line}"
            current.samples[key] = float(found[3])
    for family in families.values():
        assert family.type == "gauge" or all(v >= 0 for v in family.samples.values()), family.name
        if family.type == "histogram":
            _check_histogram(family)
    # And what others make of it.
    theirs = {sample.name: None for family in parser.text_string_to_metric_families(text)
              for sample in family.samples}
    ours = {name for family in families.values() for name, _ in family.samples}
    assert set(theirs) == ours, ours ^ set(theirs)
    return families
