"""What the detector must remember over a restart, as one message on `drift-state`."""

import zlib

import msgspec

from drift.open_windows import OpenState


class Memory(msgspec.Struct, frozen=True):
    """`watches`: each model version's, by version and segment. `unlogged`: records of windows that
    ClickHouse does not have yet. `partition` of `drift-sketches`, which `open` has places of.
    """

    partition: int
    open: OpenState
    watches: dict[str, bytes]
    unlogged: list[bytes]

    def encode(self) -> bytes:
        return zlib.compress(msgspec.msgpack.encode(self), 1)

    @classmethod
    def decode(cls, data: bytes) -> "Memory":
        """Of `encode`; raises ValueError for anything else."""
        try:
            memory: Memory = msgspec.msgpack.decode(zlib.decompress(data), type=Memory)
        except (zlib.error, msgspec.DecodeError) as error:
            raise ValueError(f"not a detector's memory: {error}") from error
        return memory
