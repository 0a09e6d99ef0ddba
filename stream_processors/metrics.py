"""Prometheus metrics of the processors; per-event facts are counted here, not logged."""

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60)

PARTITION_STARTS = Counter(
    "thalweg_partition_starts",
    "Partitions taken up, by why they started where",
    ["topic", "reason"],
)
OFFSETS_LOST = Counter(
    "thalweg_offsets_lost", "Source offsets gone before they were read", ["topic"]
)
EVENTS_SCORED = Counter("thalweg_events_scored", "Events scored", ["model_version"])
EVENTS_REJECTED = Counter("thalweg_events_rejected", "Events dead-lettered", ["reason"])
BATCH_EVENTS = Histogram(
    "thalweg_batch_events",
    "Events in a micro-batch",
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000, 10000),
)
STAGE_SECONDS = Histogram(
    "thalweg_stage_seconds",
    "Time of one batch in a stage",
    ["stage"],
    buckets=LATENCY_BUCKETS,
)
EVENT_SECONDS = Histogram(
    "thalweg_event_seconds",
    "Append to outputs acknowledged, of the oldest event in a batch",
    buckets=LATENCY_BUCKETS,
)
IN_FLIGHT = Gauge("thalweg_in_flight", "Fetched and not yet acknowledged", ["unit"])
ROWS_LOGGED = Counter("thalweg_rows_logged", "Rows inserted into ClickHouse")
BAD_FRAMES = Counter("thalweg_bad_frames", "Messages on scored-batches that are none")
LOG_RETRIES = Counter("thalweg_log_retries", "Inserts tried again, of predictions and of labels")
COVERAGE_GAP = Gauge(
    "thalweg_coverage_gap_offsets",
    "Committed source offsets that the log does not answer for",
)
OUTPUTS_GROWN = Counter(
    "thalweg_output_partitions_grown",
    "Times outputs had fewer partitions than their source",
    ["topic"],
)
DRIFT_ROWS = Counter("thalweg_drift_rows", "Rows sketched for drift", ["model_version"])
DRIFT_ROWS_LEFT_OUT = Counter(
    "thalweg_drift_rows_left_out",
    "Rows in no sketch: no_reference, ahead (of their append time), repeated (by a scorer)",
    ["reason"],
)
DRIFT_ROWS_WAITING = Gauge(
    "thalweg_drift_rows_waiting", "Rows gathered for drift and not yet cut into pieces"
)
DRIFT_PIECES = Counter("thalweg_drift_pieces", "Sketches of pieces of a window published")
BAD_SKETCHES = Counter("thalweg_bad_sketches", "Messages on drift-sketches that are none")
DRIFT_LATE_ROWS = Counter(
    "thalweg_drift_late_rows", "Rows in no window: sketched after it had closed"
)
DRIFT_FOREIGN_ROWS = Counter(
    "thalweg_drift_foreign_rows", "Rows in no window: sketched for windows of another width"
)
DRIFT_WINDOWS = Counter("thalweg_drift_windows", "Windows closed", ["model_version"])
DRIFT_ALERTS = Counter(
    "thalweg_drift_alerts", "Messages about alerts, by what they tell", ["state", "level"]
)
DRIFT_OPEN_ALERTS = Gauge("thalweg_drift_open_alerts", "Alerts and notices that are open")
DRIFT_WATERMARK = Gauge(
    "thalweg_drift_watermark_seconds", "Event time up to which windows are closed, since 1970"
)
DRIFT_SOURCE_GAPS = Counter(
    "thalweg_drift_source_gaps", "Times frames of a source partition did not join up"
)
RETRAINING_DECISIONS = Counter(
    "thalweg_retraining_decisions",
    "Decisions on retraining: requested, refused; those too that repeat the one before",
    ["outcome"],
)
RETRAINING_REQUESTS = Counter("thalweg_retraining_requests", "Requests for retraining published")
RETRAINING_DECIDED_AT = Gauge(
    "thalweg_retraining_decided_at_seconds",
    "When it was last decided, in seconds since 1970: time() less it is the decision's age",
)
RETRAINING_BAD_MESSAGES = Counter(
    "thalweg_retraining_bad_messages",
    "Messages keyed by the pipeline that are no alert, request or decision of it",
    ["topic"],
)
LABELS_LOGGED = Counter(
    "thalweg_labels_logged", "Labels inserted into ClickHouse, repeated ones too"
)
LABELS_REJECTED = Counter(
    "thalweg_labels_rejected", "Messages on labels that are none, dead-lettered", ["reason"]
)
QUALITY_WINDOWS = Counter(
    "thalweg_quality_windows", "Windows whose quality was measured, again when labels came"
)
QUALITY_JUDGED = Counter(
    "thalweg_quality_judged",
    "Mature windows held against the model's quality at release",
    ["model_version"],
)
QUALITY_FAILURES = Counter(
    "thalweg_quality_failures", "Rounds of measuring that failed and are made again"
)
QUALITY_MEASURED_AT = Gauge(
    "thalweg_quality_measured_at_seconds",
    "When quality was last measured, in seconds since 1970; 0 in workers that leave it to another",
)
