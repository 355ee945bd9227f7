# SPDX-License-Identifier: Apache-2.0
"""What an instance has programmed, read from its pinned maps and freed of everything that may
differ between two that mean the same: ids, generations, places, versions.

It knows common/abi.h by itself, so that it does not repeat a mistake of sluiced's own readers.
"""

import contextlib
import ctypes
import ipaddress
import mmap
import os
import pathlib
import struct

from sandbox.daemon import BPFFS

_LOOKUP, _OBJ_GET, _OBJ_GET_INFO, _LOOKUP_BATCH = 1, 7, 15, 24
_SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_ENOENT = 2
_LIVE = 1  # SL_BACKEND_LIVE
_SERVICE_CIDRS = 4  # SL_SERVICE_CIDRS
_PROTOCOLS = {0: "any", 6: "TCP", 17: "UDP", 132: "SCTP"}
_BITMAPS = ("filter", "endpoint_set", "node_ports")

_WORD = struct.Struct("=Q")
_RECORD = struct.Struct("=IIII II 8s III B3x")  # struct sl_record
_BACKEND = struct.Struct("=Q16s2sBBIII")  # struct sl_backend
_IDENTITY = struct.Struct("=64s64s64sBB6x")  # struct sl_identity

_libc = ctypes.CDLL(None, use_errno=True)


def _bpf(command, form, *fields):
    """Returns the result and the attributes as they are afterwards."""
    attributes = ctypes.create_string_buffer(struct.pack(form, *fields))
    result = _libc.syscall(_SYS_BPF, command, attributes, struct.calcsize(form))
    return result, struct.unpack_from(form, attributes), ctypes.get_errno()


def _checked(result, _, error, what):
    if result < 0:
        raise OSError(error, f"{what}: {os.strerror(error)}")
    return result


class _Map:
    """A pinned map."""

    def __init__(self, instance, name):
        path = pathlib.Path(BPFFS) / "sluice" / instance / "v2/maps" / name
        text = ctypes.create_string_buffer(str(path).encode())
        info = ctypes.create_string_buffer(24)
        self.fd = _checked(*_bpf(_OBJ_GET, "=QII", ctypes.addressof(text), 0, 0), path)
        _checked(*_bpf(_OBJ_GET_INFO, "=IIQ", self.fd, 24, ctypes.addressof(info)), path)
        _, _, self.key_size, self.value_size, self.entries, _ = struct.unpack("=6I", info)

    def close(self):
        os.close(self.fd)

    def values(self):
        """A copy of a whole array that can be mapped; its values' sizes are multiples of 8."""
        with mmap.mmap(self.fd, self.entries * self.value_size, prot=mmap.PROT_READ) as mapped:
            return mapped[:]

    def items(self):
        """Keys and values of a hash or trie."""
        keys, values, place = (ctypes.create_string_buffer(size) for size in (
            self.entries * self.key_size, self.entries * self.value_size, 64))
        _, attributes, error = _bpf(
            _LOOKUP_BATCH, "=QQQQIIQQ", 0, *map(ctypes.addressof, (place, keys, values)),
            self.entries, self.fd, 0, 0)
        if error != _ENOENT:  # which says that this is the end
            raise OSError(error, f"reading a map: {os.strerror(error)}")
        for i in range(attributes[4]):
            yield (keys[i * self.key_size:(i + 1) * self.key_size],
                   values[i * self.value_size:(i + 1) * self.value_size])

    def lookup(self, index):
        key, value = ctypes.c_uint32(index), ctypes.create_string_buffer(self.value_size)
        _checked(*_bpf(_LOOKUP, "=IIQQQ", self.fd, 0, ctypes.addressof(key),
                       ctypes.addressof(value), 0), f"element {index}")
        return value.raw


def _open(instance, name):
    return contextlib.closing(_Map(instance, name))


def _array(instance, name):
    with _open(instance, name) as found:
        return found.values()


def _text(raw):
    return raw.partition(b"\0")[0].decode()


def _address(raw, family):
    return str(ipaddress.ip_address(raw[:4] if family == 4 else raw[:16]))


