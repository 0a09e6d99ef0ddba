"""Synthetic reports: nothing moved, one column shifted, many did, and what strangers may write."""

import itertools
import math
from dataclasses import replace

import numpy as np

from drift.findings import (
    ColumnHistory,
    Finding,
    Level,
    LiveFacts,
    QualityHistory,
    ScanReport,
    Subject,
)
from drift.result import Result
from schemas.drift_events import RetrainingDecision, RetrainingRequest

HOSTILE_NAMES = (
    "<script>alert('1')</script>",
    '"><img src=x onerror=alert(1)>',
    "it's \"quoted\" & 'tangled' &amp; <b>bold</b>",
    "Größe 数量 количество 🐟 كمية",
    "x" * 200,
    "two\nlines\tand \x00\x07 control \u202ereversed",
    "a lone \udc80 surrogate",
    "",
    "</style><style>*{display:none}",
    "<!-- comment --><![CDATA[ x ]]>",
)
EDGES = ("-inf", "-1.28155", "-0.841621", "-0.524401", "-0.253347", "0.0012", "0.253347", "inf")
NUMERIC = tuple(f"({low}, {high}]" for low, high in itertools.pairwise(EDGES))


def result(effect=0.3, p_value=1e-6, detector="G test", statistic=120.5, threshold=31.25):
    return Result(detector, statistic, threshold, p_value, effect, 5000, 1000)


def finding(row=7000, name="amount", level=Level.ALERT, subject=Subject.FEATURE, **changes):
    own = {"result": result(), "change_point_row": row - 800} | changes
    own.setdefault("sentence", f"{name} moved: {level} at row {row}.")
    return Finding(row=row, level=level, subject=subject, name=name, **own)


def column(rng, name="amount", n_windows=40, shift_at=None, shift=0.9, labels=None, rows=1000):
    """A column that is steady, or whose rows move to higher bins from window `shift_at` on."""
    labels = (*NUMERIC, "missing") if labels is None else labels
    shares = np.r_[np.ones(len(labels) - 1), 0.05]
    shares /= shares.sum()
    moved = shares * np.exp(shift * np.linspace(-1, 1, len(labels)))
    moved /= moved.sum()
    reference = rng.multinomial(5 * rows, shares)
    windows = np.array(
        [
            rng.multinomial(rows, shares if shift_at is None or w < shift_at else moved)
            for w in range(n_windows)
        ],
        dtype=np.int64,
    ).reshape(n_windows, len(labels))
    p, q = (reference + 0.5) / (reference + 0.5).sum(), windows + 0.5
    q = q / q.sum(axis=1, keepdims=True)
    chance = (len(labels) - 1) * (1 / rows + 0.2 / rows)
    effects = ((p - q) * np.log(p / q)).sum(axis=1) - chance
    p_values = rng.uniform(size=n_windows)
    if shift_at is not None:
        p_values[shift_at:] = 1e-9
    return ColumnHistory(
        name=name,
        subject=Subject.SCORE if name == "score" else Subject.FEATURE,
        labels=labels,
        reference=reference,
        windows=windows,
        p_values=p_values,
        effects=effects,
        test="G test",
    )


def findings_of(history, bounds, alert_at=0.2):
    """A notice for each window whose p-value is small, an alert where the effect is large."""
    return [
        finding(
            int(bounds[w, 1]),
            history.name,
            Level.ALERT if history.effects[w] >= alert_at else Level.NOTICE,
            history.subject,
            result=result(float(history.effects[w]), float(history.p_values[w])),
            change_point_row=int(bounds[np.flatnonzero(history.p_values < 1e-4)[0], 0]) + 17,
            sentence=f"{history.name} moved (PSI {history.effects[w]:.2f}).",
        )
        for w in np.flatnonzero(history.p_values < 1e-4)
    ]


def bounds_of(n_windows, n_reference=5000, rows=1000):
    starts = n_reference + rows * np.arange(n_windows, dtype=np.int64)
    return np.stack([starts, starts + rows], axis=1)


def report(columns, bounds=None, found=None, **changes):
    bounds = bounds_of(len(columns[0].windows)) if bounds is None else bounds
    if found is None:
        found = [each for history in columns for each in findings_of(history, bounds)]
    own = {
        "title": "transactions.csv",
        "n_rows": int(bounds[-1, 1]) if len(bounds) else 5000,
        "n_reference": 5000,
        "window_rows": 1000,
        "arl0": 200.0,
        "bounds": bounds,
        "columns": tuple(columns),
        "findings": tuple(found),
    }
    return ScanReport(**(own | changes))


def still(n_windows=40, n_columns=6, seed=1):
    rng = np.random.default_rng(seed)
    return report([column(rng, f"v{i + 1}", n_windows) for i in range(n_columns)])


