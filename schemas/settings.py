"""One settings tree for all processes, read from `THALWEG_...` environment variables.

`THALWEG_KAFKA__BOOTSTRAP_SERVERS=a:9092,b:9092` sets `settings.kafka.bootstrap_servers`; case does
not matter, an empty value counts as not given. A name that does not exist is refused with the
nearest one that does: a misspelt setting must not be silently ignored.
"""

import difflib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

from schemas.errors import ConfigurationError
from schemas.kafka_settings import KafkaSettings
from schemas.retraining import RetrainingSettings

PREFIX = "THALWEG_"


def default_data_dir() -> Path:
    """One data directory per user: `$XDG_DATA_HOME/thalweg`, or `~/.local/share/thalweg`."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "thalweg"


def _absolute(path: Path) -> Path:
    """`path` as every process sees it, whatever its working directory."""
    return path.expanduser().absolute()


def _http_url(url: str) -> str:
    """`url` without its last slash; ValueError unless it is http(s)://host[:port] and no more."""
    parts = urlsplit(url)
    if "@" in parts.netloc:  # refused unseen: a password must not end up in messages
        raise ValueError("give the user in `username` and `password`, not in the address")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not an address like http://host:8123")
    return url.rstrip("/")


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]


class Section(BaseModel):
    """A branch of the settings tree: frozen, and explained by the docstring under each field."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True
    )


class ClickHouseSettings(Section):
    """How to reach ClickHouse. The local stack fills in `url`; set it to use one of your own."""

    url: Annotated[str, AfterValidator(_http_url)] = "http://127.0.0.1:8123"
    """HTTP(S) address of the server."""
    username: str = "default"
    """User that owns the tables."""
    password: str = Field(default="", repr=False)
    """Password of that user."""
    database: str = "default"
    """Database the tables live in; it must exist."""
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    """Longest wait for one statement."""
    retention_days: int = Field(default=0, ge=0)
    """Days after its append time that a logged row expires; 0 keeps everything."""


class ScoringSettings(Section):
    """Bounds of a scoring worker. Memory and latency follow from them."""

    max_in_flight_events: int = Field(default=8000, ge=1, le=1_000_000)
    """Budget of events fetched, in work, or sent and not yet acknowledged, together."""
    max_batch_events: int = Field(default=2000, ge=1, le=100_000)
    """Largest run of records handed on as one batch."""
    max_in_flight_bytes: int = Field(default=64 * 2**20, ge=2**20)
    """Budget of payload bytes fetched or in work; large events make smaller batches."""
    max_event_bytes: int = Field(default=2**20, ge=64)
    """A larger event is dead-lettered as too_large."""
    max_dead_letter_bytes: int = Field(default=256 * 1024, ge=0, le=700_000)
    """Bytes of an event kept in its dead letter; the rest is cut, length and sha256 stay.

    In base64 it must fit the topic's message limit.
    """
    max_frame_bytes: int = Field(default=900_000, ge=4096, le=2_000_000)
    """Largest Arrow frame; keep it below the broker's message limit."""
    max_event_time_ahead_s: int = Field(default=86_400, ge=0)
    """How far an event time may lie after its append time; beyond is bad_event_time."""
    publish_scored_batches: bool = True
    """Off: no log, no drift; for measuring only."""
    linger_ms: float = Field(default=1.0, ge=0, le=1000)
    """How long librdkafka gathers output messages into a request."""
    delivery_timeout_s: float = Field(default=60.0, ge=1, le=600)
    """Longest wait for the broker to acknowledge a batch's outputs; then the worker stops."""
    provider: Literal["cpu", "cuda"] = "cpu"
    """ONNX Runtime execution provider."""
    stall_timeout_s: float = Field(default=60.0, ge=5, le=3600)
    """Without progress for this long while there is lag, a worker exits to be restarted."""


class LogSettings(Section):
    """Bounds of the prediction log's writer."""

    block_max_rows: int = Field(default=20_000, ge=1, le=1_000_000)
    """A block is inserted when it holds this many rows."""
    block_max_ms: int = Field(default=1000, ge=1, le=60_000)
    """... or when its first frame has waited this long."""
    max_buffered_bytes: int = Field(default=64 * 2**20, ge=2**20)
    """Bytes of frames held while ClickHouse is slow or gone; then the consumer pauses."""
    retry_max_ms: int = Field(default=5000, ge=10, le=600_000)
    """Longest back-off between tries while ClickHouse is gone; it retries for ever."""
    reconcile_interval_s: float = Field(default=60.0, ge=1, le=3600)
    """How often coverage is reconciled with the offsets the scorer committed."""


