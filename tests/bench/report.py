"""The results of a run as tables of ratios, and as JSON for programs."""

import platform
import statistics
import sys
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from tests.bench.cases import Case, Kind, Options, Outcome
from tests.bench.roster import CONTENDERS, FAUST, HAND

_PACKAGES = ("confluent-kafka", "faust-streaming", "msgspec", "numpy", "onnxruntime", "pyarrow")


class Results:
    """Outcomes by case, in the order the cases were first run."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def cases(self, kind: Kind) -> list[Case]:
        seen = dict.fromkeys(outcome.case for outcome in self.outcomes)
        order = list(CONTENDERS)
        return sorted(
            (case for case in seen if case.kind is kind),
            key=lambda c: (c.rate, c.wire_format, c.frames, order.index(c.contender)),
        )

    def median(self, case: Case, figure: str) -> float | None:
        """The median over the runs that gave this figure; None when none did."""
        values = [
            outcome.figures[figure]
            for outcome in self.outcomes
            if outcome.case == case and figure in outcome.figures
        ]
        return statistics.median(values) if values else None

    def ratio(self, case: Case, other: Case, figure: str) -> float | None:
        mine, theirs = self.median(case, figure), self.median(other, figure)
        return mine / theirs if mine is not None and theirs else None

    def runs(self, case: Case) -> str:
        """How many runs gave figures, and what the others said."""
        own = [outcome for outcome in self.outcomes if outcome.case == case]
        words = dict.fromkeys(each.failure or each.remark for each in own)
        good = sum(bool(outcome.figures) for outcome in own)
        return "; ".join([f"{good}/{len(own)}", *(word for word in words if word)])


def faust_case() -> Case:
    """The baseline of all throughput ratios."""
    return Case(Kind.THROUGHPUT, FAUST, "json", False)


def hand_case(case: Case) -> Case:
    """The hand-written loop under the same conditions."""
    return Case(case.kind, HAND, case.wire_format, case.frames, case.rate)


def show(results: Results, options: Options, console: Console) -> None:
    """Print a table for each kind of measurement that was run."""
    where = f"{options.partitions} partition{'s' if options.partitions > 1 else ''}"
    if results.cases(Kind.THROUGHPUT):
        console.print(_throughput_table(results, where))
    if results.cases(Kind.LATENCY):
        console.print(_latency_table(results, where))
    if results.cases(Kind.MEMORY):
        console.print(_memory_table(results, where))
    console.print(
        "Medians of one run on this machine: compare ratios, not rates."
        " + frames: with scored-batches. x Faust: times Faust as people write it.",
        style="dim",
    )


def _throughput_table(results: Results, where: str) -> Table:
    table = _table(
        f"Throughput, {where}",
        ("events", "contender"),
        ("x Faust", "of hand", "events/s", "peak MiB"),
    )
    for case in results.cases(Kind.THROUGHPUT):
        table.add_row(
            _events(case),
            CONTENDERS[case.contender].title,
            _number(results.ratio(case, faust_case(), "events_per_s"), "{:.1f}"),
            _number(results.ratio(case, hand_case(case), "events_per_s"), "{:.2f}"),
            _number(results.median(case, "events_per_s"), "{:,.0f}"),
            _number(results.median(case, "peak_rss_mib"), "{:.0f}"),
            results.runs(case),
        )
    return table


def _latency_table(results: Results, where: str) -> Table:
    table = _table(
        f"Latency from produce to prediction readable, {where}",
        ("events/s", "events", "contender"),
        ("p99 / hand", "p50 ms", "p99 ms", "max ms"),
    )
    for case in results.cases(Kind.LATENCY):
        table.add_row(
            f"{case.rate:,}",
            _events(case),
            CONTENDERS[case.contender].title,
            _number(results.ratio(case, hand_case(case), "p99_ms"), "{:.2f}"),
            *(
                _number(results.median(case, figure), "{:.1f}")
                for figure in ("p50_ms", "p99_ms", "max_ms")
            ),
            results.runs(case),
        )
    return table


def _memory_table(results: Results, where: str) -> Table:
    table = _table(
        f"Memory of one long run, {where}",
        ("events", "contender"),
        ("n", "at 20% MiB", "at end MiB", "MiB per 1M", "peak MiB"),
    )
    figures = ("rss_start_mib", "rss_end_mib", "mib_per_million_events", "peak_rss_mib")
    for case in results.cases(Kind.MEMORY):
        table.add_row(
            _events(case),
            CONTENDERS[case.contender].title,
            _number(results.median(case, "n_events"), "{:,.0f}"),
            *(_number(results.median(case, figure), "{:.1f}") for figure in figures),
            results.runs(case),
        )
    return table


def _table(title: str, words: Iterable[str], numbers: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in words:
        table.add_column(name, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right")
    table.add_column("runs", overflow="fold")
    return table


def _events(case: Case) -> str:
    return f"{case.wire_format} + frames" if case.frames else case.wire_format


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def as_json(results: Results, options: Options) -> dict[str, object]:
    """Options, machine, medians and ratios by case, and every single run."""
    kinds = [kind for kind in Kind if results.cases(kind)]
    return {
        "options": asdict(options),
        "machine": {
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "packages": {name: version(name) for name in _PACKAGES},
        },
        "cases": [_summary(results, case) for kind in kinds for case in results.cases(kind)],
        "runs": [asdict(outcome) for outcome in results.outcomes],
    }


def _summary(results: Results, case: Case) -> dict[str, object]:
    names = dict.fromkeys(
        name for outcome in results.outcomes if outcome.case == case for name in outcome.figures
    )
    ratios = {
        "events_per_s_to_faust": results.ratio(case, faust_case(), "events_per_s"),
        "events_per_s_to_hand": results.ratio(case, hand_case(case), "events_per_s"),
        "p99_ms_to_hand": results.ratio(case, hand_case(case), "p99_ms"),
    }
    return {
        **asdict(case),
        "medians": {name: results.median(case, name) for name in names},
        "ratios": {name: value for name, value in ratios.items() if value is not None},
        "runs": results.runs(case),
    }
