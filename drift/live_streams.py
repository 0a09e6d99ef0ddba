"""Stream detectors of one model version: alarms wait for their window to close."""

from collections.abc import Sequence

import msgspec

from drift.alert_signals import Signal
from drift.column_watch import StreamAlarm
from drift.families import StatedRate
from drift.findings import Level, Subject
from drift.levels import AlertBands
from drift.piece_streams import PieceStreams, stream_signals
from drift.reference import Reference
from drift.sketch import Sketch


class _State(msgspec.Struct, frozen=True):
    window_rows: int
    moody: list[str]
    streams: bytes
    alarms: list[StreamAlarm]


class LiveStreams:
    """Watches means by the piece from the first closed window on, which says how many rows one has.

    `state` is a predecessor's `encode`; one of other options is not gone on with.
    """

    def __init__(self, reference: Reference, rate: StatedRate, state: bytes = b"") -> None:
        self._reference, self._rate = reference, rate
        self._window_rows = 0
        self._moody: list[str] = []
        self._streams: PieceStreams | None = None
        self._alarms: list[StreamAlarm] = []
        if state:
            self._restore(state)

    @property
    def restless(self) -> dict[str, str]:
        """Columns that are left alone, and why."""
        return self._streams.restless if self._streams else {}

    def begin(self, window_rows: int, moody: Sequence[str]) -> None:
        """Watch from now on, if it has not begun, all columns but the `moody` ones."""
        if self._streams is None:
            self._window_rows, self._moody = window_rows, list(moody)
            self._streams = PieceStreams(
                self._reference, rate=self._rate, window_rows=window_rows, moody=moody
            )

    def feed(self, piece: Sketch) -> None:
        """Take a piece, each once, in the order of their topic."""
        if self._streams is not None:
            self._alarms += self._streams.update(piece)

    def signals(
        self, start_ms: int, names: Sequence[str], subjects: Sequence[Subject], bands: AlertBands
    ) -> tuple[Signal, ...]:
        """What was raised up to the window that begins at `start_ms`; it is told once."""
        due = [each for each in self._alarms if each.window_start_ms <= start_ms]
        self._alarms = [each for each in self._alarms if each.window_start_ms > start_ms]
        return stream_signals(due, names, subjects, bands)

    def encode(self) -> bytes:
        if self._streams is None:
            return b""
        state = _State(self._window_rows, self._moody, self._streams.encode(), self._alarms)
        return msgspec.msgpack.encode(state)

    def _restore(self, data: bytes) -> None:
        try:
            state = msgspec.msgpack.decode(data, type=_State)
            self._streams = PieceStreams.decode(
                state.streams,
                self._reference,
                rate=self._rate,
                window_rows=state.window_rows,
                moody=state.moody,
            )
        except (msgspec.DecodeError, ValueError):
            return  # another rate, or another version of river: it begins anew
        self._window_rows, self._moody = state.window_rows, state.moody
        self._alarms = state.alarms


def stronger(windows: Sequence[Signal], streams: Sequence[Signal]) -> list[Signal]:
    """One signal of each thing: the window's own, unless only the stream's is an alert."""
    chosen = {(each.subject, each.name): each for each in windows}
    for each in streams:
        key = each.subject, each.name
        own = chosen.get(key)
        if own is None or (each.level is Level.ALERT and own.level is not Level.ALERT):
            chosen[key] = each
    return list(chosen.values())