class DriftSettings(Section):
    """Windows of drift detection, and bounds of the workers that sketch them."""

    window_s: int = Field(default=3600, ge=1, le=31 * 86_400)
    """Width of a window in event time; windows begin at multiples of it since 1970, UTC.

    The shorter, the sooner a verdict and the larger the drift must be to be seen in so few rows.
    """
    allowed_lateness_s: float = Field(default=30.0, ge=0, le=31 * 86_400)
    """How long (event time) a window stays open for late events after its end was passed."""
    idle_timeout_s: float = Field(default=60.0, ge=1, le=86_400)
    """A partition without events for so long does not keep windows open any more."""
    hold_s: float = Field(default=900.0, ge=0, le=86_400)
    """... unless it has events that were not sketched yet: those are waited for, but not longer."""
    max_ahead_s: float = Field(default=60.0, ge=0, le=86_400)
    """An event time further ahead of the event's append time is not believed: it counts nowhere."""
    flush_interval_s: float = Field(default=5.0, ge=0.1, le=600)
    """How often a worker publishes what it has sketched, and then acknowledges it."""
    max_rows_per_piece: int = Field(default=50_000, ge=100, le=1_000_000)
    """... or at once when it holds this many rows."""
    max_buffered_bytes: int = Field(default=64 * 2**20, ge=2**20)
    """Bytes of frames held; from half of it a worker publishes at once, at all of it it pauses."""
    entity_limit: int = Field(default=2048, ge=0, le=100_000)
    """Entities counted exactly in a sketch, beyond them a random sample of so many; 0 counts none.

    The same for all workers of a pipeline: sketches with different limits do not merge.
    """
    sample_rows: int = Field(default=200, ge=0, le=10_000)
    """Rows that a sketch keeps as a random sample, fewer where they are wide; 0 keeps none.

    The same for all workers of a pipeline.
    """
    arl0: float = Field(default=1000.0, gt=1, le=1e9)
    """Mean number of windows between false notices of a model version, all columns and detectors
    together; `thalweg drift status` prints it per day. The fewer, the smaller a drift is noticed.
    """
    min_window_rows: int = Field(default=50, ge=1, le=1_000_000)
    """Fewer rows in a window are not tested; they count in the history that a change point is
    looked for in."""
    alert_psi: float = Field(default=0.2, gt=0, le=10)
    """A significant change of this PSI, beyond what chance gives, is an alert, else a notice."""
    alert_rate: float = Field(default=0.05, gt=0, le=1)
    """... for shares of missing and unseen values: a difference of so much."""
    quiet_windows: int = Field(default=3, ge=1, le=1000)
    """Windows without significance after which an alert is resolved."""


class QualitySettings(Section):
    """Live quality: when it is measured, when a window is judged, what wrong decisions cost."""

    interval_s: float = Field(default=60.0, ge=0.1, le=86_400)
    """How often the windows that new predictions or labels touched are measured."""
    window_s: int = Field(default=0, ge=0, le=31 * 86_400)
    """Width of a window in event time; 0 is that of drift, so that both tell of the same windows.

    Choose it wide enough for some tens of positives, or every measure is mostly chance.
    """
    maturity: float = Field(default=0.8, gt=0, le=1)
    """A window is judged, once, when this share of its rows has a label. Labels that come early
    are seldom a fair sample: fraud is reported, honesty is not."""
    min_rows: int = Field(default=200, ge=1, le=10_000_000)
    """... and at least so many; windows of fewer rows are measured and not judged."""
    max_rows: int = Field(default=200_000, ge=1000, le=10_000_000)
    """Rows that are read at once; of a larger window a random sample of about so many is measured,
    always the same by event id."""
    cost_missed: float = Field(default=1.0, ge=0, le=1e12)
    """Cost of a positive that was not flagged, in your unit of money."""
    cost_missed_share: float = Field(default=0.0, ge=0, le=1e6)
    """... and this share of its amount; needs `amount_feature`."""
    cost_false_alarm: float = Field(default=1.0, ge=0, le=1e12)
    """Cost of a flag on a negative."""
    amount_feature: str = ""
    """The feature that is the amount of an event."""


class LoggingSettings(Section):
    """Where log lines go and what they look like."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level written."""
    format: Literal["auto", "console", "json"] = "auto"
    """auto: readable on a terminal, JSON otherwise."""


