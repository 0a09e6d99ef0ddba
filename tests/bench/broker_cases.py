"""What the bench of brokers runs: options, cases, and the figures that a case yields."""

from dataclasses import dataclass, field
from enum import StrEnum

EMBEDDED = "embedded"
APACHE = "apache"
TITLES = {EMBEDDED: "embedded", APACHE: "Apache Kafka"}


class Kind(StrEnum):
    THROUGHPUT = "throughput"
    LATENCY = "latency"
    COMMITS = "commits"
    TRANSACTIONS = "transactions"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Options:
    """`run_s` is that of produce, commit and transaction runs; a consume run reads it all back.

    `quick` keeps two throughput cases; `fill_mib` is what a broker holds when it is restarted.
    """

    brokers: tuple[str, ...] = (EMBEDDED, APACHE)
    kinds: tuple[Kind, ...] = tuple(Kind)
    rates: tuple[int, ...] = (1_000, 20_000, 60_000)
    repeats: int = 3
    run_s: float = 2.0
    latency_warm_up_s: float = 1.0
    latency_s: float = 4.0
    warm_up_s: float = 30.0
    fill_mib: int = 1024
    quick: bool = False


QUICK = Options(
    rates=(20_000,), repeats=1, run_s=1.0, latency_s=2.0, warm_up_s=4.0, fill_mib=128, quick=True
)


@dataclass(frozen=True, slots=True)
class Case:
    """One load, the same for every broker. `rate` is 0 where the load goes as fast as it can."""

    kind: Kind
    value_bytes: int = 200
    compression: str = "none"
    partitions: int = 1
    append_time: bool = True
    """Whether the topic is on LogAppendTime, as all of ours are."""
    rate: int = 0

    def __str__(self) -> str:
        if self.kind is Kind.LATENCY:
            return f"{self.rate:,}/s of {self.value_bytes} B"
        if self.kind is Kind.THROUGHPUT:
            where = f"{self.partitions} partition{'s' if self.partitions > 1 else ''}"
            time = "" if self.append_time else ", CreateTime"
            return f"{self.value_bytes} B, {self.compression}, {where}{time}"
        return {
            Kind.COMMITS: "one offset a commit",
            Kind.TRANSACTIONS: "10 records a transaction",
            Kind.RESTART: "start to first answer",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run of a case on one broker: its figures, or why there are none."""

    broker: str
    case: Case
    round: int
    figures: dict[str, float] = field(default_factory=dict)
    failure: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is shown and judged. Ratios are turned so that above 1 the embedded is better.

    `aim`: the least ratio that is good enough; None where a figure is shown and not judged.
    """

    title: str
    form: str
    higher_is_better: bool
    aim: float | None = None


FIGURES = {
    "produce_per_s": Figure("produced/s", "{:,.0f}", True, 0.5),
    "produce_mb_per_s": Figure("produced MB/s", "{:,.1f}", True),
    "produce_cpu_us": Figure("broker's CPU us a message in", "{:.2f}", False),
    "consume_per_s": Figure("consumed/s", "{:,.0f}", True, 0.5),
    "consume_cpu_us": Figure("broker's CPU us a message out", "{:.2f}", False),
    "p50_ms": Figure("p50 ms", "{:.2f}", False),
    "p99_ms": Figure("p99 ms", "{:.2f}", False, 1.0),
    "max_ms": Figure("max ms", "{:.1f}", False),
    "latency_cpu": Figure("broker's CPU", "{:.0%}", False),
    "commits_per_s": Figure("commits/s", "{:,.0f}", True, 0.5),
    "commit_p99_ms": Figure("p99 of a commit, ms", "{:.2f}", False, 1.0),
    "transactions_per_s": Figure("transactions/s", "{:,.0f}", True, 0.5),
    "transaction_p99_ms": Figure("p99 of a transaction, ms", "{:.2f}", False, 1.0),
    "rss_mib": Figure("resident MiB when filled", "{:.0f}", False),
    "first_start_s": Figure("first start, s", "{:.2f}", False),
    "start_after_stop_s": Figure("start after a clean stop, s", "{:.2f}", False),
    "start_after_kill_s": Figure("start after SIGKILL, s", "{:.2f}", False),
}


def plan(options: Options) -> list[Case]:
    """The cases of one round."""
    cases: list[Case] = []
    for kind in options.kinds:
        if kind is Kind.THROUGHPUT:
            cases += _throughput(quick=options.quick)
        elif kind is Kind.LATENCY:
            cases += [Case(kind, rate=rate) for rate in options.rates]
        elif kind is Kind.RESTART:
            cases.append(Case(kind, value_bytes=1000))
        else:
            cases.append(Case(kind))
    return cases


def _throughput(*, quick: bool) -> list[Case]:
    """One thing varied at a time around 200 B on one LogAppendTime partition."""
    usual = Case(Kind.THROUGHPUT)
    wide = Case(Kind.THROUGHPUT, compression="lz4", partitions=12)
    if quick:
        return [usual, wide]
    sized = [
        Case(Kind.THROUGHPUT, value_bytes=size, compression=compression)
        for size in (100, 200, 1000)
        for compression in ("none", "lz4")
    ]
    return [
        *sized,
        Case(Kind.THROUGHPUT, append_time=False),
        Case(Kind.THROUGHPUT, partitions=12),
        wide,
    ]
