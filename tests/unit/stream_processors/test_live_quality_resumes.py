"""State of live quality that cannot be read: it is said, and made again; nobody dies of it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from faust.types import TP
from structlog.testing import capture_logs

from drift.quality.watch import QualityRules
from schemas.quality import ErrorLevel, QualityBaseline
from schemas.settings import LogSettings
from stream_processors.join_labels.judge import Judge, JudgingOptions, VersionState
from stream_processors.join_labels.live_quality import PROGRESS, LiveQuality
from stream_processors.join_labels.measurer import Progress, decode_progress
from stream_processors.outbox import Messages

WRITTEN = Progress(since_ms=1_000, reached_ms=2_000)


class World:
    """What a round of live quality meets: a state topic, and a measurer that says what it began
    from."""

    def __init__(self, states: dict[str, bytes]) -> None:
        self.states = states
        self.begun: list[Progress] = []
        self.live = LiveQuality(
            pipeline="p",
            interval_s=1,
            retries=LogSettings(),
            connect=lambda: self,  # type: ignore[arg-type, return-value]
            measurer=self,  # type: ignore[arg-type]
            new_judge=lambda _: self,  # type: ignore[arg-type, return-value]
            state=self,  # type: ignore[arg-type]
            alerts_topic="drift-alerts",
            labels=TP("labels", 0),
            membership=self,
            outbox=self,
        )
        self.told: list[Any] = []

    def read(self) -> dict[str, bytes]:
        return dict(self.states)

    def messages(self, states: dict[str, bytes]) -> Messages:
        self.states |= states
        return Messages("drift-state", list(states), list(states.values()))

    def measure(self, _: Any, before: Progress) -> Progress:
        self.begun.append(before)
        return WRITTEN

    def judge(self, *_: Any) -> list[Any]:
        return []

    def publish(self, _: int, __: list[Messages]) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def generation(self) -> int:
        return 1

    def draining(self) -> bool:
        return False

    def owns(self, _: TP) -> bool:
        return True


@pytest.mark.parametrize("data", [b"?", b"", b"null", b"[1]", b'{"since_ms": "soon"}', b"\xff"])
def test_progress_that_cannot_be_read_is_said_and_everything_is_measured_again(data: bytes) -> None:
    world = World({PROGRESS: data})
    with capture_logs() as lines:
        asyncio.run(world.live.round())
    assert world.begun == [Progress()]
    (line,) = [each for each in lines if each["log_level"] == "error"]
    assert line["event"] == "quality_progress_unreadable"
    assert "every window is measured again" in line["consequence"]
    assert decode_progress(world.states[PROGRESS]) == WRITTEN, "the next one goes on from there"


def test_progress_that_can_be_read_is_gone_on_from() -> None:
    world = World({PROGRESS: msgspec.json.encode(WRITTEN)})
    asyncio.run(world.live.round())
    assert world.begun == [WRITTEN]


@pytest.mark.parametrize("data", [b"?", msgspec.json.encode(VersionState(b"?", ()))])
def test_the_state_of_a_version_that_cannot_be_read_is_said_and_it_is_judged_anew(
    data: bytes,
) -> None:
    baseline = QualityBaseline(
        threshold=0.5,
        n_rows=1000,
        n_positive=100,
        errors=ErrorLevel(rate=0.1, block=32, block_std=2.0, skewness=0.1, n_rows=1000),
        measures={},
    )
    options = JudgingOptions(
        pipeline="p",
        window_ms=1_000,
        lateness_ms=0,
        maturity=0.5,
        min_rows=10,
        max_rows=1_000,
        rules=QualityRules(),
    )
    silent = SimpleNamespace(query=lambda *_: [])
    with capture_logs() as lines:
        judge = Judge(options, SimpleNamespace(find=lambda _: baseline), lambda: 0, {"v1": data})  # type: ignore[arg-type]
        assert judge.judge(silent, reached_ms=0) == []  # type: ignore[arg-type]
        assert judge.told == []
    (line,) = [each for each in lines if each["log_level"] == "error"]
    assert (line["event"], line["model_version"]) == ("quality_state_unreadable", "v1")
    assert "judged again" in line["consequence"]
