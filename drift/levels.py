"""How large a change must be to be an alert, and when one is news."""

from dataclasses import dataclass, field

from drift.findings import Level, Subject
from drift.result import Result


@dataclass(frozen=True, slots=True)
class AlertBands:
    """Effects from which a significant change is an alert. They are sizes, not significances.

    `psi`: population stability index, corrected for chance; the classic bands are 0.1, 0.2 and
    0.25. `rate`: a difference of shares (missing, unseen). `sigma`: a move of the score's mean in
    its standard deviations (0.45 is PSI 0.2). `errors`: how much of the reference's error or label
    rate is added or lost, and at least `errors_floor` as a difference. `explained`: share of
    variance by which a classifier tells window from reference.
    """

    psi: float = 0.2
    rate: float = 0.05
    sigma: float = 0.45
    errors: float = 0.5
    errors_floor: float = 0.005
    explained: float = 0.1

    def level(self, subject: Subject, result: Result, *, scale: float = 1.0) -> Level:
        """The level of a significant result.

        `scale` is the column's standard deviation for a stream detector on a column, the
        reference's rate for errors and labels.
        """
        effect = abs(result.effect)
        if subject is Subject.MULTIVARIATE:
            large = effect >= self.explained
        elif subject in (Subject.QUALITY, Subject.LABEL):
            large = effect >= max(self.errors_floor, self.errors * scale)
        elif result.detector == "e_sr":
            # Evidence of many small moves: a large one is seen by its own windows.
            large = False
        elif result.detector in _RATES:
            large = effect >= self.rate
        elif result.detector in _STREAMS:
            # A burst of forty rows moves a mean far and is over: a feature needs a window for more.
            large = subject is Subject.SCORE and effect >= self.sigma * scale
        else:
            large = effect >= self.psi
        return Level.ALERT if large else Level.NOTICE


_RATES = frozenset({"null_rate", "unseen_rate", "range_rate"})
_STREAMS = frozenset({"adwin", "cusum", "page_hinkley"})


@dataclass(slots=True)
class Episodes:
    """What is open: a change is told when it begins and when it becomes an alert, not each window.

    An episode ends when nothing was noticed of it for `quiet_windows` windows.
    """

    quiet_windows: int = 3
    _open: dict[tuple[Subject, str, str], tuple[Level, int]] = field(default_factory=dict)

    def is_news(
        self, subject: Subject, name: str, detector: str, level: Level, window: int
    ) -> bool:
        """Note a finding of `window` (their number, rising); whether it is to be told."""
        key = (subject, name, detector)
        before = self._open.get(key)
        if before is None or window - before[1] > self.quiet_windows:
            self._open[key] = (level, window)
            return True
        worse = level is Level.ALERT and before[0] is Level.NOTICE
        self._open[key] = (Level.ALERT if worse else before[0], window)
        return worse
