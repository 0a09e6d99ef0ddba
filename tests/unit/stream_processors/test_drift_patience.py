"""Partitions with events on their way are waited for, whatever stage those are at; not for ever."""

from dataclasses import dataclass, field

import pytest
from faust.types import TP

from drift.coverage import Source
from schemas.kafka_settings import KafkaSettings
from schemas.topics import TopicNames
from stream_processors.detect_drift import surroundings as under_test
from stream_processors.detect_drift.patience import Patience
from stream_processors.detect_drift.surroundings import Cluster
from stream_processors.state_topic import StateTopic
from stream_processors.topics import TopicInfo

A: Source = ("topic", 0)
B: Source = ("topic", 1)
QUIET_MS, HOLD_MS = 1000, 5000
NAMES = TopicNames("fraud")


@dataclass
class Others:
    """Partitions that are behind, and how often that was asked."""

    behind: set[Source] = field(default_factory=set)
    n_asked: int = 0

    def ask(self, read_to: int) -> set[Source]:
        self.n_asked += 1
        return self.behind


def patience(others: Others) -> Patience:
    made = Patience(others.ask, quiet_ms=QUIET_MS, hold_ms=HOLD_MS)
    made.watch([A, B], 0)
    return made


def test_only_the_quiet_are_asked_about_and_waited_for() -> None:
    others = Others({A, B})
    waits = patience(others)
    assert waits.waited_for(0, QUIET_MS) == set()
    assert others.n_asked == 0
    waits.fed(B, QUIET_MS)
    assert waits.waited_for(0, QUIET_MS + 1) == {A}


def test_what_was_so_a_moment_ago_is_asked_again() -> None:
    others = Others()
    waits = patience(others)
    assert waits.waited_for(0, 2000) == set()
    others.behind = {A}
    assert waits.waited_for(0, 2000) == {A}


def test_one_that_stays_behind_is_given_up_in_the_end() -> None:
    waits = patience(Others({A}))
    assert waits.waited_for(0, 2000) == {A}
    assert waits.waited_for(0, 2000 + HOLD_MS - 1) == {A}
    assert waits.waited_for(0, 2000 + HOLD_MS) == set()
    assert waits.waited_for(0, 2000 + 9 * HOLD_MS) == set()


@pytest.mark.parametrize("how", ["a piece came", "nothing to wait for in between"])
def test_each_stretch_of_waiting_is_of_its_own(how: str) -> None:
    others = Others({A})
    waits = patience(others)
    waits.waited_for(0, 2000)
    if how == "a piece came":
        waits.fed(A, 4000)
    else:
        others.behind = set()
        waits.waited_for(0, 4000)
        others.behind = {A}
    assert waits.waited_for(0, 2000 + HOLD_MS) == {A}


@dataclass
class Journey:
    """A cluster with one event that goes one stage further after each question."""

    stages_passed: int = 0
    n_asked: int = 0
    moves_at: frozenset[int] = frozenset()

    def _asked(self) -> None:
        if self.n_asked in self.moves_at:
            self.stages_passed += 1
        self.n_asked += 1

    def describe(self, _: KafkaSettings, names: list[str]) -> dict[str, TopicInfo]:
        return {name: TopicInfo(name, "id", 1) for name in names}

    def committed(
        self, _: KafkaSettings, group: str, topics: list[TopicInfo]
    ) -> dict[tuple[str, int], int]:
        self._asked()
        n_needed = 1 if group == NAMES.group("score") else 2
        return {(topics[0].name, 0): int(self.stages_passed >= n_needed)}

    def ends(self, _: KafkaSettings, topics: list[TopicInfo]) -> dict[tuple[str, int], int]:
        self._asked()
        order = [NAMES.features, NAMES.scored_batches, NAMES.drift_sketches]
        return {(topics[0].name, 0): int(self.stages_passed >= order.index(topics[0].name))}


@pytest.mark.parametrize("first_move", range(6))
@pytest.mark.parametrize("second_move", range(6))
def test_an_event_on_its_way_is_seen_whenever_it_moves(
    first_move: int, second_move: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    journey = Journey(moves_at=frozenset({first_move, second_move}))
    monkeypatch.setattr(under_test, "describe", journey.describe)
    monkeypatch.setattr(under_test, "committed_offsets", journey.committed)
    monkeypatch.setattr(under_test, "end_offsets", journey.ends)
    kafka = KafkaSettings()
    state = StateTopic(kafka, "fraud", "detect")
    cluster = Cluster(kafka, NAMES, TP(NAMES.drift_sketches, 0), state)
    assert cluster.behind(0) == {("id", 0)}
    assert journey.n_asked == 5
