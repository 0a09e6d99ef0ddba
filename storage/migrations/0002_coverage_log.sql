-- Which source offsets [covers_from, covers_to) the log has answered for. Coverage is a union of
-- intervals, so rows may repeat and overlap; runs are merged before they are written and when read.
CREATE TABLE IF NOT EXISTS coverage_log
(
    pipeline         LowCardinality(String),
    source_topic     LowCardinality(String),
    source_topic_id  LowCardinality(String),
    source_partition Int32,
    covers_from      Int64                CODEC(DoubleDelta, ZSTD(1)),
    covers_to        Int64                CODEC(DoubleDelta, ZSTD(1)),
    -- The server's clock, not the writer's: compaction relies on it.
    logged_at        DateTime64(3, 'UTC') DEFAULT now64(3) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplacingMergeTree(logged_at)
ORDER BY (pipeline, source_topic_id, source_partition, covers_from, covers_to)
TTL toDateTime(logged_at) + INTERVAL 30 DAY;
