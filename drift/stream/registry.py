"""The stream detectors by name."""

from collections.abc import Callable, Mapping
from typing import Any

from drift.stream.adwin import Adwin
from drift.stream.baseline import Baseline
from drift.stream.contract import StreamDetector
from drift.stream.cusum import Cusum
from drift.stream.page_hinkley import PageHinkley

DETECTORS: Mapping[str, Callable[..., StreamDetector]] = {
    detector.name: detector for detector in (Adwin, Cusum, PageHinkley)
}


def stream_detector(
    name: str, baseline: Baseline, *, arl0_rows: float, **options: Any
) -> StreamDetector:
    """A detector of this name; `options` are its own. ValueError says which names there are."""
    if name not in DETECTORS:
        raise ValueError(f"no stream detector {name!r}: there are {', '.join(sorted(DETECTORS))}")
    return DETECTORS[name](baseline, arl0_rows=arl0_rows, **options)