class _Reader:
    def __init__(self, instance):
        self.instance = instance
        self._records = _array(instance, "records")
        self._maglev = _array(instance, "maglev")
        self._backends = _array(instance, "backends")
        self._policies = self._read_policies()
        words = enumerate(_WORD.iter_unpack(_array(instance, "services")))
        self._services = {number: word & 0xffffffff for number, (word,) in words
                          if word & 0xffffffff}
        self._serving = {}  # backends' ids by service
        for number, entry in enumerate(_BACKEND.iter_unpack(self._backends)):
            if entry[0] & 0xff == _LIVE:
                self._serving.setdefault(entry[5], []).append(number)
        with _open(instance, "identities") as table:
            self._identities = {number: self._identity(table.lookup(number))
                                for number in self._services}

    @staticmethod
    def _identity(raw):
        namespace, name, port, proto, family = _IDENTITY.unpack(raw)
        return f"{_text(namespace)}/{_text(name)}:{_text(port)}/{_PROTOCOLS[proto]}/IPv{family}"

    def _read_policies(self):
        """Prefixes by policy id."""
        policies = {}
        for family in (4, 6):
            with _open(self.instance, f"policy{family}") as found:
                for key, _ in found.items():
                    bits, policy = struct.unpack_from("=II", key)
                    policies.setdefault(policy, set()).add(
                        f"{_address(key[8:], family)}/{bits - 32}")
        return policies

    def _backend(self, number):
        word, address, port, flags, family, *_ = _BACKEND.unpack_from(
            self._backends, number * _BACKEND.size)
        return (f"{_address(address, family)} {int.from_bytes(port, 'big')}",
                {"local": flags & 1, "sets": word >> 8 & 0xff, "order": word >> 16 & 0xffff,
                 "live": word & 0xff == _LIVE})

    def _set(self, slots, first):
        """The endpoint of each slot."""
        if slots <= 1:
            numbers = [first][:slots]
        else:
            numbers = struct.unpack_from(f"={slots}I", self._maglev, first * 4)
        endpoints = {number: self._backend(number)[0] for number in set(numbers)}
        return [endpoints[number] for number in numbers]

    def service(self, number, record):
        """All that the tables say of a service id."""
        slots0, first0, slots1, first1, owner, policy, paths, *rest = _RECORD.unpack_from(
            self._records, record * _RECORD.size)
        return {"owner": owner == number,
                "backends": dict(self._backend(n) for n in self._serving.get(number, ())),
                "sources": sorted(self._policies.get(policy, ())) if policy else None,
                "paths": list(paths), "rest": rest,
                "sets": [self._set(slots0, first0), self._set(slots1, first1)]}

    def services(self):
        return {self._identities[number]: self.service(number, record)
                for number, record in self._services.items()}

    def frontends(self):
        """Which Service an address and port lead to."""
        found = {}
        for family, length in ((4, 4), (6, 16)):
            with _open(self.instance, f"frontends{family}") as table:
                for key, value in table.items():
                    word = _WORD.unpack(value)[0]
                    port, proto = int.from_bytes(key[length:length + 2], "big"), key[length + 2]
                    number = word & 0xffffffff
                    found[f"{_address(key, family)} {port}/{_PROTOCOLS[proto]}"] = (
                        word >> 32 & 0xff, self._identities.get(number, number))
        return found


def read(instance):
    """A dict of dicts that is the same for any two instances that do the same."""
    reader = _Reader(instance)
    found = {"services": reader.services(), "frontends": reader.frontends()}
    for name in (*_BITMAPS, "node"):
        values = _array(instance, name)
        words = enumerate(_WORD.iter_unpack(_node(values) if name == "node" else values))
        found[name] = {i: f"{word:016x}" for i, (word,) in words if word}
    return found


def _node(value):
    """struct sl_node without the ServiceCIDRs that were: readers stop before them, and may be there."""
    clean = bytearray(value)
    at = 8 + 8 + 32  # the counts and flags, pods4, pods6
    for count, size in ((value[2], 8), (value[3], 32)):
        clean[at + count * size:at + _SERVICE_CIDRS * size] = bytes((_SERVICE_CIDRS - count) * size)
        at += _SERVICE_CIDRS * size
    return bytes(clean)


def differences(found, wanted, exact=True, most=20):
    """Lines that tell what differs, at most so many.

    Unless `exact`, bitmaps may have more bits: an address keeps its own while flows have it.
    """
    lines = []
    for name, table in wanted.items():
        for key in sorted(table.keys() | found[name].keys(), key=str):
            have, want = found[name].get(key, "missing"), table.get(key, "nothing")
            if have != want and (exact or name not in _BITMAPS or _lacks(have, want)):
                lines.append(f"{name} {key}: {_short(have)} instead of {_short(want)}")
    return lines[:most] + ([f"and {len(lines) - most} more"] if len(lines) > most else [])


def _lacks(have, want):
    """Whether a word of a bitmap lacks bits."""
    numbers = [0 if text in ("missing", "nothing") else int(text, 16) for text in (have, want)]
    return bool(numbers[1] & ~numbers[0])


def _short(value, most=300):
    text = str(value)
    return text if len(text) <= most else text[:most] + "..."
