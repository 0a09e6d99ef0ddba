"""The reference: what a model's training data looked like, which every window is held against."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drift.binning import DEFAULT_BINS, bin_columns
from drift.columns import Columns, ColumnSpec, Counts, Kind, Matrix
from drift.customers import CustomerMoments, customer_moments
from drift.dependence import plan_dependence
from drift.entities import hash_entities
from drift.moods import mood_of
from drift.season import MIN_WEEKS, Season, make_season
from drift.season_scatter import follows
from drift.segments import Segment
from drift.summary import Summary, summarise

MAX_BLOCKS = 240
"""Divisible by 2, 3, 4, 5, 6, 8, 10, 12: neighbours add up to many lengths of block."""

MIN_BLOCK_ROWS = 10
SAMPLE_ROWS = 2000

MIN_WINDOWS = 10
MIN_BLOCKS = 50
"""e-SR with a reference of one window raised 42 false alarms per 1,000 (0.5 with ten); the block
test's covariance needs 50 blocks."""

MOOD_WARNS = 0.001
"""Chance, all columns together, that a reference of a steady stream is said to have moods."""


@dataclass(frozen=True, eq=False)
class Reference:
    """Rows in time order, reduced. Build it with `make_reference`.

    summary    counts and moments of all `n` rows
    blocks     int64[K, n_bins], counts of K <= 240 consecutive blocks of `block_rows` rows each, in
               time order (the oldest n - K block_rows rows are in none)
    sample     float32[k, n_columns], rows drawn at random without replacement, in time order
    customers  None without entity keys
    season     None unless asked for; what follows it is tested against the same hours of the week
    calendar   names of columns that follow the calendar (hour, weekday): tested against the season,
               or without a usable one not at all
    segments   references of some of the rows, over the same `columns`; these have no segments
    """

    columns: Columns
    summary: Summary
    block_rows: int
    blocks: Counts
    sample: Matrix
    customers: CustomerMoments | None = None
    season: Season | None = None
    calendar: tuple[str, ...] = ()
    segments: tuple[tuple[Segment, "Reference"], ...] = ()

    @property
    def n(self) -> int:
        return self.summary.n

    @property
    def counts(self) -> Counts:
        """int64[n_bins] of all rows."""
        return self.summary.counts

    @cached_property
    def fingerprint(self) -> str:
        """sha256 hex of the content: the reference's version."""
        from drift.reference_bytes import reference_body

        return hashlib.sha256(reference_body(self)).hexdigest()

    def of_segment(self, name: str) -> "Reference | None":
        """The reference of a segment's rows, this one for "" (all rows), None for an unknown."""
        if not name:
            return self
        return next((own for segment, own in self.segments if segment.name == name), None)

    @cached_property
    def seasonal(self) -> tuple[int, ...]:
        """Columns that follow a usable season, those of the calendar among them."""
        season = self.season
        if season is None or not season.is_usable:
            return ()
        return tuple(
            i
            for i, column in enumerate(self.columns)
            if column.name in self.calendar or follows(season, self.columns, i)
        )

    @cached_property
    def untested(self) -> tuple[int, ...]:
        """Columns of the calendar without a usable season: every window has its own hours."""
        tested = self.seasonal
        return tuple(
            i
            for i, column in enumerate(self.columns)
            if column.name in self.calendar and i not in tested
        )

    @cached_property
    def by_the_clock(self) -> frozenset[int]:
        """Columns that only the season is held against, if anything: seasonal and untested ones."""
        return frozenset((*self.seasonal, *self.untested))

    def blocks_of(self, rows: int) -> tuple[Counts, int]:
        """Counts of consecutive blocks of about `rows` rows, int64[K, n_bins], and their real size.

        K may be 0 or 1 when the reference is short. Blocks are sums of neighbours in `blocks`, so
        none is smaller than `block_rows`; the oldest are left out where they do not fill one.
        """
        together = max(1, round(rows / self.block_rows))
        n_blocks = len(self.blocks) // together
        used = self.blocks[len(self.blocks) - n_blocks * together :]
        return (
            used.reshape(n_blocks, together, self.columns.n_bins).sum(axis=1),
            together * self.block_rows,
        )

    def warnings(self, window_rows: int) -> tuple[str, ...]:
        """Sentences on what this reference is too short or too poor for; empty when it is fine.

        `window_rows` 0: how many rows a window has is not known yet.
        """
        found = [
            *self._length_warnings(window_rows),
            *self._column_warnings(),
            *self._mood_warnings(window_rows),
        ]
        if self.customers is not None and self.customers.n_entities < MIN_BLOCKS:
            found.append(
                f"the reference has {self.customers.n_entities} entities, under {MIN_BLOCKS}: the"
                " customer covariance is rough"
            )
        found += self._season_warnings()
        return tuple(found)

    def _season_warnings(self) -> list[str]:
        found = []
        season = self.season
        if season is not None and season.weeks < MIN_WEEKS:
            found.append(
                f"the season is made of {season.weeks:.1f} weeks, under {MIN_WEEKS:.0f}, and is not"
                " used: it does not show how much the same hours differ from week to week"
            )
        elif season is not None and (empty := int((season.rows == 0).sum())):
            found.append(
                f"{empty} of the season's {len(season.rows)} slots are empty: what follows the"
                " season is not tested there"
            )
        if self.untested:
            names = [self.columns.names[i] for i in self.untested]
            found.append(
                f"not tested, for without a season every window drifts in them: {_list(names)}"
            )
        return found

    def _length_warnings(self, window_rows: int) -> list[str]:
        found = []
        if self.n < MIN_WINDOWS * window_rows:
            found.append(
                f"the reference has {self.n} rows, {self.n / max(window_rows, 1):.1f} windows of"
                f" {window_rows}: under {MIN_WINDOWS}, so that e-SR and the window-scale test do"
                " not keep their stated rate"
            )
        if len(self.blocks) < MIN_BLOCKS:
            found.append(
                f"the reference has {len(self.blocks)} blocks of {self.block_rows} rows: under"
                f" {MIN_BLOCKS}, too few for the test of dependent rows"
            )
        return found

    def _column_warnings(self) -> list[str]:
        missing = self.summary.n_missing(self.columns)
        constant = [c.name for c in self.columns if c.kind is Kind.CONSTANT]
        absent = [c.name for c, n in zip(self.columns, missing, strict=True) if n == self.n]
        found = []
        if constant:
            found.append(f"constant in the reference: {_list(constant)}")
        if absent:
            found.append(f"always missing in the reference: {_list(absent)}")
        return found

    def _mood_warnings(self, window_rows: int) -> list[str]:
        """Columns that move for longer than windows; quarters of too few rows cannot say it."""
        too_short = len(self.blocks) < MIN_BLOCKS or self.n < MIN_WINDOWS * window_rows
        if window_rows == 0 or too_short:
            return []
        bounds = {}
        for i, column in enumerate(self.columns):
            if i in self.by_the_clock:
                continue
            counts = self.columns.of(self.blocks, i).astype(np.int64)
            ordered = column.kind is not Kind.CATEGORY
            mood = mood_of(counts, plan_dependence(counts, window_rows, ordered=ordered))
            if mood.seen and mood.p_value < MOOD_WARNS / len(self.columns):
                bounds[column.name] = mood.psi
        if not bounds:
            return []
        names = [f"{name} {bounds[name]:.2g}" for name in sorted(bounds, key=lambda n: -bounds[n])]
        said = (
            "quarters of the reference lie further apart than chance: give it more time than its"
            " features look back, several times as much; changes below about these PSIs are taken"
            f" for moods: {_list(names)}"
        )
        return [said]


