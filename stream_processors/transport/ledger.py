"""The offset ledger: what of one partition may be committed."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class Run:
    """A run of source offsets `[covers_from, covers_to)` handed on as one batch."""

    covers_from: int
    covers_to: int
    on_done: Callable[[], None]
    done: bool = False


class Ledger:
    """Runs of one partition in order; commits reach only as far as every run below is done.

    Runs join up (`covers_to` of one is `covers_from` of the next), so holes in the source's
    offsets, left by compaction or transactions, are covered by the run that follows them and never
    look like a gap.

    Faust marks messages as acknowledged through the set at `Consumer._acked_index[tp]`, in Python
    and in its Cython stream alike. A ledger stands in that place: `add` is the acknowledgement.
    """

    def __init__(self) -> None:
        self._runs: deque[Run] = deque()
        self._by_start: dict[int, Run] = {}

    def open(self, covers_from: int, covers_to: int, on_done: Callable[[], None]) -> None:
        """Enter a run that was handed on; `on_done` is called once, when it is acknowledged."""
        assert covers_from < covers_to
        assert not self._runs or self._runs[-1].covers_to == covers_from, "runs must join up"
        run = Run(covers_from, covers_to, on_done)
        self._runs.append(run)
        self._by_start[covers_from] = run

    def add(self, covers_from: int) -> None:
        """Acknowledge the run that starts at `covers_from`; one that is not entered is ignored."""
        run = self._by_start.get(covers_from)
        if run is not None and not run.done:
            run.done = True
            run.on_done()

    def __contains__(self, covers_from: object) -> bool:
        run = self._by_start.get(covers_from) if isinstance(covers_from, int) else None
        return run is not None and run.done

    def __len__(self) -> int:
        return len(self._runs)

    def difference_update(self, *_: Iterable[int]) -> None:
        """Part of the set protocol that Faust calls for its own bookkeeping; ours is `advance`."""

    def advance(self) -> int | None:
        """Drop the done runs at the head; the offset to commit, or None when the head is
        unfinished.
        """
        committable = None
        while self._runs and self._runs[0].done:
            run = self._runs.popleft()
            del self._by_start[run.covers_from]
            committable = run.covers_to
        return committable
