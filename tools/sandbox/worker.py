# SPDX-License-Identifier: Apache-2.0
"""The traffic worker: one process in a namespace, told what to do by JSON lines.

A request is {"id": n, "do": "ask", ...arguments}; its answer {"id": n, "ok": result} or
{"id": n, "error": text}, in whatever order they are done. Traffic that fails is a result, not an
error: {"errno": "ECONNREFUSED", "ms": 3}.

By hand, it asks one server once:
    nsenter --net=/run/netns/PREFIX-client python3 worker.py tcp 203.0.113.10 80

The TCP server takes one line: `who` (one JSON line back), `echo` (that line, then an echo of
what follows), `bulk N` (N bytes each way with checksums), or an HTTP GET. The UDP server answers
`who`, and puts its name before an echo of anything else.
"""

import asyncio
import errno
import hashlib
import json
import os
import random
import socket
import struct
import sys
import time

_PATIENCE_S = 3.0
_LOST_S = 1.0
_ECHO = struct.Struct("!IQ")
_CHUNK = 1 << 18
# From linux/in.h and linux/in6.h, which the socket module knows in part.
_IP_MTU, _IPV6_MTU = 14, 24
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_EXTENDED_ERROR = struct.Struct("=IBBBBII")


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _bound(kind, to, source, source_port):
    sock = socket.socket(_family(to), kind)
    sock.setblocking(False)
    try:
        if source or source_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            anywhere = "::" if ":" in to else "0.0.0.0"
            sock.bind((source or anywhere, source_port))
    except OSError:
        sock.close()
        raise
    return sock


def _data(number, size):
    return random.Random(number).randbytes(size)


def _plain(peer):
    return [peer[0].removeprefix("::ffff:"), peer[1]]


def _name_of(error):
    if isinstance(error, TimeoutError) and not getattr(error, "errno", 0):
        return "ETIMEDOUT"
    if isinstance(error, OSError) and error.errno:
        return errno.errorcode.get(error.errno, str(error.errno))
    if isinstance(error, asyncio.IncompleteReadError):
        return "EOF"
    return f"{type(error).__name__}: {error}"


# What a broken connection can raise; anything else is a fault of this program.
_TRAFFIC_ERRORS = (OSError, asyncio.IncompleteReadError, ValueError)


async def _connect_tcp(to, port, source, source_port):
    sock = _bound(socket.SOCK_STREAM, to, source, source_port)
    try:
        await asyncio.get_running_loop().sock_connect(sock, (to, port))
        return await asyncio.open_connection(sock=sock)
    except BaseException:
        sock.close()
        raise


class Server:
    """Answers with this worker's name and the peer it sees, and counts what came."""

    def __init__(self, name):
        self.name = name
        self.served = {"tcp": 0, "udp": 0}

    def _who(self, peer, local):
        return {"name": self.name, "peer": list(peer[:2]), "local": list(local[:2])}

    async def tcp(self, reader, writer):
        self.served["tcp"] += 1
        try:
            await self._converse(reader, writer)
            await writer.drain()
        except _TRAFFIC_ERRORS:
            pass
        finally:
            writer.close()

    async def _converse(self, reader, writer):
        who = self._who(writer.get_extra_info("peername"), writer.get_extra_info("sockname"))
        verb, *words = (await reader.readline()).decode().split() or [""]
        text = json.dumps(who) + "\n"
        if verb == "GET":
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                         f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode())
        if verb in ("GET", "who", "echo"):
            writer.write(text.encode())
        if verb == "echo":
            while piece := await reader.read(_CHUNK):
                writer.write(piece)
                await writer.drain()
        if verb == "bulk":
            await self._bulk(reader, writer, who, int(words[0]))

    async def _bulk(self, reader, writer, who, size):
        digest, left = hashlib.sha256(), size
        while left and (piece := await reader.read(min(left, _CHUNK))):
            digest.update(piece)
            left -= len(piece)
        own = _data(size + 1, size)
        who |= {"received": digest.hexdigest(), "sending": hashlib.sha256(own).hexdigest()}
        writer.write(json.dumps(who).encode() + b"\n" + own)
        await writer.drain()

    def udp(self, data, peer, local):
        self.served["udp"] += 1
        if data.strip() == b"who":
            return json.dumps(self._who(peer, local)).encode()
        return self.name.encode() + b"\0" + data


class _UdpServer(asyncio.DatagramProtocol):
    def __init__(self, server):
        self.server = server
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        local = self.transport.get_extra_info("sockname")
        self.transport.sendto(self.server.udp(data, addr, local), addr)


