# SPDX-License-Identifier: Apache-2.0
"""A UDP client that never stops sending: one socket, a datagram every millisecond.

    nsenter --net=/run/netns/PREFIX-client python3 udp_stream.py ADDRESS PORT

Sends until standard input ends. A line of JSON for each change of who answers: `at` (monotonic
seconds, of the machine), `from` (a server's name, or the errno that took its place) and `sent`,
the datagrams until then.
"""

import json
import select
import socket
import sys
import time

INTERVAL_S = 0.001


def _server(data):
    return data.partition(b"\0")[0].decode()


class _Stream:
    def __init__(self, to, port):
        self.sock = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET,
                                  socket.SOCK_DGRAM)
        self.sock.setblocking(False)
        self.sock.connect((to, port))
        self.sent = 0
        self.last = None

    def _from(self, who):
        if who != self.last:
            self.last = who
            print(json.dumps({"at": time.monotonic(), "from": who, "sent": self.sent}),
                  flush=True)

    def send(self):
        try:
            self.sock.send(b"%d" % self.sent)
            self.sent += 1
        except OSError as error:  # what an earlier datagram met
            self._failed(error)

    def receive(self):
        while True:
            try:
                self._from(_server(self.sock.recv(256)))
            except BlockingIOError:
                return
            except OSError as error:
                self._failed(error)

    def _failed(self, error):
        if not isinstance(error, (ConnectionRefusedError, BlockingIOError)):
            raise error
        if isinstance(error, ConnectionRefusedError):
            self._from("ECONNREFUSED")


def main(to, port):
    stream = _Stream(to, int(port))
    due = time.monotonic()
    while True:
        readable, _, _ = select.select([sys.stdin, stream.sock], [], [],
                                       max(0, due - time.monotonic()))
        if sys.stdin in readable:
            return
        if stream.sock in readable:
            stream.receive()
        if time.monotonic() >= due:
            stream.send()
            due = max(due + INTERVAL_S, time.monotonic())


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: udp_stream.py ADDRESS PORT")
    main(*sys.argv[1:])
