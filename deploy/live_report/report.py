"""`thalweg drift report`: the log of a live system as a report."""

import time
from typing import TYPE_CHECKING

from deploy.live_report.log import open_log
from deploy.live_report.model import watched_model
from deploy.live_report.rows import read_rows
from schemas.errors import ConfigurationError
from schemas.settings import Settings
from storage.client import Client
from storage.drift_queries import closed_windows

if TYPE_CHECKING:
    from drift.findings import ScanReport


def live_report(settings: Settings, *, version: str | None, n_windows: int) -> "ScanReport":
    """What the newest `n_windows` windows of the champion, or of `version`, showed.

    Raises ConfigurationError where there is nothing to report yet, and says when there can be.
    """
    from deploy.live_report.build import build_report

    model = watched_model(settings, version)
    with open_log(settings) as client:
        rows = read_rows(client, settings.pipeline, model, n_windows=n_windows)
        if not rows.windows:
            raise ConfigurationError(_nothing_yet(settings, client, model.version))
    try:
        return build_report(settings.pipeline, model, rows)
    except ValueError as error:
        raise ConfigurationError(f"no report of model {model.version}: {error}") from error


def until_first_window(settings: Settings, now_ms: int) -> str:
    """When a window of events that happen now closes, in words."""
    width_s, lateness_s = settings.drift.window_s, settings.drift.allowed_lateness_s
    waiting_s = width_s - now_ms / 1000 % width_s + lateness_s
    wait = f"{waiting_s / 60:.0f} minutes" if waiting_s >= 90 else f"{waiting_s:.0f} seconds"
    return (
        f"windows of {width_s:,} s with {settings.drift.min_window_rows} rows or more"
        f" close {lateness_s:g} s after their end, by the events' own time:"
        f" for events of now in {wait} at the earliest, in a replay as soon as its events have"
        " passed that"
    )


def _nothing_yet(settings: Settings, client: Client, version: str) -> str:
    words = (
        f"no window of model {version} has closed yet in pipeline {settings.pipeline!r};"
        f" {until_first_window(settings, round(time.time() * 1000))}"
    )
    others = closed_windows(client, settings.pipeline, limit=1)
    if others:
        words += f"; --model {others[-1].model_version} has windows"
    return words