class LocalSettings(Section):
    """The local stack of `thalweg up`. Its broker is the embedded one, or KAFKA_HOME's if set."""

    drift: bool = True
    """Off: no stages for drift, labels and retraining; four processes fewer a pipeline."""
    kafka_port: int = Field(default=0, ge=0, le=65535)
    """Port of the local broker; 0 takes a free one and keeps it for the data directory."""
    clickhouse_port: int = Field(default=0, ge=0, le=65535)
    """HTTP port of the local ClickHouse; 0 takes a free one and keeps it for the data directory."""
    kafka_heap_mb: int = Field(default=512, ge=256, le=65536)
    """Java heap of the local Apache Kafka; the embedded broker has none."""
    clickhouse_memory_mb: int = Field(default=2048, ge=256, le=1_048_576)
    """Memory limit of the local ClickHouse."""
    max_restarts: int = Field(default=5, ge=0, le=1000)
    """Restarts of one process within `restart_window_s` before the stack gives up and says why."""
    restart_window_s: float = Field(default=120.0, ge=1)
    """See `max_restarts`."""
    start_timeout_s: float = Field(default=60.0, ge=1, le=600)
    """How long a process may take to become healthy before it is killed and tried again."""
    stop_timeout_s: float = Field(default=20.0, ge=1, le=600)
    """How long a process may drain before it is killed."""


class Settings(Section):
    """All settings of a deployment; `load_settings` reads them from the environment."""

    data_dir: AbsolutePath = Field(default_factory=default_data_dir)
    """State of the local stack (broker and ClickHouse files, logs), and models unless given.

    Default: `$XDG_DATA_HOME/thalweg`, else `~/.local/share/thalweg`.
    """
    model_store: AbsolutePath | None = None
    """Folder of pipelines and models; default: `models` in the data directory."""
    pipeline: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")] = "fraud"
    """The pipeline a worker serves."""
    worker_id: str = ""
    """Static group membership: stable across restarts of one worker, different between workers.

    Empty: none, and every start is a new member to the group, which shares out its partitions anew.
    """
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """Prometheus metrics of a worker on loopback; 0 is off."""
    ready_file: AbsolutePath | None = None
    """A worker creates this file once it is ready for events; supervisors set it."""
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    scoring: ScoringSettings = ScoringSettings()
    log: LogSettings = LogSettings()
    drift: DriftSettings = DriftSettings()
    quality: QualitySettings = QualitySettings()
    retraining: RetrainingSettings = RetrainingSettings()
    logging: LoggingSettings = LoggingSettings()
    local: LocalSettings = LocalSettings()

    @property
    def store(self) -> Path:
        """The model store folder in force."""
        return self.model_store or self.data_dir / "models"


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from `environ` (default: the process's); `overrides` win, sections field by field.

    Raises ConfigurationError that says what to change.
    """
    environ = os.environ if environ is None else environ
    refuse_unknown_names(environ)
    try:
        return Settings(**_merged(_read(environ), overrides))
    except SettingsError as error:
        raise ConfigurationError(f"{error}: {error.__cause__}") from None
    except ValidationError as error:
        raise ConfigurationError("\n".join(_explain(each) for each in error.errors())) from error


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that give a child process exactly these settings; what is None is left out."""
    variables = {}
    for path, _, _ in walk(Settings):
        value: Any = settings
        for part in path:
            value = getattr(value, part)
        if value is not None:
            variables[variable_name(path)] = str(value)
    return variables


def refuse_unknown_names(environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError that names every `THALWEG_` variable that is no setting."""
    sections = {f"{PREFIX}{name.upper()}" for name in _sections(Settings)}
    known = {variable_name(path) for path, _, _ in walk(Settings)} | sections
    unknown = [
        f"unknown setting {name}: did you mean {_nearest(name)}?"
        for name in sorted(environ)
        if name.upper().startswith(PREFIX) and name.upper() not in known
    ]
    if unknown:
        raise ConfigurationError("\n".join([*unknown, "`thalweg settings` lists all"]))


def walk(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, str]]:
    """Every leaf of the tree: its path, its pydantic FieldInfo and its explanation."""
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from walk(kind, (*path, name))
        else:
            yield (*path, name), info, info.description or ""


def variable_name(path: tuple[str, ...]) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(part.upper() for part in path)


def _sections(model: type[BaseModel]) -> list[str]:
    return [
        name
        for name, info in model.model_fields.items()
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel)
    ]


def _read(environ: Mapping[str, str]) -> dict[str, Any]:
    """What `environ` gives, as nested dicts; pydantic-settings by itself reads `os.environ`."""
    source = EnvSettingsSource(
        cast(type[BaseSettings], Settings),  # it only looks at the fields
        case_sensitive=False,
        env_prefix=PREFIX,
        env_nested_delimiter="__",
    )
    source.env_vars = {name.lower(): value for name, value in environ.items() if value}
    return source()


def _merged(given: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(given)
    for name, value in overrides.items():
        fields = value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value
        below = merged.get(name)
        if isinstance(fields, dict) and isinstance(below, dict):
            fields = below | fields
        merged[name] = fields
    return merged


def _explain(error: ErrorDetails) -> str:
    name = variable_name(tuple(str(part) for part in error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"unknown setting {name}: did you mean {_nearest(name)}?"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def _nearest(name: str) -> str:
    known = sorted(variable_name(path) for path, _, _ in walk(Settings))
    return difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.0)[0]
