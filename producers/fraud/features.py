"""Raw transactions to features, from what a bank knows at the moment of each one."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from producers.fraud.schema import FRAUD_SCHEMA, WINDOWS_DAYS
from producers.fraud.timeline import Timeline
from producers.fraud.transactions import Transactions
from producers.fraud.world import ACCOUNT_LIFE_DAYS, DAY_MS, Floats, Ints, World

HISTORY_MS = max(WINDOWS_DAYS) * DAY_MS
HOUR_MS = 3_600_000
DECIMALS = 4
"""Of every float feature, so that JSON events stay small."""

Columns = dict[str, npt.NDArray[np.generic]]

_EMPTY = np.empty(0, np.int64)


class Featurizer:
    """Computes float64[n, 30] for one block after the other, and remembers 30 days.

    The features of an event depend on transactions with an earlier time and on frauds reported
    earlier, never on how the stream is cut into blocks.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._past = _Facts(_EMPTY, _EMPTY, _EMPTY, _EMPTY)
        self._reports = _Facts(_EMPTY, _EMPTY, _EMPTY, _EMPTY)

    def remember(self, block: Transactions) -> None:
        """Add a block to the history without computing its features; blocks come in time order."""
        fraud = block.fraud
        keep_from_ms = int(block.time_ms[0]) - HISTORY_MS
        self._past = self._past.plus(
            _Facts(block.customer, block.terminal, block.time_ms, block.cents), keep_from_ms
        )
        self._reports = self._reports.plus(
            _Facts(
                block.customer[fraud],
                block.terminal[fraud],
                block.label_time_ms[fraud],
                block.cents[fraud],
            ),
            keep_from_ms,
        )

    def features(self, block: Transactions) -> Floats:
        """float64[n, 30] in FRAUD_SCHEMA's order, all finite; remembers the block."""
        self.remember(block)
        columns = self._payment(block) | self._customer(block) | self._terminal(block)
        matrix = np.column_stack([columns[name] for name in FRAUD_SCHEMA.names])
        return matrix.astype(np.float64).round(DECIMALS)

    def _payment(self, block: Transactions) -> Columns:
        """What the payment itself tells."""
        angle = 2 * np.pi * (block.time_ms % DAY_MS) / DAY_MS
        hour = block.time_ms % DAY_MS // HOUR_MS
        weekday = (block.time_ms // DAY_MS + 3) % 7  # 1970-01-01 was a Thursday
        online = self._world.online[block.terminal]
        away = self._world.terminal_xy[block.terminal] - self._world.customer_xy[block.customer]
        age_ms = block.time_ms + self._world.account_offset_ms[block.customer]
        return {
            "amount": block.cents / 100,
            "log_amount": np.log1p(block.cents / 100),
            "is_round_amount": block.cents % 100 == 0,
            "hour_sin": np.sin(angle),
            "hour_cos": np.cos(angle),
            "is_weekend": weekday >= 5,
            "is_night": hour < 6,
            "is_online": online,
            "distance_km": np.where(online, 0, np.hypot(away[:, 0], away[:, 1])),
            "customer_age_days": age_ms // DAY_MS % ACCOUNT_LIFE_DAYS,
        }

    def _customer(self, block: Transactions) -> Columns:
        """What the customer's past tells."""
        past, who, now_ms = self._past, block.customer, block.time_ms
        timeline = Timeline(past.customer, past.time_ms)
        total = timeline.running(past.cents)
        columns: Columns = {}
        for days in WINDOWS_DAYS:
            first, end = timeline.window(who, now_ms, days * DAY_MS)
            columns[f"customer_count_{days}d"] = end - first
            columns[f"customer_mean_amount_{days}d"] = _mean(total, first, end) / 100
        # The loop ends with the longest window.
        n, mean = end - first, _mean(total, first, end)
        squares = timeline.running(past.cents**2)
        variance = (n * (squares[end] - squares[first]) - (total[end] - total[first]) ** 2) / (
            np.maximum(n, 1) ** 2
        )
        online = timeline.running(self._world.online[past.terminal].astype(np.int64))
        ratio = np.where(n > 0, block.cents / np.maximum(mean, 1), 1.0)
        columns |= {
            "customer_std_amount_30d": np.sqrt(variance) / 100,
            "amount_to_customer_mean_30d": ratio,
            "customer_online_share_30d": _mean(online, first, end),
        }
        return columns | self._since_last(block, timeline, first, end) | self._reported(block)

    def _since_last(
        self, block: Transactions, timeline: Timeline, first: Ints, end: Ints
    ) -> Columns:
        """How far the payment lies from the customer's last one, in time and in space."""
        world, past = self._world, self._past
        has_last = end > first
        last = timeline.order[end - 1]
        hours = (block.time_ms - past.time_ms[last]) / HOUR_MS
        here, there = block.terminal, past.terminal[last]
        between = world.terminal_xy[here] - world.terminal_xy[there]
        on_the_map = has_last & ~world.online[here] & ~world.online[there]
        return {
            "hours_since_customer_last": np.where(has_last, hours, HISTORY_MS / HOUR_MS),
            "distance_from_last_km": np.where(
                on_the_map, np.hypot(between[:, 0], between[:, 1]), 0
            ),
        }

    def _reported(self, block: Transactions) -> Columns:
        """Frauds of this customer that were reported."""
        reports = Timeline(self._reports.customer, self._reports.time_ms)
        first, end = reports.window(block.customer, block.time_ms, HISTORY_MS)
        return {"customer_fraud_reports_30d": end - first}

    def _terminal(self, block: Transactions) -> Columns:
        """What the terminal's past tells, and whether the customer has been there."""
        world, past = self._world, self._past
        timeline = Timeline(past.terminal, past.time_ms)
        reports = Timeline(self._reports.terminal, self._reports.time_ms)
        columns: Columns = {}
        for days in WINDOWS_DAYS:
            first, end = timeline.window(block.terminal, block.time_ms, days * DAY_MS)
            reported, until = reports.window(block.terminal, block.time_ms, days * DAY_MS)
            rate = (until - reported) / np.maximum(end - first, 1)
            columns[f"terminal_count_{days}d"] = end - first
            columns[f"terminal_fraud_rate_{days}d"] = np.minimum(rate, 1)
        total = timeline.running(past.cents)
        columns["terminal_mean_amount_30d"] = _mean(total, first, end) / 100
        visits = Timeline(past.customer * world.n_terminals + past.terminal, past.time_ms)
        pair = block.customer * world.n_terminals + block.terminal
        first, end = visits.window(pair, block.time_ms, HISTORY_MS)
        columns["is_new_terminal"] = first == end
        return columns


@dataclass(frozen=True, slots=True)
class _Facts:
    """Past transactions, or frauds by the time they were reported; every array int64[m]."""

    customer: Ints
    terminal: Ints
    time_ms: Ints
    cents: Ints

    def plus(self, more: "_Facts", keep_from_ms: int) -> "_Facts":
        """Both, without what lies before `keep_from_ms`."""
        kept = self.time_ms >= keep_from_ms
        return _Facts(
            np.concatenate((self.customer[kept], more.customer)),
            np.concatenate((self.terminal[kept], more.terminal)),
            np.concatenate((self.time_ms[kept], more.time_ms)),
            np.concatenate((self.cents[kept], more.cents)),
        )


def _mean(running: Ints, first: Ints, end: Ints) -> Floats:
    """float64[n]: the mean of each window, 0 where it is empty."""
    mean: Floats = (running[end] - running[first]) / np.maximum(end - first, 1)
    return mean
