"""Connections: frames in, one request at a time, responses in order."""

import asyncio
import struct
from collections.abc import Awaitable
from typing import cast

import structlog

from deploy.local.broker.dispatch import HANDLERS
from deploy.local.broker.errors import MalformedError
from deploy.local.broker.handlers.metadata import unsupported_version
from deploy.local.broker.node import Node
from deploy.local.broker.protocol.messages import APIS
from deploy.local.broker.protocol.messages.data import API_VERSIONS
from deploy.local.broker.protocol.wire import STRING, Api, Message, read_uvarint
from deploy.local.broker.requests import Request

log = structlog.get_logger(__name__)

_LENGTH = struct.Struct(">i")
_HEADER = struct.Struct(">hhi")  # API key, version, correlation id
# A client may send ahead while its request is served; beyond this it is not read from.
_READ_AHEAD = 1 << 20
_LARGE = 64 << 10


class Connection(asyncio.Protocol):
    """One client. A request that is none ends this connection and nothing else."""

    def __init__(self, node: Node, connections: set["Connection"]) -> None:
        self._node = node
        self._connections = connections
        self._received = bytearray()
        self._held = 0
        self._waiting: asyncio.Task[None] | None = None
        self._writable = True
        self._last_active = 0.0

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._loop = asyncio.get_running_loop()
        self._host = str((transport.get_extra_info("peername") or ("?",))[0])
        self._reached_at: tuple[str, int] = transport.get_extra_info("sockname")[:2]
        self._last_active = self._loop.time()
        if len(self._connections) >= self._node.options.limits.connections:
            self._refuse(f"more than {self._node.options.limits.connections} connections")
            return
        self._connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        self._last_active = self._loop.time()
        self._count_memory()
        if self._node.memory.left == 0:
            self._refuse("the requests and responses of all clients take too much memory")
            return
        self._serve_all()

    def pause_writing(self) -> None:
        """The client reads slower than it asks: no further request until it caught up."""
        self._writable = False
        self._count_memory()

    def resume_writing(self) -> None:
        self._writable = True
        self._count_memory()
        self._serve_all()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._connections.discard(self)
        self._received.clear()
        self._node.memory.used -= self._held
        self._held = 0
        if self._waiting is not None:
            self._waiting.cancel()

    # --- ours ---

    def close(self) -> None:
        self._transport.abort()

    def close_if_idle(self, now: float) -> None:
        """Close when nothing came for long and nothing is being waited for."""
        idle = now - self._last_active > self._node.options.limits.idle_s
        if idle and self._waiting is None:
            self._transport.close()

    def _serve_all(self) -> None:
        while self._writable and self._waiting is None and not self._transport.is_closing():
            try:
                frame = self._next_frame()
                if frame is None:
                    break
                self._serve(frame)
            except MalformedError as error:
                self._refuse(str(error))
            except Exception:
                log.exception("request_failed", client=self._host)
                self._transport.abort()
        self._throttle()

    def _throttle(self) -> None:
        """Stop reading while the client is ahead of us; a frame still arriving is read whole."""
        if self._transport.is_closing():
            return
        busy = self._waiting is not None or not self._writable
        if busy and len(self._received) > _READ_AHEAD:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _next_frame(self) -> bytes | None:
        if len(self._received) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._received)
        if not _HEADER.size <= length <= self._node.options.limits.request:
            raise MalformedError(f"a request of {length} bytes")
        end = _LENGTH.size + length
        if len(self._received) < end:
            return None
        frame = bytes(memoryview(self._received)[_LENGTH.size : end])
        del self._received[:end]
        self._count_memory()
        return frame

    def _serve(self, frame: bytes) -> None:
        key, version, correlation = _HEADER.unpack_from(frame)
        api = APIS.get(key)
        if api is None:
            raise MalformedError(f"unknown API {key}")
        if not api.oldest <= version <= api.newest:
            self._refuse_version(api, version, correlation)
            return
        request = self._decode(api, version, frame)
        reply = HANDLERS[key](self._node, request)
        if isinstance(reply, Awaitable):
            self._waiting = self._loop.create_task(self._finish(reply, request, correlation))
        elif reply is not None:
            self._respond(api, version, correlation, reply)

    def _decode(self, api: Api, version: int, frame: bytes) -> Request:
        client_id, at = _read_client(frame, tags=version >= api.flexible)
        body = api.decode_request(version, frame, at)
        return Request(api, version, client_id, self._host, self._reached_at, body)

    async def _finish(
        self, reply: Awaitable[Message | None], request: Request, correlation: int
    ) -> None:
        try:
            message = await reply
        except Exception:
            log.exception("request_failed", client=self._host, api=request.api.name)
            self._transport.abort()
            return
        self._waiting = None
        if message is not None:
            self._respond(request.api, request.version, correlation, message)
        self._serve_all()

    def _respond(self, api: Api, version: int, correlation: int, message: Message) -> None:
        pieces = api.encode_response(version, message)
        # Response headers became flexible with the bodies, but for ApiVersions: its client does
        # not know yet what the broker speaks.
        tags = version >= api.flexible and api is not API_VERSIONS
        self._write(correlation, pieces, b"\0" if tags else b"")

    def _write(self, correlation: int, pieces: list[bytes | memoryview], tags: bytes) -> None:
        if self._transport.is_closing():
            return
        size = 4 + len(tags) + sum(map(len, pieces))
        small: list[bytes | memoryview] = [struct.pack(">ii", size, correlation), tags]
        for piece in pieces:
            if len(piece) < _LARGE:
                small.append(piece)
                continue
            # Large pieces are records: not worth a copy, as a view not even where the socket
            # takes a part of them only.
            self._transport.write(b"".join(small))
            self._transport.write(memoryview(piece))
            small = []
        self._transport.write(b"".join(small))
        self._last_active = self._loop.time()

    def _refuse_version(self, api: Api, version: int, correlation: int) -> None:
        if api is not API_VERSIONS:
            raise MalformedError(f"{api.name} version {version}")
        pieces = api.encode_response(0, unsupported_version())
        self._write(correlation, pieces, b"")

    def _refuse(self, reason: str) -> None:
        self._node.refusals.note(self._host, reason)
        self._transport.abort()

    def _count_memory(self) -> None:
        held = len(self._received)
        if not self._writable:
            held += self._transport.get_write_buffer_size()
        self._node.memory.used += held - self._held
        self._held = held


def _read_client(frame: bytes, *, tags: bool) -> tuple[str | None, int]:
    """The client's name and where the body begins: the rest of a request's header."""
    try:
        client_id, at = STRING.read(frame, _HEADER.size)
        count, at = read_uvarint(frame, at) if tags else (0, at)
        for _ in range(count):
            _, at = read_uvarint(frame, at)
            size, at = read_uvarint(frame, at)
            at += size
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise MalformedError("the request's header is cut") from error
    return client_id, at