def make_reference(
    matrix: Matrix,
    specs: Sequence[ColumnSpec],
    *,
    rng: np.random.Generator,
    n_bins: int = DEFAULT_BINS,
    event_times: NDArray[np.int64] | None = None,
    entity_keys: Sequence[str] | Sequence[bytes] | NDArray[Any] | None = None,
    season_slot_hours: int | None = None,
    calendar: Sequence[str] = (),
    max_blocks: int = MAX_BLOCKS,
    sample_rows: int = SAMPLE_ROWS,
    segments: Sequence[Segment] = (),
) -> Reference:
    """The reference of the rows of `matrix`, float32[n, len(specs)], in time order.

    `event_times`, int64[n] ms UTC, put the rows in order where they are not. `entity_keys`: one a
    row. `season_slot_hours` asks for a seasonal reference and needs event times. `rng` draws the
    samples and nothing else, that of all rows first. Each of `segments` gets a reference of its
    rows, over the bins of all rows. Raises ValueError for no rows, in a segment too, and for
    arguments that do not fit.
    """
    if not len(matrix):
        raise ValueError("the reference has no rows")
    unknown = sorted(set(calendar) - {spec.name for spec in specs})
    if unknown:
        raise ValueError(f"calendar columns that do not exist: {', '.join(unknown)}")
    hashes = None if entity_keys is None else hash_entities(entity_keys)
    if event_times is not None:
        if event_times.shape != (len(matrix),):
            raise ValueError(f"{len(event_times)} event times for {len(matrix)} rows")
        order = np.argsort(event_times, kind="stable")
        matrix, event_times = matrix[order], event_times[order]
        if hashes is not None and len(hashes) == len(order):
            hashes = hashes[order]
    columns = bin_columns(matrix, specs, n_bins)
    if season_slot_hours is not None and event_times is None:
        raise ValueError("a seasonal reference needs event times")

    def reduced(places: NDArray[np.intp] | slice) -> Reference:
        own = matrix[places]
        if not len(own):
            raise ValueError("a segment has no rows in the reference")
        blocks, block_rows = _count_blocks(columns, own, max_blocks)
        chosen = np.sort(rng.choice(len(own), min(sample_rows, len(own)), replace=False))
        return Reference(
            columns=columns,
            summary=summarise(columns, own),
            block_rows=block_rows,
            blocks=blocks,
            sample=own[chosen],
            customers=None if hashes is None else customer_moments(columns, own, hashes[places]),
            season=None
            if season_slot_hours is None or event_times is None
            else make_season(columns, own, event_times[places], season_slot_hours),
            calendar=tuple(calendar),
        )

    whole = reduced(slice(None))
    parts = tuple((segment, reduced(segment.places(matrix))) for segment in segments)
    return replace(whole, segments=parts) if parts else whole


def _count_blocks(columns: Columns, matrix: Matrix, max_blocks: int) -> tuple[Counts, int]:
    n_blocks = max(1, min(max_blocks, len(matrix) // MIN_BLOCK_ROWS))
    size = len(matrix) // n_blocks
    first = len(matrix) - n_blocks * size
    counts = [
        columns.count(matrix[begin : begin + size]) for begin in range(first, len(matrix), size)
    ]
    return np.stack(counts), size


def _list(names: Sequence[str], limit: int = 10) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
