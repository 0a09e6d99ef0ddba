"""The bench of brokers: what it plans, what it sends, and how it judges."""

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from tests.bench.broker_cases import (
    APACHE,
    EMBEDDED,
    FIGURES,
    QUICK,
    Case,
    Kind,
    Options,
    Outcome,
    plan,
)
from tests.bench.broker_commits import repeat
from tests.bench.broker_latency import percentiles
from tests.bench.broker_load import N_MESSAGES, consume, measure_throughput, produce, values
from tests.bench.broker_nodes import BrokerNode
from tests.bench.broker_report import Results, as_json, spread, verdict
from tests.bench.processes import Children, RunFailed

USUAL = Case(Kind.THROUGHPUT)


def results(*outcomes: tuple[str, int, dict[str, float]]) -> Results:
    filled = Results()
    for broker, number, figures in outcomes:
        filled.add(Outcome(broker, USUAL, number, figures))
    return filled


def test_a_round_varies_one_thing_at_a_time_and_repeats_nothing() -> None:
    cases = plan(Options())

    assert len(cases) == len(set(cases))
    loads = [case for case in cases if case.kind is Kind.THROUGHPUT]
    assert {(case.value_bytes, case.compression) for case in loads} == {
        (size, compression) for size in (100, 200, 1000) for compression in ("none", "lz4")
    }
    assert {case.partitions for case in loads} == {1, 12}
    assert [case.append_time for case in loads].count(False) == 1


def test_a_quick_round_has_every_kind() -> None:
    assert {case.kind for case in plan(QUICK)} == set(Kind)
    assert len(plan(QUICK)) < len(plan(Options()))


def test_every_case_has_a_name_of_its_own_within_its_kind() -> None:
    names = [(case.kind, str(case)) for case in plan(Options())]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("size", [100, 200, 1000])
def test_messages_have_the_size_of_their_case(size: int) -> None:
    messages = values(size)

    assert {len(each["value"]) for each in messages} == {size}
    assert len({each["value"] for each in messages}) == N_MESSAGES


def test_ratios_pair_the_runs_of_a_round_and_leave_out_unpaired_ones() -> None:
    filled = results(
        (EMBEDDED, 0, {"produce_per_s": 50.0, "p99_ms": 4.0}),
        (APACHE, 0, {"produce_per_s": 100.0, "p99_ms": 2.0}),
        (APACHE, 1, {"produce_per_s": 1000.0, "p99_ms": 1.0}),
    )

    assert filled.ratios(USUAL, "produce_per_s") == [0.5]
    assert filled.ratios(USUAL, "p99_ms") == [0.5], "a slower p99 is a ratio below 1 too"


def test_a_ratio_is_judged_by_the_aim_of_its_figure() -> None:
    rate, cpu = FIGURES["produce_per_s"], FIGURES["produce_cpu_us"]

    assert verdict(rate, 0.5) == ">= 0.5: holds"
    assert verdict(rate, 0.49) == ">= 0.5: MISSED"
    assert verdict(FIGURES["p99_ms"], 0.99) == ">= 1: MISSED"
    assert verdict(cpu, 0.1) == ""
    assert verdict(rate, None) == ""


def test_a_spread_shows_the_median_and_the_worst() -> None:
    assert spread([3.0, 1.0, 2.0], "{:.0f}") == "2 (1 to 3)"
    assert spread([3.0], "{:.0f}") == "3"
    assert spread([], "{:.0f}") == "-"


def test_the_report_says_which_way_a_ratio_is_turned_and_why_a_run_failed() -> None:
    filled = results(
        (EMBEDDED, 0, {"produce_per_s": 80.0, "p99_ms": 5.0}),
        (APACHE, 0, {"produce_per_s": 100.0, "p99_ms": 10.0}),
    )
    filled.add(Outcome(APACHE, USUAL, 1, failure="exited with 1: no space left"))

    (case,) = as_json(filled, Options())["cases"]
    assert case["figures"]["produce_per_s"]["ratio"]["median"] == 0.8
    assert case["figures"]["produce_per_s"]["ratio_is"] == "embedded/apache"
    assert case["figures"]["p99_ms"]["ratio"]["median"] == 2
    assert case["figures"]["p99_ms"]["ratio_is"] == "apache/embedded"
    assert case["runs"] == "2/3; Apache Kafka: exited with 1: no space left"


def test_without_apache_there_is_no_ratio() -> None:
    filled = results((EMBEDDED, 0, {"produce_per_s": 80.0}))

    (case,) = as_json(filled, replace(Options(), brokers=(EMBEDDED,)))["cases"]
    assert case["figures"]["produce_per_s"]["ratio"] is None
    assert case["figures"]["produce_per_s"][EMBEDDED]["median"] == 80


def test_latency_counts_only_messages_stamped_in_the_measured_time() -> None:
    stamps = np.array([0, 10_000_000, 20_000_000, 30_000_000])
    seen = stamps + np.array([900, 1, 3, 900]) * 1_000_000

    figures = percentiles(stamps, seen, 10_000_000, 20_000_000)
    assert (figures["p50_ms"], figures["max_ms"], figures["n_observed"]) == (2, 3, 2)


def test_a_latency_run_that_saw_nothing_is_a_failed_run() -> None:
    with pytest.raises(RunFailed, match="no message"):
        percentiles(np.array([5]), np.array([6]), 10, 20)


def test_repeated_acts_are_counted_after_those_that_do_not_count() -> None:
    ticks, n_acts = count(step=0.5), count(1)

    rate, p99_ms = repeat(lambda: next(n_acts), 2.0, clock=lambda: next(ticks))

    assert rate == 2
    assert p99_ms == 500
    assert next(n_acts) == 20 + 4 + 1


@pytest.fixture
def node(tmp_path: Path) -> Iterator[BrokerNode]:
    children = Children(tmp_path / "logs")
    node = BrokerNode(EMBEDDED, children, tmp_path / "broker", core=min(os.sched_getaffinity(0)))
    yield node
    children.stop_all()


def test_all_that_was_produced_is_read_back(node: BrokerNode) -> None:
    node.start()

    figures = measure_throughput(node, Case(Kind.THROUGHPUT, partitions=3), 0.05)

    assert figures["n_messages"] >= 4 * N_MESSAGES
    assert figures["consume_per_s"] > 0


def test_a_missing_or_doubled_message_is_a_failed_run(node: BrokerNode) -> None:
    node.start()
    with node.topic(USUAL) as topic:
        _, n = produce(node.bootstrap, topic, USUAL, 0.01)

        with pytest.raises(RunFailed, match="messages read"):
            consume(node.bootstrap, topic, 1, n - N_MESSAGES, 0.01)


def test_a_broker_that_died_is_a_failed_run(node: BrokerNode) -> None:
    node.start()
    process = node.process
    process.kill()

    with pytest.raises(RunFailed, match="exited"):
        measure_throughput(node, USUAL, 0.05)


def test_a_broker_comes_back_after_a_kill_with_what_it_held(node: BrokerNode) -> None:
    node.start()
    with node.topic(USUAL) as topic:
        _, n = produce(node.bootstrap, topic, USUAL, 0.01)
        node.kill()

        assert node.start() > 0
        assert consume(node.bootstrap, topic, 1, n, 0.001).n < n
