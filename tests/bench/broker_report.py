"""The brokers side by side: tables of ratios, and JSON for programs."""

import platform
import statistics
import sys
from dataclasses import asdict
from importlib.metadata import version

from rich.console import Console
from rich.table import Table

from tests.bench.broker_cases import (
    APACHE,
    EMBEDDED,
    FIGURES,
    TITLES,
    Case,
    Figure,
    Kind,
    Options,
    Outcome,
)

_TABLES = {
    Kind.THROUGHPUT: "Produce until acknowledged, and read back",
    Kind.LATENCY: "Produce to consume at a constant rate, linger 1 ms",
    Kind.COMMITS: "Synchronous offset commits",
    Kind.TRANSACTIONS: "Transactions",
    Kind.RESTART: "Memory and restarts",
}


class Results:
    """Outcomes of all rounds."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    def cases(self, kind: Kind) -> list[Case]:
        """In the order they were first run."""
        return list(dict.fromkeys(each.case for each in self.outcomes if each.case.kind is kind))

    def values(self, broker: str, case: Case, figure: str) -> list[float]:
        """What each round gave, rounds without it left out."""
        return list(self._by_round(broker, case, figure).values())

    def ratios(self, case: Case, figure: str) -> list[float]:
        """Embedded to Apache, round by round, turned so that above 1 the embedded is better."""
        ours = self._by_round(EMBEDDED, case, figure)
        theirs = self._by_round(APACHE, case, figure)
        pairs = [(ours[each], theirs[each]) for each in ours if each in theirs]
        if not FIGURES[figure].higher_is_better:
            pairs = [(their, our) for our, their in pairs]
        return [above / below for above, below in pairs if below]

    def runs(self, case: Case) -> str:
        """How many runs gave figures, and what the others said."""
        own = [outcome for outcome in self.outcomes if outcome.case == case]
        words = dict.fromkeys(
            f"{TITLES[each.broker]}: {each.failure or each.remark}"
            for each in own
            if each.failure or each.remark
        )
        good = sum(bool(outcome.figures) for outcome in own)
        return "; ".join([f"{good}/{len(own)}", *words])

    def _by_round(self, broker: str, case: Case, figure: str) -> dict[int, float]:
        return {
            each.round: each.figures[figure]
            for each in self.outcomes
            if each.broker == broker and each.case == case and figure in each.figures
        }


def verdict(figure: Figure, ratio: float | None) -> str:
    """What was wanted of the ratio and whether it is so; empty where nothing was wanted."""
    if figure.aim is None or ratio is None:
        return ""
    return f">= {figure.aim:g}: {'holds' if ratio >= figure.aim else 'MISSED'}"


def show(results: Results, options: Options, console: Console) -> None:
    """Print a table for each kind of measurement that was run."""
    for kind in Kind:
        if results.cases(kind):
            console.print(_table(results, kind, options))
    console.print(
        "Medians of the rounds (least to most). Ratios are turned so that above 1 the embedded"
        " broker is better: embedded / Apache for rates, Apache / embedded for times, memory and"
        " CPU. Compare ratios, not rates.",
        style="dim",
    )


def _table(results: Results, kind: Kind, options: Options) -> Table:
    compared = len(options.brokers) > 1
    table = Table(title=_TABLES[kind], title_justify="left")
    table.add_column("load", no_wrap=True)
    table.add_column("figure", no_wrap=True)
    if compared:
        table.add_column("ratio", justify="right")
        table.add_column("aim", no_wrap=True)
    for broker in options.brokers:
        table.add_column(TITLES[broker], justify="right")
    for case in results.cases(kind):
        names = [
            name
            for name in FIGURES
            if any(results.values(broker, case, name) for broker in options.brokers)
        ]
        for number, name in enumerate(names):
            figure, ratios = FIGURES[name], results.ratios(case, name)
            ratio = statistics.median(ratios) if ratios else None
            middle = [spread(ratios, "{:.2f}"), verdict(figure, ratio)] if compared else []
            table.add_row(
                "" if number else str(case),
                figure.title,
                *middle,
                *(
                    spread(results.values(each, case, name), figure.form)
                    for each in options.brokers
                ),
            )
        table.add_row("", f"runs: {results.runs(case)}", style="dim", end_section=True)
    return table


def spread(values: list[float], form: str) -> str:
    """The median, and the range where there is one."""
    if not values:
        return "-"
    middle = form.format(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({form.format(min(values))} to {form.format(max(values))})"


def as_json(results: Results, options: Options) -> dict[str, object]:
    """Options, machine, medians, ranges and ratios by case, and every single run."""
    return {
        "options": asdict(options),
        "machine": {
            "python": sys.version.split()[0],
            "platform": platform.platform(),
            "confluent-kafka": version("confluent-kafka"),
        },
        "cases": [
            _summary(results, case, options) for kind in Kind for case in results.cases(kind)
        ],
        "runs": [asdict(outcome) for outcome in results.outcomes],
    }


def _summary(results: Results, case: Case, options: Options) -> dict[str, object]:
    figures: dict[str, object] = {}
    for name, figure in FIGURES.items():
        by_broker = {
            broker: _numbers(values)
            for broker in options.brokers
            if (values := results.values(broker, case, name))
        }
        ratios = results.ratios(case, name)
        if by_broker:
            figures[name] = {
                **by_broker,
                "ratio": _numbers(ratios) if ratios else None,
                "ratio_is": "embedded/apache" if figure.higher_is_better else "apache/embedded",
                "aim": figure.aim,
            }
    return {**asdict(case), "name": str(case), "figures": figures, "runs": results.runs(case)}


def _numbers(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}
