-- One row per source offset that a frame answers for: scored (reason = '') or dead-lettered.
-- Both live in one table, so that an offset scored once and rejected once (a replay under another
-- schema) still shows once. See docs/decisions/0002-exact-prediction-log.md.
CREATE TABLE IF NOT EXISTS prediction_log
(
    pipeline           LowCardinality(String),
    source_topic       LowCardinality(String),
    source_topic_id    LowCardinality(String),
    source_partition   Int32,
    source_offset      Int64                  CODEC(DoubleDelta, ZSTD(1)),
    event_id           String                 CODEC(ZSTD(1)),
    entity             String                 CODEC(ZSTD(1)),
    event_time         DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1)),
    append_time        DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1)),
    features           Array(Float32)         CODEC(ZSTD(1)),
    score              Float32                CODEC(ZSTD(1)),
    decision           Bool                   CODEC(ZSTD(1)),
    model_version      LowCardinality(String),
    challenger_score   Nullable(Float32)      CODEC(ZSTD(1)),
    challenger_version LowCardinality(String),
    schema_hash        LowCardinality(String),
    reason             LowCardinality(String),
    explanation        String                 CODEC(ZSTD(1)),
    scored_at          DateTime64(3, 'UTC')   CODEC(Delta, ZSTD(1)),
    logged_at          DateTime64(3, 'UTC')   DEFAULT now64(3) CODEC(Delta, ZSTD(1)),
    -- The greatest shows: the earliest scored_at, and within one millisecond a fixed choice.
    precedence         UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(8796093022208 - toUnixTimestamp64Milli(scored_at)), 20)
        + (cityHash64(model_version, challenger_version, reason) % 1048576)
        CODEC(Delta, ZSTD(1)),
    INDEX append_time_range append_time TYPE minmax GRANULARITY 1,
    INDEX scored_at_range   scored_at   TYPE minmax GRANULARITY 1,
    INDEX reason_set        reason      TYPE set(16) GRANULARITY 1
)
ENGINE = ReplacingMergeTree(precedence)
PARTITION BY toYYYYMMDD(append_time)
ORDER BY (pipeline, source_topic_id, source_partition, source_offset);

-- An identity has one append time, hence one partition: FINAL may look at each partition by itself,
-- so a query for an hour reads that day only.
CREATE VIEW IF NOT EXISTS predictions AS
SELECT pipeline, source_topic, source_partition, source_offset, event_id, entity, event_time,
       append_time, score, decision, model_version, features, challenger_score,
       challenger_version, schema_hash, scored_at, logged_at, source_topic_id
FROM prediction_log FINAL
WHERE reason = ''
SETTINGS do_not_merge_across_partitions_select_final = 1;

CREATE VIEW IF NOT EXISTS dead_letters AS
SELECT pipeline, source_topic, source_partition, source_offset, reason, explanation,
       append_time, scored_at AS rejected_at, logged_at, source_topic_id
FROM prediction_log FINAL
WHERE reason != ''
SETTINGS do_not_merge_across_partitions_select_final = 1;

-- Computed when read: an incremental rollup would count a replay twice.
CREATE VIEW IF NOT EXISTS predictions_per_minute AS
SELECT pipeline,
       model_version,
       toStartOfMinute(append_time)                                       AS minute,
       count()                                                            AS n,
       countIf(decision)                                                  AS n_positive,
       sum(toFloat64(score))                                              AS score_sum,
       min(score)                                                         AS score_min,
       max(score)                                                         AS score_max,
       avg(toUnixTimestamp64Milli(scored_at) - toUnixTimestamp64Milli(append_time))
                                                                          AS latency_ms_avg
FROM prediction_log FINAL
WHERE reason = ''
GROUP BY pipeline, model_version, minute
SETTINGS do_not_merge_across_partitions_select_final = 1;
