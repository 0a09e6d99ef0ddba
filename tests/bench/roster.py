"""Who takes part: what each can do, how it is started, and about how fast it is."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.bench.contenders.arguments import Arguments
from tests.bench.events import FORMATS, Format
from tests.bench.model import PIPELINE
from tests.bench.quix_environment import quix_python


@dataclass(frozen=True, slots=True)
class Launch:
    command: list[str]
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RunContext:
    """What our own worker is told instead of arguments."""

    store: Path
    topic_prefix: str


@dataclass(frozen=True, slots=True)
class Contender:
    """`expected_rates`, in events/s on one core of 2026, size its runs; they are no claim."""

    name: str
    title: str
    formats: tuple[Format, ...]
    has_frames: bool
    expected_rates: Mapping[str, int]
    latency_rates: tuple[int, ...]
    """Rates it can be held to; empty: those given on the command line."""
    launch: Callable[[Arguments, RunContext], Launch]


def _module(name: str) -> Callable[[Arguments, RunContext], Launch]:
    def launch(arguments: Arguments, _context: RunContext) -> Launch:
        module = f"tests.bench.contenders.{name}"
        return Launch([sys.executable, "-m", module, *arguments.as_options()], {})

    return launch


def _quix(arguments: Arguments, _context: RunContext) -> Launch:
    module = "tests.bench.contenders.quix_streams"
    return Launch([quix_python(), "-m", module, *arguments.as_options()], {})


def _ours(arguments: Arguments, context: RunContext) -> Launch:
    environment = {
        "THALWEG_DATA_DIR": str(arguments.work_dir),
        "THALWEG_MODEL_STORE": str(context.store),
        "THALWEG_PIPELINE": PIPELINE,
        "THALWEG_WORKER_ID": arguments.group,
        "THALWEG_KAFKA__BOOTSTRAP_SERVERS": arguments.bootstrap,
        "THALWEG_KAFKA__TOPIC_PREFIX": context.topic_prefix,
        "THALWEG_SCORING__PUBLISH_SCORED_BATCHES": "true" if arguments.scored_topic else "false",
    }
    return Launch([sys.executable, "-m", "thalweg.main", "worker", "score"], environment)


FAUST, TAKE, QUIX, HAND, OURS = "faust", "take", "quix", "hand", "ours"

CONTENDERS = {
    each.name: each
    for each in (
        Contender(
            name=FAUST,
            title="Faust as people write it",
            formats=("json",),
            has_frames=False,
            expected_rates={"json": 3_000},
            latency_rates=(1_000,),
            launch=_module("faust_as_written"),
        ),
        Contender(
            name=TAKE,
            title="Faust take() on raw bytes",
            formats=FORMATS,
            has_frames=False,
            expected_rates={"json": 5_000, "packed": 5_000},
            latency_rates=(1_000,),
            launch=_module("faust_take"),
        ),
        Contender(
            name=QUIX,
            title="Quix Streams",
            formats=("json",),
            has_frames=False,
            expected_rates={"json": 20_000},
            latency_rates=(1_000,),
            launch=_quix,
        ),
        Contender(
            name=HAND,
            title="hand-written loop",
            formats=FORMATS,
            has_frames=True,
            expected_rates={"json": 140_000, "packed": 350_000},
            latency_rates=(),
            launch=_module("hand_loop"),
        ),
        Contender(
            name=OURS,
            title="Thalweg",
            formats=FORMATS,
            has_frames=True,
            expected_rates={"json": 140_000, "packed": 350_000},
            latency_rates=(),
            launch=_ours,
        ),
    )
}
