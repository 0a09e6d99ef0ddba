-- What the drift detector measured, what it said, how good the model was, and what was decided.
--
-- Every row is identified by what it is about, its table's sort key, so that a replay collapses into
-- the row it repeats. No table is partitioned: these are small (30 columns, 5-minute windows: 12
-- million rows a year), and one partition is the same on every replay. Event time would not do as
-- a partition key or for expiry: it may be years ago. Rows expire by when they were inserted.

-- The first insert of an identity shows, so a row that has shown does not change, and a detector
-- that was frozen and wakes up changes nothing.
CREATE TABLE IF NOT EXISTS drift_metric_log
(
    pipeline      LowCardinality(String),
    model_version LowCardinality(String),
    window_start  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    window_end    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    segment       LowCardinality(String),
    kind          LowCardinality(String),
    name          LowCardinality(String),
    detector      LowCardinality(String),
    statistic     Nullable(Float64)    CODEC(ZSTD(1)),
    threshold     Nullable(Float64)    CODEC(ZSTD(1)),
    p_value       Nullable(Float64)    CODEC(ZSTD(1)),
    effect        Nullable(Float64)    CODEC(ZSTD(1)),
    n_reference   Int64                CODEC(T64, ZSTD(1)),
    n_window      Int64                CODEC(T64, ZSTD(1)),
    noticed       Bool,
    level         LowCardinality(String),
    inserted_at   DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    -- The greatest shows: the earliest insert, and within one millisecond a fixed choice.
    precedence    UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(8796093022208 - toUnixTimestamp64Milli(inserted_at)), 20)
        + (cityHash64(tuple(statistic, threshold, p_value, effect, n_reference, n_window, noticed,
                            level)) % 1048576)
        CODEC(Delta, ZSTD(1)),
    INDEX window_end_range window_end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, name, kind, segment, detector, model_version, window_start, window_end)
TTL toDateTime(inserted_at) + INTERVAL 400 DAY;

CREATE VIEW IF NOT EXISTS drift_metrics AS
SELECT pipeline, model_version, window_start, window_end, segment, kind, name, detector, statistic,
       threshold, p_value, effect, n_reference, n_window, noticed, level, inserted_at
FROM drift_metric_log FINAL;

-- One row per message on drift-alerts: each state that an alert was told in. The first insert shows.
CREATE TABLE IF NOT EXISTS drift_alert_log
(
    pipeline      LowCardinality(String),
    alert_id      String,
    state         LowCardinality(String),
    model_version LowCardinality(String),
    level         LowCardinality(String),
    kind          LowCardinality(String),
    name          LowCardinality(String),
    segment       LowCardinality(String),
    detector      LowCardinality(String),
    statistic     Nullable(Float64),
    threshold     Nullable(Float64),
    p_value       Nullable(Float64),
    effect        Nullable(Float64),
    effect_unit   LowCardinality(String),
    n_reference   Int64,
    n_window      Int64,
    window_start  DateTime64(3, 'UTC'),
    window_end    DateTime64(3, 'UTC'),
    opened_at     DateTime64(3, 'UTC'),
    updated_at    DateTime64(3, 'UTC'),
    change_point  Nullable(DateTime64(3, 'UTC')),
    contribution_names  Array(String),
    contribution_shares Array(Nullable(Float64)),
    n_windows     Int64,
    sentence      String CODEC(ZSTD(1)),
    inserted_at   DateTime64(3, 'UTC') DEFAULT now64(3),
    precedence    UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(8796093022208 - toUnixTimestamp64Milli(inserted_at)), 20)
        + (cityHash64(tuple(level, statistic, effect, n_windows, updated_at, sentence)) % 1048576)
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, alert_id, window_start, window_end, state)
TTL toDateTime(inserted_at) + INTERVAL 1830 DAY;

CREATE VIEW IF NOT EXISTS drift_alerts AS
SELECT pipeline, alert_id, state, model_version, level, kind, name, segment, detector, statistic,
       threshold, p_value, effect, effect_unit, n_reference, n_window, window_start, window_end,
       opened_at, updated_at, change_point, contribution_names, contribution_shares, n_windows,
       sentence, inserted_at
FROM drift_alert_log FINAL;

-- Each alert once, in its latest state: of the latest window, and of that one the last in a life.
CREATE VIEW IF NOT EXISTS latest_drift_alerts AS
SELECT *
FROM drift_alerts
ORDER BY pipeline, alert_id, window_end DESC, window_start DESC,
         indexOf(['opened', 'updated', 'resolved'], state) DESC
LIMIT 1 BY pipeline, alert_id;

-- A measure of one window, as realised on the labels that have come, or as estimated without them;
-- two rows, for they come from two writers at different times. Labels that come later or are
-- corrected give the row anew: the latest shows, whatever the order of inserts.
CREATE TABLE IF NOT EXISTS quality_log
(
    pipeline       LowCardinality(String),
    model_version  LowCardinality(String),
    window_start   DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    window_end     DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    segment        LowCardinality(String),
    measure        LowCardinality(String),
    source         LowCardinality(String), -- realised, estimated
    value          Nullable(Float64)    CODEC(ZSTD(1)),
    standard_error Nullable(Float64)    CODEC(ZSTD(1)),
    n_scored       Int64                CODEC(T64, ZSTD(1)),
    n_labelled     Int64                CODEC(T64, ZSTD(1)),
    measured_at    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    inserted_at    DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    -- The greatest shows: the latest measurement, of one millisecond the one with most labels.
    precedence     UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(greatest(0, toUnixTimestamp64Milli(measured_at))), 20)
        + toUInt64(least(greatest(0, n_labelled), 1048575))
        CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, measure, segment, model_version, window_start, window_end, source)
TTL toDateTime(inserted_at) + INTERVAL 400 DAY;

-- maturity: what share of the window's rows has its label, 0 before any has.
CREATE VIEW IF NOT EXISTS quality_metrics AS
SELECT pipeline, model_version, window_start, window_end, segment, measure,
       anyIf(value, source = 'realised')           AS realised,
       anyIf(standard_error, source = 'realised')  AS realised_error,
       anyIf(value, source = 'estimated')          AS estimate,
       anyIf(standard_error, source = 'estimated') AS estimate_error,
       max(log.n_scored)                           AS n_scored,
       maxIf(log.n_labelled, source = 'realised')  AS n_labelled,
       if(n_scored > 0, n_labelled / n_scored, 0)  AS maturity,
       max(log.measured_at)                        AS measured_at
FROM quality_log AS log FINAL
GROUP BY pipeline, model_version, window_start, window_end, segment, measure;

-- Every decision, refusals too. The first insert shows.
CREATE TABLE IF NOT EXISTS retraining_decision_log
(
    pipeline    LowCardinality(String),
    decision_id String,
    decided_at  DateTime64(3, 'UTC'),
    requested   Bool,
    reasons     Array(String),
    alert_ids   Array(String),
    request_id  String, -- empty in a refusal
    policy      String CODEC(ZSTD(1)), -- JSON
    inserted_at DateTime64(3, 'UTC') DEFAULT now64(3),
    precedence  UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(8796093022208 - toUnixTimestamp64Milli(inserted_at)), 20)
        + (cityHash64(tuple(decided_at, requested, reasons, request_id)) % 1048576)
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, decision_id)
TTL toDateTime(inserted_at) + INTERVAL 1830 DAY;

CREATE VIEW IF NOT EXISTS retraining_decisions AS
SELECT pipeline, decision_id, decided_at, requested, reasons, alert_ids, request_id, policy,
       inserted_at
FROM retraining_decision_log FINAL;
