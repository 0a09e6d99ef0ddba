"""What is run: options, the cases that follow from them, and what a case yields."""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from tests.bench.events import FORMATS, Format
from tests.bench.roster import CONTENDERS, FAUST, HAND, OURS


class Kind(StrEnum):
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True)
class Options:
    """`events`: of a throughput run; 0 sizes each by its contender to last about `run_s`."""

    contenders: tuple[str, ...] = tuple(CONTENDERS)
    formats: tuple[Format, ...] = FORMATS
    latency_formats: tuple[Format, ...] = ("packed",)
    rates: tuple[int, ...] = (20_000, 60_000, 100_000)
    kinds: tuple[Kind, ...] = (Kind.THROUGHPUT, Kind.LATENCY)
    frames: tuple[bool, ...] = (False, True)
    repeats: int = 3
    partitions: int = 1
    events: int = 0
    run_s: float = 4.0
    warm_up_s: float = 3.0
    latency_s: float = 6.0
    broker_warm_up_s: float = 20.0
    memory_events: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table. `rate` is 0 where it is not a latency run."""

    kind: Kind
    contender: str
    wire_format: Format
    frames: bool
    rate: int = 0

    def __str__(self) -> str:
        parts = [self.kind.value, self.contender, self.wire_format]
        if self.frames:
            parts.append("with scored-batches")
        if self.rate:
            parts.append(f"{self.rate:,}/s")
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a case: its figures, or why there are none."""

    case: Case
    figures: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    remark: str = ""


def plan(options: Options) -> list[Case]:
    """The cases of one round, contenders of like cases next to each other."""
    cases: list[Case] = []
    for kind in options.kinds:
        if kind is Kind.THROUGHPUT:
            cases += _throughput(options)
        elif kind is Kind.LATENCY:
            cases += _latency(options)
    return cases


def plan_memory(options: Options) -> list[Case]:
    """One long run of ours, with frames: only when asked, and once."""
    if not options.memory_events:
        return []
    wire_format: Format = "packed" if "packed" in options.formats else "json"
    return [Case(Kind.MEMORY, name, wire_format, True) for name in (OURS,)]


def events_of(case: Case, options: Options) -> int:
    """How many events a throughput run takes."""
    rate = CONTENDERS[case.contender].expected_rates[case.wire_format]
    return options.events or int(rate * options.run_s)


def _throughput(options: Options) -> list[Case]:
    return [
        Case(Kind.THROUGHPUT, name, wire_format, frames)
        for wire_format, frames, name in product(
            options.formats, options.frames, options.contenders
        )
        if wire_format in CONTENDERS[name].formats and (CONTENDERS[name].has_frames or not frames)
    ]


def _latency(options: Options) -> list[Case]:
    frames = True in options.frames
    cases = [
        Case(Kind.LATENCY, name, wire_format, frames, rate)
        for wire_format, rate, name in product(options.latency_formats, options.rates, (HAND, OURS))
        if name in options.contenders
    ]
    if FAUST in options.contenders and "json" in options.formats:
        cases += [
            Case(Kind.LATENCY, FAUST, "json", False, rate)
            for rate in CONTENDERS[FAUST].latency_rates
        ]
    return cases