class Flow:
    """One long-lived flow that is echoed and checked again and again."""

    def __init__(self, number):
        self.number = number
        self.server = None
        self.echoes = self.lost = self.moved = self.slowest_ms = 0
        self.broken = None

    def answered(self, server, began):
        self.echoes += 1
        self.slowest_ms = max(self.slowest_ms, round((time.monotonic() - began) * 1000))
        if self.server not in (None, server):
            self.moved += 1
        self.server = server


class Hold:
    """Many flows to one destination at once."""

    def __init__(self, spec):
        self.spec = spec
        self.flows = [Flow(n) for n in range(spec["count"])]
        self.tasks = []

    async def start(self):
        run = self._tcp if self.spec["proto"] == "tcp" else self._udp
        self.tasks = [asyncio.create_task(self._watch(run, flow)) for flow in self.flows]
        deadline = time.monotonic() + self.spec["patience_s"]
        while time.monotonic() < deadline:
            if all(f.echoes or f.broken for f in self.flows):
                break
            await asyncio.sleep(0.02)

    async def _watch(self, run, flow):
        # Spread over one interval, so that echoes do not come in bursts.
        await asyncio.sleep(self.spec["interval_s"] * flow.number / len(self.flows))
        try:
            await run(flow)
        except _TRAFFIC_ERRORS as error:
            flow.broken = _name_of(error)

    async def _tcp(self, flow):
        spec, seq = self.spec, 0
        began = time.monotonic()
        async with asyncio.timeout(spec["patience_s"]):
            reader, writer = await _connect_tcp(
                spec["to"], spec["port"], spec["source"], spec["source_port"])
        try:
            writer.write(b"echo\n")
            async with asyncio.timeout(spec["patience_s"]):
                server = json.loads(await reader.readline())["name"]
            while True:
                sent = _ECHO.pack(flow.number, seq)
                writer.write(sent)
                async with asyncio.timeout(spec["patience_s"]):
                    got = await reader.readexactly(len(sent))
                if got != sent:
                    raise ValueError(f"echo {seq} is wrong")
                flow.answered(server, began)
                seq += 1
                await asyncio.sleep(spec["interval_s"])
                began = time.monotonic()
        finally:
            writer.close()

    async def _udp(self, flow):
        spec, seq, loop = self.spec, 0, asyncio.get_running_loop()
        sock = _bound(socket.SOCK_DGRAM, spec["to"], spec["source"], spec["source_port"])
        with sock:
            await loop.sock_connect(sock, (spec["to"], spec["port"]))
            last = time.monotonic()
            while time.monotonic() - last < spec["patience_s"]:
                sent, began = _ECHO.pack(flow.number, seq), time.monotonic()
                try:
                    await loop.sock_sendall(sock, sent)
                    async with asyncio.timeout(_LOST_S):
                        server = await self._udp_answer(sock, sent)
                except (TimeoutError, ConnectionRefusedError):
                    flow.lost += 1
                else:
                    flow.answered(server, began)
                    last = time.monotonic()
                seq += 1
                await asyncio.sleep(spec["interval_s"])
            raise TimeoutError

    @staticmethod
    async def _udp_answer(sock, sent):
        while True:
            data = await asyncio.get_running_loop().sock_recv(sock, 2048)
            server, _, echo = data.partition(b"\0")
            if echo == sent:
                return server.decode()

    def report(self):
        servers = {}
        for flow in self.flows:
            if not flow.broken:
                servers[flow.server] = servers.get(flow.server, 0) + 1
        return {
            "flows": len(self.flows),
            "echoes": sum(f.echoes for f in self.flows),
            "least": min(f.echoes for f in self.flows),
            "broken": [f"flow {f.number}: {f.broken}" for f in self.flows if f.broken],
            "moved": sum(f.moved for f in self.flows),
            "lost": sum(f.lost for f in self.flows),
            "slowest_ms": max(f.slowest_ms for f in self.flows),
            "servers": servers,
        }

    async def stop(self):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


