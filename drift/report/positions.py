"""Where things lie: rows of a scanned file, event times of a live system; on axes and in words."""

from drift.findings import ScanReport
from drift.report import numbers, plot
from drift.report.markup import Markup, join
from drift.report.plot import Axis

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

STEPS_MS = (
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 7, 14, 28, 91, 182, 364, 1820, 3640, 18_200)),
)
"""Round steps of time; from a day on, in whole days."""


def at(report: ScanReport, position: float) -> str:
    """A finding's place or a change point: "12,345", or "2026-03-01 12:30"."""
    if report.live is None:
        return numbers.count(position)
    return numbers.moment(int(position)) or numbers.UNKNOWN


def words(report: ScanReport, position: float) -> str:
    """ "row 12,345", or "2026-03-01 12:30"."""
    return at(report, position) if report.live is not None else f"row {at(report, position)}"


def window_words(report: ScanReport, window: int) -> str:
    """Which rows, or from when to when."""
    low, high = (at(report, each) for each in report.bounds[window])
    if report.live is None:
        return f"rows {low} to {high}"
    return f"{low} to {high.removeprefix(low[:11])}"  # the date once, where it is one day


def size_words(report: ScanReport) -> str:
    """How large windows are: in rows, and in time where they are cut by it."""
    rows = f"{numbers.count(report.window_rows)} rows"
    if report.live is None:
        return rows
    return f"{numbers.duration(report.live.window_ms)}, about {rows} each"


def axis(report: ScanReport) -> Axis:
    """From the beginning of the first window to the end of the last."""
    if not report.n_windows:
        return Axis(report.n_reference, max(report.n_rows, report.n_reference + 1))
    return Axis(float(report.bounds[0, 0]), float(report.bounds[-1, 1]))


def ticks(report: ScanReport) -> list[tuple[float, str]]:
    """(share of the width, position) at round positions."""
    across = axis(report)
    if report.live is None:
        return [(across.share(row), numbers.count(row)) for row in across.ticks(4)]
    step = next((each for each in STEPS_MS if across.width <= 5 * each), STEPS_MS[-1])
    first = -(-int(across.low) // step) * step
    places = range(first, int(across.high) + 1, step)[:6]
    return [(across.share(ms), _tick(ms, step)) for ms in places]


def grid(report: ScanReport, height: float) -> Markup:
    """Faint upright lines at the ticks."""
    lines = [plot.upright(share, 0, height, class_="grid upright") for share, _ in ticks(report)]
    return join(lines)


def x_axis(report: ScanReport, y: float) -> Markup:
    """Positions under a plot and below them, where there are times, the first and the last."""
    shown = [plot.x_ticks(ticks(report), y)]
    ends = None
    if report.live is not None and report.n_windows:
        ends = (report.bounds[0, 0], report.bounds[-1, 1])
    elif report.times_ms is not None and report.n_windows > 1:
        ends = (report.times_ms[0], report.times_ms[-1])
    if ends is not None:
        times = [numbers.moment(int(each)) for each in ends]
        shown.append(
            plot.x_ticks(
                [(share, text) for share, text in zip((0.0, 1.0), times, strict=True) if text],
                y + 15,
            )
        )
    return join(shown)


def _tick(ms: int, step: int) -> str:
    """As little of the time as the step asks for: the ends of the axis have it in full."""
    moment = numbers.moment(ms)
    if moment is None:
        return ""
    if step >= DAY_MS:
        return moment[:10]
    return moment[5:10] if ms % DAY_MS == 0 else moment[11:]
