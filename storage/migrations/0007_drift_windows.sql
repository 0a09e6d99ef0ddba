-- What each closed window looked like: the counts that reports draw, and every column's effect.
--
-- Identity, expiry and which insert shows are those of drift_metric_log (0004). Of 30 features in
-- 10 bins a row is 310 small counts: a year of 5-minute windows is some tens of megabytes.
CREATE TABLE IF NOT EXISTS drift_window_log
(
    pipeline      LowCardinality(String),
    model_version LowCardinality(String),
    window_start  DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    window_end    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    segment       LowCardinality(String),
    columns       LowCardinality(String), -- fingerprint of the reference's columns
    n_rows        Int64                CODEC(T64, ZSTD(1)),
    counts        Array(Int64)         CODEC(T64, ZSTD(1)), -- of all bins of all columns, in order
    psi           Array(Float64)       CODEC(ZSTD(1)), -- per column, corrected for chance
    p_value       Array(Float64)       CODEC(ZSTD(1)), -- per column, the smallest of its tests
    e_value       Nullable(Float64)    CODEC(ZSTD(1)), -- e-SR after the window
    arl0          Float64              CODEC(ZSTD(1)), -- the stated rate that was in force
    n_noticed     Int64                CODEC(T64, ZSTD(1)),
    inserted_at   DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    -- The greatest shows: the earliest insert, and within one millisecond a fixed choice.
    precedence    UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(8796093022208 - toUnixTimestamp64Milli(inserted_at)), 20)
        + (cityHash64(tuple(columns, n_rows, counts, psi, p_value, e_value, arl0, n_noticed))
           % 1048576)
        CODEC(Delta, ZSTD(1)),
    INDEX window_end_range window_end TYPE minmax GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, segment, model_version, window_start, window_end)
TTL toDateTime(inserted_at) + INTERVAL 400 DAY;

CREATE VIEW IF NOT EXISTS drift_windows AS
SELECT pipeline, model_version, window_start, window_end, segment, columns, n_rows, counts, psi,
       p_value, e_value, arl0, n_noticed, inserted_at
FROM drift_window_log FINAL;