def one_shifted(n_windows=40, seed=2):
    """`amount` moves for good in window 22; scores follow a little; labels show less precision."""
    rng = np.random.default_rng(seed)
    columns = [column(rng, f"v{i + 1}", n_windows) for i in range(4)]
    merchants = ("grocery", "fuel", "travel", "restaurant", "online", "unseen", "missing")
    columns.append(column(rng, "merchant", n_windows, labels=merchants))
    columns.append(column(rng, "amount", n_windows, shift_at=22))
    columns.append(column(rng, "score", n_windows, shift_at=25, shift=0.3))
    day = 86_400_000
    return report(
        columns,
        quality=(precision(rng, n_windows),),
        times_ms=1_772_323_200_000 + np.arange(1, n_windows + 1, dtype=np.int64) * (day // 4),
        warnings=("The reference has 5 windows; under 10 the lasting-shift detector is off.",),
        details={"bins": "10 a column", "detectors": "G test, e-SR, ADWIN", "seed": "7"},
    )


LIVE_START_MS = 1_772_323_200_000
LIVE_WINDOW_MS = 300_000


def live(made=None, decisions=None):
    """`one_shifted` as a live system has it: windows of five minutes in place of 1,000 rows."""
    made = one_shifted() if made is None else made

    def time(row):
        return LIVE_START_MS + (row - made.n_reference) * LIVE_WINDOW_MS // 1000

    found = [
        replace(
            each,
            row=time(each.row),
            change_point_row=each.change_point_row and time(each.change_point_row),
        )
        for each in made.findings
    ]
    asked = decision(1, requested=True)
    request = RetrainingRequest(
        request_id=asked.request_id,
        pipeline="fraud",
        champion_version="v1",
        reason="amount moved",
        alert_ids=("a",),
        training_from_ms=LIVE_START_MS,
        training_to_ms=LIVE_START_MS + 7 * LIVE_WINDOW_MS,
        requested_at_ms=asked.decided_at_ms,
        n_labelled_since=5120,
    )
    facts = LiveFacts(
        window_ms=LIVE_WINDOW_MS,
        n_significant=len(made.findings),
        decisions=(decision(2), asked, decision(0)) if decisions is None else decisions,
        requests=(request,),
    )
    return replace(
        made,
        title="fraud, model v1",
        bounds=time(made.bounds),
        findings=tuple(found),
        times_ms=None,
        live=facts,
    )


def decision(number, requested=False, **changes):
    own = {
        "decision_id": f"d{number}",
        "pipeline": "fraud",
        "decided_at_ms": LIVE_START_MS + number * LIVE_WINDOW_MS,
        "requested": requested,
        "reasons": (f"reason {number} for it", "the last request was 5 minutes ago"),
        "alert_ids": ("a", "b"),
        "request_id": f"request-{number}" if requested else None,
        "policy": {},
    }
    return RetrainingDecision(**(own | changes))


def precision(rng, n_windows):
    values = 0.8 + 0.03 * rng.standard_normal(n_windows)
    values[22:] -= 0.15
    values[-4:] = math.nan
    estimates = 0.8 + 0.01 * rng.standard_normal(n_windows)
    return QualityHistory(
        name="precision",
        reference=0.81,
        values=values,
        standard_errors=np.full(n_windows, 0.03),
        estimates=estimates,
        estimate_errors=np.full(n_windows, 0.015),
    )


def many_shifted(n_columns=30, n_windows=120, n_moved=17, seed=3):
    rng = np.random.default_rng(seed)
    columns = [
        column(
            rng,
            f"v{i + 1}",
            n_windows,
            shift_at=30 + 4 * i if i < n_moved else None,
            shift=0.3 + 0.2 * (i % 7),
        )
        for i in range(n_columns)
    ]
    return report(columns, times_ms=1_772_323_200_000 + np.arange(n_windows) * 3_600_000)


def hostile(seed=4):
    """Names, labels, notes and warnings as nobody should write them, and windows without rows."""
    rng = np.random.default_rng(seed)
    labels = (*HOSTILE_NAMES[:6], "unseen", "missing")
    columns = [column(rng, name, 12, 5, 1.0, labels=labels) for name in HOSTILE_NAMES]
    for each in columns:
        each.windows[3] = 0
        each.effects[3] = each.p_values[3] = math.nan
        each.windows[7] = 0
        each.effects[8] = math.inf
    quality = precision(rng, 12)
    return report(
        columns,
        title=HOSTILE_NAMES[0],
        warnings=HOSTILE_NAMES,
        quality=(QualityHistory(HOSTILE_NAMES[1], math.nan, quality.values, quality.values),),
        details=dict(zip(HOSTILE_NAMES, reversed(HOSTILE_NAMES), strict=True)),
        times_ms=np.full(12, 2**62),
    )


def without_windows():
    rng = np.random.default_rng(5)
    return report([column(rng, "amount", 0)], n_rows=5000, bounds=np.zeros((0, 2), dtype=np.int64))
