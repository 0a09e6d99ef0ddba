"""Sketches of one window from any number of workers, with replays among them, into one.

A worker that crashed publishes again what it published before, perhaps cut at other offsets; a
frozen one wakes up and publishes too. Each offset must count once. A histogram cannot be cut, so
of sketches that overlap some are left out: those whose loss costs the fewest offsets.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from drift.coverage import Coverage, Range
from drift.sketch import Sketch


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """`sketch`: the union. `used` of the pieces went in; `missed` is what only others covered."""

    sketch: Sketch
    used: tuple[Sketch, ...]
    missed: Coverage


def merge_once(pieces: Iterable[Sketch]) -> Merged:
    """Merge `pieces` so that no offset counts twice; the same bits in whatever order they come.

    Pieces of one range of one source partition each (what workers publish) are chosen so that they
    hold the most rows; as replays begin at a committed offset, that is all of them. (Those that
    cover the most offsets need not: a worker publishes nothing of a flush without rows.) Among
    pieces of several ranges the largest go first, which may miss some: see `missed`. A piece that
    covers nothing counts always once. Raises ValueError for no pieces, or for pieces of different
    windows, versions or segments.
    """
    distinct = {piece.body(): piece for piece in pieces}
    if not distinct:
        raise ValueError("there is nothing to merge")
    ordered = [distinct[body] for body in sorted(distinct)]
    used = _choose_broad(ordered)
    taken = Coverage().union(*(piece.coverage for piece in used))
    single = [piece for piece in ordered if piece.coverage.only_range is not None]
    used += _choose_single([piece for piece in single if not piece.coverage.overlaps(taken)])
    used.sort(key=_place)  # moments are sums of floats: the order of adding is part of the result
    merged = used[0]
    for piece in used[1:]:
        merged = merged.merge(piece)
    everything = Coverage().union(*(piece.coverage for piece in ordered))
    return Merged(merged, tuple(used), everything.minus(merged.coverage))


def _place(piece: Sketch) -> list[tuple[object, ...]]:
    return [(source, *found) for source, found in piece.coverage.ranges.items()]


def _choose_broad(pieces: Sequence[Sketch]) -> list[Sketch]:
    """Of the pieces with several ranges, the largest first, those that overlap none before."""
    broad = [piece for piece in pieces if piece.coverage.only_range is None]
    taken = Coverage()
    chosen = []
    for piece in sorted(broad, key=lambda piece: -piece.coverage.n_offsets):
        if not piece.coverage.overlaps(taken):
            taken = taken.union(piece.coverage)
            chosen.append(piece)
    return chosen


def _choose_single(pieces: Sequence[Sketch]) -> list[Sketch]:
    """Disjoint pieces that hold the most rows (weighted interval scheduling), each source."""
    by_source: dict[object, list[tuple[Range, Sketch]]] = {}
    for piece in pieces:
        only = piece.coverage.only_range
        assert only is not None
        by_source.setdefault(only[0], []).append((only[1], piece))
    return [piece for found in by_source.values() for piece in _schedule(found)]


def _schedule(found: list[tuple[Range, Sketch]]) -> list[Sketch]:
    """Kleinberg and Tardos, Algorithm Design, 6.1; of equal rows those that cover the most offsets,
    of these the fewest pieces."""
    found.sort(key=lambda item: (item[0][1], item[0][0]))
    ends = [end for (_, end), _ in found]
    best: list[tuple[int, int, int]] = [(0, 0, 0)]  # of the first i: rows, offsets, minus pieces
    before = []
    for i, ((begin, end), piece) in enumerate(found):
        before.append(bisect_right(ends, begin, 0, i))
        rows, covered, pieces = best[before[i]]
        best.append(max(best[i], (rows + piece.n, covered + end - begin, pieces - 1)))
    chosen = []
    i = len(found)
    while i:
        if best[i] == best[i - 1]:
            i -= 1
        else:
            chosen.append(found[i - 1][1])
            i = before[i - 1]
    return chosen
