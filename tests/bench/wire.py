"""A Kafka produce connection that sends ready-made record batches: the smallest client that can.

confluent-kafka takes 1.6 us of Python a message, and more for headers; at 100,000 events/s that is
a quarter of the core that the broker needs. Here a batch is one request, whatever it holds.
"""

import select
import socket
import struct
import time

_PRODUCE, _VERSION = 0, 7
_TIMEOUT_MS = 30_000
MAX_UNANSWERED = 32
_NO_LEADER_YET = {3, 5, 6}
"""Unknown topic or partition, leader not available, not leader: a topic that was just created."""


class RefusedError(Exception):
    """The broker's error code for a batch."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the broker refused a batch of events: Kafka error code {code}")
        self.code = code


class ProduceConnection:
    """One connection to the (only) broker; every reply is checked, in order."""

    def __init__(self, bootstrap: str) -> None:
        host, _, port = bootstrap.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=_TIMEOUT_MS / 1000)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._next_id = 0
        self._n_unanswered = 0
        self._ready: set[tuple[str, int]] = set()

    def send(self, topic: str, partition: int, batch: bytes) -> None:
        """Send one record batch with acks=1; waits while MAX_UNANSWERED requests are out."""
        if (topic, partition) in self._ready:
            self._send(topic, partition, batch)
        else:
            self._send_first(topic, partition, batch)

    def _send_first(self, topic: str, partition: int, batch: bytes) -> None:
        """Try until the partition takes records: metadata names its leader a moment earlier."""
        self.drain()
        deadline = time.monotonic() + _TIMEOUT_MS / 1000
        while True:
            try:
                self._send(topic, partition, batch)
                self.drain()
            except RefusedError as error:
                if error.code not in _NO_LEADER_YET or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                self._ready.add((topic, partition))
                return

    def _send(self, topic: str, partition: int, batch: bytes) -> None:
        name = topic.encode()
        body = b"".join(
            (
                struct.pack(">hhih", _PRODUCE, _VERSION, self._next_id, -1),
                struct.pack(">hhii", -1, 1, _TIMEOUT_MS, 1),
                struct.pack(">h", len(name)),
                name,
                struct.pack(">iii", 1, partition, len(batch)),
                batch,
            )
        )
        self._next_id += 1
        self._socket.sendall(struct.pack(">i", len(body)) + body)
        self._n_unanswered += 1
        while self._n_unanswered and (self._n_unanswered >= MAX_UNANSWERED or self._readable()):
            self._read_reply()

    def drain(self) -> None:
        """Wait until every request is acknowledged."""
        while self._n_unanswered:
            self._read_reply()

    def close(self) -> None:
        self._socket.close()

    def _readable(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def _read_reply(self) -> None:
        (size,) = struct.unpack(">i", self._read(4))
        reply = self._read(size)
        (name_length,) = struct.unpack_from(">h", reply, 8)
        (error,) = struct.unpack_from(">h", reply, 10 + name_length + 8)
        self._n_unanswered -= 1
        if error:
            raise RefusedError(error)

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError("the broker closed the connection of the generator")
            data += part
        return bytes(data)
