-- What turned out to be true of an event. The latest label_time shows, whatever the order of
-- inserts; of one millisecond a positive one, then a fixed choice among sources.
CREATE TABLE IF NOT EXISTS label_log
(
    pipeline    LowCardinality(String),
    event_id    String                 CODEC(ZSTD(1)),
    label       Float32                CODEC(ZSTD(1)),
    label_time  DateTime64(3, 'UTC')   CODEC(ZSTD(1)),
    source      String                 CODEC(ZSTD(1)),
    append_time DateTime64(3, 'UTC')   CODEC(ZSTD(1)),
    inserted_at DateTime64(3, 'UTC')   DEFAULT now64(3) CODEC(ZSTD(1)),
    -- 2208988800000: label_time is in 1900 to 2299, so this is 44 bits from 0 on.
    precedence  UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(toUnixTimestamp64Milli(label_time) + 2208988800000), 20)
        + bitShiftLeft(toUInt64(label > 0), 19)
        + (cityHash64(source) % 524288)
        CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, event_id)
-- Read by lists of event ids, each of which costs a granule.
SETTINGS index_granularity = 256;

CREATE VIEW IF NOT EXISTS labels AS
SELECT pipeline, event_id, label, label_time, source, append_time, inserted_at
FROM label_log FINAL;

-- Every prediction whose label has come, whatever the delay: an event that was scored twice is two
-- rows, each with the label. A label whose prediction has not come waits in label_log.
CREATE VIEW IF NOT EXISTS labelled_predictions AS
SELECT scored.pipeline AS pipeline, scored.source_topic AS source_topic,
       scored.source_partition AS source_partition, scored.source_offset AS source_offset,
       scored.event_id AS event_id, scored.entity AS entity, scored.event_time AS event_time,
       scored.append_time AS append_time, scored.score AS score, scored.decision AS decision,
       scored.model_version AS model_version, scored.features AS features,
       scored.schema_hash AS schema_hash, scored.source_topic_id AS source_topic_id,
       truth.label AS label, truth.label_time AS label_time, truth.source AS label_source
FROM predictions AS scored
INNER JOIN labels AS truth
    ON truth.pipeline = scored.pipeline AND truth.event_id = scored.event_id;

-- What follows says what has changed, so that a measurement reads the windows that new labels and
-- new predictions touch and not the whole log. It only ever names windows to look at again: that a
-- replay names one twice does no harm.

-- Labels in the order they came: in label_log they lie by event id.
CREATE TABLE IF NOT EXISTS label_arrivals
(
    pipeline    LowCardinality(String),
    inserted_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    event_id    String               CODEC(ZSTD(1))
)
ENGINE = MergeTree
ORDER BY (pipeline, inserted_at)
TTL toDateTime(inserted_at) + INTERVAL 30 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS label_arrivals_filled TO label_arrivals AS
SELECT pipeline, inserted_at, event_id FROM label_log;

-- When an event was and who scored it, by event id: in prediction_log they lie by source offset.
-- Labels of what was logged before there was this table change no window that was measured.
CREATE TABLE IF NOT EXISTS prediction_events
(
    pipeline      LowCardinality(String),
    event_id      String                 CODEC(ZSTD(1)),
    event_time    DateTime64(3, 'UTC')   CODEC(ZSTD(1)),
    model_version LowCardinality(String),
    append_time   DateTime64(3, 'UTC')   CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
ORDER BY (pipeline, event_id, event_time, model_version)
SETTINGS index_granularity = 256;

CREATE MATERIALIZED VIEW IF NOT EXISTS prediction_events_filled TO prediction_events AS
SELECT pipeline, event_id, event_time, model_version, append_time
FROM prediction_log WHERE reason = '';

-- A window of event time, and what was logged since, without reading the rest. For rows that were
-- logged before there were these indexes, OPTIMIZE TABLE prediction_log builds them.
ALTER TABLE prediction_log ADD INDEX IF NOT EXISTS event_time_range event_time TYPE minmax GRANULARITY 1;
ALTER TABLE prediction_log ADD INDEX IF NOT EXISTS logged_at_range logged_at TYPE minmax GRANULARITY 1;
