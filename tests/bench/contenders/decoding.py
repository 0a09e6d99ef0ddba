"""Payloads of a batch to ids, event times and one float32[n, 30]; trusts them, as the bench may."""

import struct
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.codecs.packed import tail_dtype


@dataclass(frozen=True, slots=True)
class Decoded:
    ids: list[str]
    event_times_ms: list[int]
    features: NDArray[np.float32]


class JsonDecoder:
    """msgspec into a typed struct: the fastest pure-wheel JSON decoder for named features."""

    def __init__(self, names: tuple[str, ...]) -> None:
        features = msgspec.defstruct("Features", [(name, float) for name in names], gc=False)
        event = msgspec.defstruct(
            "Event", [("event_id", str), ("features", features), ("event_time_ms", int)], gc=False
        )
        self._decode = msgspec.json.Decoder(event).decode
        self._pack = struct.Struct(f"<{len(names)}f").pack
        self._n_features = len(names)

    def __call__(self, payloads: list[bytes]) -> Decoded:
        events = [self._decode(payload) for payload in payloads]
        astuple, pack = msgspec.structs.astuple, self._pack
        # struct.pack halves the cost of np.array() on a list of tuples.
        rows = b"".join([pack(*astuple(event.features)) for event in events])
        return Decoded(
            ids=[event.event_id for event in events],
            event_times_ms=[event.event_time_ms for event in events],
            features=np.frombuffer(rows, np.float32).reshape(-1, self._n_features),
        )


class PackedDecoder:
    """The tails of all payloads are one NumPy array; the ids are slices before them."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._tail = tail_dtype(len(names))

    def __call__(self, payloads: list[bytes]) -> Decoded:
        size = self._tail.itemsize
        tails = np.frombuffer(b"".join([payload[-size:] for payload in payloads]), self._tail)
        return Decoded(
            ids=[payload[2:-size].decode() for payload in payloads],
            event_times_ms=tails["event_time_ms"].tolist(),
            features=np.ascontiguousarray(tails["features"]),
        )


def make_decoder(wire_format: str, names: tuple[str, ...]) -> JsonDecoder | PackedDecoder:
    return JsonDecoder(names) if wire_format == "json" else PackedDecoder(names)