class Worker:
    """The commands. Each method without an underscore is one."""

    def __init__(self, name):
        self.server = Server(name)
        self.holds = {}
        self.sockets = {}
        self.listening = []
        self.staying = False

    async def serve(self, proto, address, port):
        loop = asyncio.get_running_loop()
        if proto == "tcp":
            server = await asyncio.start_server(self.server.tcp, address, port, backlog=1024)
        else:
            server, _ = await loop.create_datagram_endpoint(
                lambda: _UdpServer(self.server), local_addr=(address, port))
        self.listening.append((proto, server))

    async def refuse(self, proto):
        """Closes the servers of a protocol again."""
        for each in [each for each in self.listening if each[0] == proto]:
            each[1].close()
            self.listening.remove(each)

    async def served(self):
        return self.server.served

    async def stay(self):
        """Go on serving when nobody commands any more."""
        self.staying = True

    async def ask(self, proto, to, port, source=None, source_port=0, timeout_s=_PATIENCE_S):
        """Asks a server once who it is and what it sees."""
        began = time.monotonic()
        once = self._ask_tcp if proto == "tcp" else self._ask_udp
        try:
            async with asyncio.timeout(timeout_s):
                result = await once(to, port, source, source_port)
        except _TRAFFIC_ERRORS as error:
            result = {"errno": _name_of(error)}
        return result | {"ms": round((time.monotonic() - began) * 1000)}

    async def _ask_tcp(self, to, port, source, source_port):
        reader, writer = await _connect_tcp(to, port, source, source_port)
        try:
            writer.write(b"who\n")
            return json.loads(await reader.readline())
        finally:
            writer.close()

    async def _ask_udp(self, to, port, source, source_port):
        loop = asyncio.get_running_loop()
        with _bound(socket.SOCK_DGRAM, to, source, source_port) as sock:
            await loop.sock_connect(sock, (to, port))
            await loop.sock_sendall(sock, b"who")
            return json.loads(await loop.sock_recv(sock, 2048))

    async def open(self, key, proto, to, port, connected=True, mapped=False, source=None):
        """Opens a socket that stays open, and asks a server by it; see `say`.

        `mapped` writes an IPv4 address into a socket of IPv6; without `connected` every datagram
        names its destination.
        """
        kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
        to = f"::ffff:{to}" if mapped else to
        try:
            sock = _bound(kind, to, source, 0)
            self.sockets[key] = sock, None if connected else (to, port)
            async with asyncio.timeout(_PATIENCE_S):
                if connected:
                    await asyncio.get_running_loop().sock_connect(sock, (to, port))
        except _TRAFFIC_ERRORS as error:
            return {"errno": _name_of(error)}
        return await self.say(key)

    async def say(self, key, timeout_s=_PATIENCE_S):
        """Asks by an open socket. `from` is who answered, `connected` whom the socket names."""
        sock, to = self.sockets[key]
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                if to:
                    await loop.sock_sendto(sock, b"who\n", to)
                else:
                    await loop.sock_sendall(sock, b"who\n")
                data, peer = await loop.sock_recvfrom(sock, 2048)
            result = json.loads(data) | {"from": peer and _plain(peer)}
            return result if to else result | {"connected": _plain(sock.getpeername())}
        except _TRAFFIC_ERRORS as error:
            return {"errno": _name_of(error)}

    async def rest(self, key, to, port, source=None):
        """Opens a TCP connection that an `echo` server keeps open, and says nothing more."""
        loop = asyncio.get_running_loop()
        try:
            sock = _bound(socket.SOCK_STREAM, to, source, 0)
            self.sockets[key] = sock, None
            async with asyncio.timeout(_PATIENCE_S):
                await loop.sock_connect(sock, (to, port))
                await loop.sock_sendall(sock, b"echo\n")
                return json.loads(await loop.sock_recv(sock, 2048))
        except _TRAFFIC_ERRORS as error:
            return {"errno": _name_of(error)}

    async def hear(self, key, timeout_s=_PATIENCE_S):
        """Waits for what an open socket receives, sending nothing; ETIMEDOUT if that is nothing."""
        try:
            async with asyncio.timeout(timeout_s):
                data = await asyncio.get_running_loop().sock_recv(self.sockets[key][0], 2048)
        except _TRAFFIC_ERRORS as error:
            return {"errno": _name_of(error)}
        return {"data": data.decode()}

    async def hang_up(self, key):
        self.sockets.pop(key)[0].close()

    async def spread(self, proto, to, port, count, source=None):
        """Asks `count` times, each from another port; returns how often which server answered.

        Three failures are enough to know: it stops, since each may have taken seconds.
        """
        answers, failed = {}, 0
        for _ in range(count):
            result = await self.ask(proto, to, port, source)
            who = result.get("name") or result["errno"]
            answers[who] = answers.get(who, 0) + 1
            failed += "errno" in result
            if failed == 3:
                break
        return answers

    async def bulk(self, to, port, size, source=None, timeout_s=60.0):
        """Sends `size` bytes, receives as many, and compares checksums of both ways.

        `mtu` is what the kernel then knows of the path there.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._bulk(to, port, size, source)
        except _TRAFFIC_ERRORS as error:
            return {"errno": _name_of(error)}

    async def _bulk(self, to, port, size, source):
        reader, writer = await _connect_tcp(to, port, source, 0)
        try:
            own, digest = _data(size, size), hashlib.sha256()
            writer.write(f"bulk {size}\n".encode() + own)
            await writer.drain()
            server = json.loads(await reader.readline())
            for left in range(size, 0, -_CHUNK):
                digest.update(await reader.readexactly(min(left, _CHUNK)))
            mtu = _mtu(writer.get_extra_info("socket"))
        finally:
            writer.close()
        return {"name": server["name"], "peer": server["peer"], "mtu": mtu,
                "up": server["received"] == hashlib.sha256(own).hexdigest(),
                "down": server["sending"] == digest.hexdigest()}

    async def hold(self, key, proto, to, port, count, source=None, source_port=0,
                   interval_s=0.2, patience_s=8.0):
        """Opens flows that go on until `release`; returns the first report."""
        self.holds[key] = Hold({"proto": proto, "to": to, "port": port, "count": count,
                                "source": source, "source_port": source_port,
                                "interval_s": interval_s, "patience_s": patience_s})
        await self.holds[key].start()
        return self.holds[key].report()

    async def held(self, key):
        return self.holds[key].report()

    async def release(self, key):
        hold = self.holds.pop(key)
        report = hold.report()
        await hold.stop()
        return report

    async def probe(self, proto, to, port, ttl, source=None):
        """Asks with so many hops: who answered, or `hop` and the errno that it stands for."""
        kind = socket.SOCK_STREAM if proto == "tcp" else socket.SOCK_DGRAM
        loop = asyncio.get_running_loop()
        with _bound(kind, to, source, 0) as sock:
            _limit_hops(sock, ttl)
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    await loop.sock_connect(sock, (to, port))
                    await loop.sock_sendall(sock, b"who\n")
                    return json.loads(await loop.sock_recv(sock, 2048))
            except _TRAFFIC_ERRORS as error:
                return {"errno": _name_of(error), "hop": _offender(sock)}

    async def ping(self, to, source=None, timeout_s=_PATIENCE_S):
        """One ICMP echo; returns who answered, or an errno."""
        v6 = ":" in to
        sock = socket.socket(_family(to), socket.SOCK_RAW,
                             socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
        sock.setblocking(False)
        key = os.urandom(4)
        with sock:
            try:
                if source:
                    sock.bind((source, 0))
                sock.sendto(_echo_request(v6, key), (to, 0))
                async with asyncio.timeout(timeout_s):
                    return await _echo_reply(sock, v6, key)
            except _TRAFFIC_ERRORS as error:
                return {"errno": _name_of(error)}


def _mtu(sock):
    if sock.family == socket.AF_INET6:
        return sock.getsockopt(socket.IPPROTO_IPV6, _IPV6_MTU)
    return sock.getsockopt(socket.IPPROTO_IP, _IP_MTU)


def _limit_hops(sock, ttl):
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, ttl)
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)
        sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)


def _offender(sock):
    """Who sent the ICMP error that a socket met, or None."""
    at = _EXTENDED_ERROR.size
    try:
        _, notes, _, _ = sock.recvmsg(2048, 512, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        return None
    for level, kind, data in notes:
        if (level, kind) == (socket.IPPROTO_IP, _IP_RECVERR):
            return socket.inet_ntop(socket.AF_INET, data[at + 4:at + 8])
        if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_RECVERR):
            return socket.inet_ntop(socket.AF_INET6, data[at + 8:at + 24])
    return None


def _echo_request(v6, key):
    # ICMPv6's checksum is the kernel's work, since it covers the addresses.
    body = struct.pack("!BBH", 128 if v6 else 8, 0, 0) + key + b"sluice--"
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    total = (total >> 16) + (total & 0xffff)
    checksum = ~((total >> 16) + total) & 0xffff
    return body if v6 else body[:2] + struct.pack("!H", checksum) + body[4:]


async def _echo_reply(sock, v6, key):
    while True:
        data, peer = await asyncio.get_running_loop().sock_recvfrom(sock, 2048)
        icmp = data if v6 else data[(data[0] & 15) * 4:]
        if icmp[0] == (129 if v6 else 0) and icmp[4:8] == key:
            return {"peer": peer[0]}


async def _obey(worker, line):
    request = json.loads(line)
    number, do = request.pop("id"), request.pop("do")
    try:
        if do.startswith("_"):
            raise AttributeError(do)
        reply = {"id": number, "ok": await getattr(worker, do)(**request)}
    except Exception as error:  # pylint: disable=broad-except
        # Whatever it is, it must reach the one who asked.
        reply = {"id": number, "error": f"{do}: {type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


async def _main(name):
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    worker, running = Worker(name), set()
    while line := await reader.readline():
        task = asyncio.create_task(_obey(worker, line))
        running.add(task)
        task.add_done_callback(running.discard)
    if worker.staying:
        await asyncio.Event().wait()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        print(json.dumps(asyncio.run(
            Worker("").ask(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
    elif len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        asyncio.run(_main(sys.argv[1]))
    else:
        sys.exit("usage: worker.py tcp|udp ADDRESS PORT   asks a server once\n"
                 "       worker.py NAME                   takes commands as JSON lines")
