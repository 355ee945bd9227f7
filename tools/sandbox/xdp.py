# SPDX-License-Identifier: Apache-2.0
"""An XDP program that passes everything, for a veth whose peer sends by XDP.

Frames that a veth's XDP program sends back (XDP_TX) wait in the peer's ring, and only a peer with
an XDP program of its own is woken up for them: GRO makes the ring, but does not wake.
"""

import ctypes
import os
import platform

from . import netns
from .daemon import BPFFS

_SYSCALL = {"x86_64": 321, "aarch64": 280}
_PROG_LOAD, _OBJ_PIN = 5, 6
_TYPE_XDP = 6
_PASS = 2
# r0 = XDP_PASS; exit
_INSTRUCTIONS = bytes([0xb7, 0, 0, 0, _PASS, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0])


class _ProgLoad(ctypes.Structure):
    _fields_ = [("type", ctypes.c_uint32), ("count", ctypes.c_uint32),
                ("instructions", ctypes.c_uint64), ("license", ctypes.c_uint64),
                ("unused", ctypes.c_uint32 * 8)]


class _ObjPin(ctypes.Structure):
    _fields_ = [("path", ctypes.c_uint64), ("descriptor", ctypes.c_uint32),
                ("flags", ctypes.c_uint32)]


def _bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    result = libc.syscall(_SYSCALL[platform.machine()], command, ctypes.byref(attributes),
                          ctypes.sizeof(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf: {os.strerror(number)}")
    return result


def _address(data):
    buffer = ctypes.create_string_buffer(data)
    return ctypes.addressof(buffer), buffer


def attach_pass(namespace, interface):
    """Attaches the program; it stays as long as the interface."""
    code, keep_code = _address(_INSTRUCTIONS)
    text, keep_text = _address(b"Apache-2.0")
    descriptor = _bpf(_PROG_LOAD, _ProgLoad(_TYPE_XDP, len(_INSTRUCTIONS) // 8, code, text))
    # ip(8) takes a program by its pin only.
    pin = f"{BPFFS}/{namespace}-pass"
    path, keep_path = _address(pin.encode())
    try:
        _bpf(_OBJ_PIN, _ObjPin(path, descriptor, 0))
        netns.run(*netns.enter(namespace), "ip", "link", "set", "dev", interface, "xdp",
                  "pinned", pin)
    finally:
        del keep_code, keep_text, keep_path
        os.close(descriptor)
        if os.path.exists(pin):
            os.unlink(pin)
