"""What a closed window says of each column, as one signal: the strongest of its tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from drift.findings import Level, Subject
from drift.levels import AlertBands
from drift.monitor import WindowVerdict
from drift.result import Result

Shares = tuple[tuple[str, float], ...]

_UNITS = {
    "null_rate": "share",
    "unseen_rate": "share",
    "range_rate": "share",
    "domain_classifier": "explained",
    "adwin": "mean",
    "cusum": "mean",
    "release_test": "difference",
    "page_hinkley": "mean",
    "kolmogorov_smirnov": "distance",
}


def effect_unit(detector: str) -> str:
    """What a detector's effect is measured in; the window tests of values answer in PSI."""
    return _UNITS.get(detector, "psi")


@dataclass(frozen=True, slots=True)
class Signal:
    """Something significant in a closed window, at its level.

    `change_point_ms` is the estimated first event time after the change; `contributions` are
    columns and their shares of the statistic, largest first.
    """

    subject: Subject
    name: str
    level: Level
    result: Result
    sentence: str = ""
    change_point_ms: int | None = None
    contributions: Shares = ()


def signals_of(
    verdict: WindowVerdict,
    names: Sequence[str],
    subjects: Sequence[Subject],
    bands: AlertBands,
    *,
    scales: Mapping[str, float] | None = None,
) -> tuple[Signal, ...]:
    """A verdict's notices, one signal a column, in the order of columns.

    `names` and `subjects` are the reference's columns; `scales` the label's rate, by name. e-SR
    speaks for its first column, and only where that window's own tests do not.
    """
    found: list[tuple[int, Result, Shares]] = [
        (each.column, each.result, ()) for each in verdict.noticed
    ]
    evidence = verdict.evidence
    if evidence is not None and evidence.result.exceeded:
        shares = tuple((names[i], share) for i, share in evidence.shares)
        found.append((evidence.shares[0][0], evidence.result, shares))
    strongest: dict[int, Signal] = {}
    for column, result, shares in found:
        subject, name = subjects[column], names[column]
        level = bands.level(subject, result, scale=(scales or {}).get(name, 1.0))
        signal = Signal(subject, name, level, result, contributions=shares)
        before = strongest.get(column)
        if before is None or _strength(signal) > _strength(before):
            strongest[column] = signal
    return tuple(strongest[column] for column in sorted(strongest))


def _strength(signal: Signal) -> tuple[bool, bool, float]:
    """An alert before a notice, a window's test before evidence of many, then the likelier."""
    return signal.level is Level.ALERT, signal.result.detector != "e_sr", -signal.result.p_value
