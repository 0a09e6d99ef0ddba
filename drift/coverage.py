"""What a sketch answers for: offset ranges of source partitions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

Source = tuple[str, int]
"""A source topic's id (a recreated topic is another one) and a partition."""

Range = tuple[int, int]
"""Offsets `[from, to)`."""

MAX_OFFSET = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Coverage:
    """For each source partition, ranges of offsets: ascending, disjoint, not touching, not empty.

    Build it with `Coverage.of`; equal coverages are equal objects.
    """

    ranges: Mapping[Source, tuple[Range, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, ranges: Mapping[Source, Iterable[Range]]) -> "Coverage":
        """Any ranges, put in order and joined; raises ValueError for one that ends early."""
        joined = {source: _join(ranges[source]) for source in sorted(ranges)}
        return cls({source: found for source, found in joined.items() if found})

    @property
    def n_offsets(self) -> int:
        return sum(end - begin for found in self.ranges.values() for begin, end in found)

    @property
    def only_range(self) -> tuple[Source, Range] | None:
        """The one range that this is, or None when it is none or several."""
        if len(self.ranges) != 1:
            return None
        ((source, found),) = self.ranges.items()
        return (source, found[0]) if len(found) == 1 else None

    def union(self, *others: "Coverage") -> "Coverage":
        """Every offset that any of these covers."""
        together: dict[Source, list[Range]] = {}
        for coverage in (self, *others):
            for source, found in coverage.ranges.items():
                together.setdefault(source, []).extend(found)
        return Coverage.of(together)

    def overlaps(self, other: "Coverage") -> bool:
        """Whether an offset is in both."""
        return any(
            begin < other_end and other_begin < end
            for source, found in self.ranges.items()
            for begin, end in found
            for other_begin, other_end in other.ranges.get(source, ())
        )

    def minus(self, other: "Coverage") -> "Coverage":
        """The offsets of this that `other` does not cover."""
        left: dict[Source, list[Range]] = {}
        for source, found in self.ranges.items():
            for begin, end in found:
                at = begin
                for other_begin, other_end in other.ranges.get(source, ()):
                    if at < other_begin and at < end:
                        left.setdefault(source, []).append((at, min(end, other_begin)))
                    at = max(at, other_end)
                if at < end:
                    left.setdefault(source, []).append((at, end))
        return Coverage.of(left)


def _join(ranges: Iterable[Range]) -> tuple[Range, ...]:
    joined: list[Range] = []
    for begin, end in sorted(ranges):
        if not 0 <= begin <= end <= MAX_OFFSET:
            raise ValueError(f"not a range of offsets: [{begin}, {end})")
        if begin == end:
            continue
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((begin, end))
    return tuple(joined)
