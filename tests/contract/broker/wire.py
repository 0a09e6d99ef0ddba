"""Requests over a plain socket, for answers that a client library would hide or retry."""

import socket
import struct
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from aiokafka.protocol.fetch import FetchRequest_v11
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import InitProducerIdRequest_v0
from aiokafka.protocol.types import Array, Schema
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from confluent_kafka import KafkaError

from tests.contract.broker.clients import WAIT_S, until

RETRIABLE = {KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE}


class Closed(Exception):
    """The broker closed the connection."""


class Wire:
    """One connection; requests are aiokafka's, answers their fields as a dict."""

    def __init__(self, servers: str) -> None:
        host, _, port = servers.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), WAIT_S)
        self._correlation = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def call(self, request: Any) -> dict[str, Any]:
        """Send one of aiokafka's requests and return the answer; raises Closed."""
        self.start(request)
        return self.finish(request)

    def start(self, request: Any) -> None:
        """Send it without waiting for the answer."""
        self._correlation += 1
        header = request.build_request_header(self._correlation, "wire").encode()
        self.send(header + request.encode())

    def finish(self, request: Any) -> dict[str, Any]:
        """The answer to `request`, which was sent last."""
        frame = self.receive()
        assert struct.unpack_from(">i", frame) == (self._correlation,)
        skipped = 5 if request.FLEXIBLE_VERSION else 4  # an empty set of tags is one byte
        answer = request.RESPONSE_TYPE.decode(frame[skipped:])
        return _named(answer.SCHEMA, [getattr(answer, name) for name in answer.SCHEMA.names])

    def send(self, payload: bytes) -> None:
        self.send_bytes(struct.pack(">i", len(payload)) + payload)

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        """One answer without its length; raises Closed."""
        (size,) = struct.unpack(">i", self._exactly(4))
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                part = self._socket.recv(size - len(data))
            except ConnectionError as error:
                raise Closed from error
            if not part:
                raise Closed
            data += part
        return data


def _named(schema: Schema, values: Sequence[Any]) -> dict[str, Any]:
    """Decoded fields by name; unlike aiokafka's `to_object` it knows that an array can be null."""
    fields = {}
    for name, kind, value in zip(schema.names, schema.fields, values, strict=True):
        if isinstance(kind, Array) and isinstance(kind.array_of, Schema):
            fields[name] = [_named(kind.array_of, each) for each in value or ()]
        else:
            fields[name] = value
    return fields


def header(api: int, version: int, correlation: int) -> bytes:
    """A request header of the older, not flexible kind, with the client id `me`."""
    return struct.pack(">hhih", api, version, correlation, 2) + b"me"


def batch(producer_id: int, epoch: int, sequence: int, n: int = 3) -> bytes:
    """A record batch as an idempotent producer makes it; -1, -1, -1 for a plain one."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, producer_id, epoch, sequence, 2**16)
    for index in range(n):
        builder.append(index, int(time.time() * 1000), b"key", b"value %d" % index, [])
    return bytes(builder.build())


def produce(wire: Wire, topic: str, records: bytes, *, acks: int = -1) -> tuple[int, int]:
    """Error code and base offset."""
    request = ProduceRequest_v7(None, acks, 10_000, [(topic, [(0, records)])])
    answer = wire.call(request)["topics"][0]["partitions"][0]
    return answer["error_code"], answer["offset"]


def new_producer_id(wire: Wire) -> int:
    """Asked for until there is one: a broker that just started has none to give for a moment."""

    def ask() -> dict[str, Any] | None:
        answer = wire.call(InitProducerIdRequest_v0(None, 60_000))
        return None if answer["error_code"] in RETRIABLE else answer

    answer = until(ask)
    assert (answer["error_code"], answer["producer_epoch"]) == (0, 0)
    return int(answer["producer_id"])


def fetch(wire: Wire, topic: str, offset: int = 0, **options: int) -> list[dict[str, Any]]:
    """The answers of the partitions, each with error_code, highwater_offset, message_set, ..."""
    answer = wire.call(fetch_request(topic, offset, **options))
    assert answer["error_code"] == 0
    partitions: list[dict[str, Any]] = answer["topics"][0]["partitions"]
    return partitions


def fetch_request(
    topic: str,
    offset: int = 0,
    *,
    n_partitions: int = 1,
    wait_ms: int = 0,
    min_bytes: int = 1,
    max_bytes: int = 2**20,
    partition_max_bytes: int = 2**20,
    isolation: int = 0,
) -> FetchRequest_v11:
    """A fetch outside of a session, from the same offset of partitions 0, 1, ..."""
    wanted = [(each, -1, offset, -1, partition_max_bytes) for each in range(n_partitions)]
    limits = (-1, wait_ms, min_bytes, max_bytes, isolation)
    return FetchRequest_v11(*limits, 0, -1, [(topic, wanted)], [], "")
