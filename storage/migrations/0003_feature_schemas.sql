-- Rows of one schema_hash are equal, so any of them will do.
CREATE TABLE IF NOT EXISTS feature_schemas
(
    schema_hash String,
    names       Array(String),
    definition  String CODEC(ZSTD(1)),
    logged_at   DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = ReplacingMergeTree(logged_at)
ORDER BY schema_hash;

-- SELECT event_id, score, feature['amount'] FROM predictions_by_name
CREATE VIEW IF NOT EXISTS predictions_by_name AS
SELECT log.pipeline AS pipeline, log.source_topic AS source_topic,
       log.source_partition AS source_partition, log.source_offset AS source_offset,
       log.event_id AS event_id, log.entity AS entity, log.event_time AS event_time,
       log.append_time AS append_time, log.score AS score, log.decision AS decision,
       log.model_version AS model_version,
       mapFromArrays(named.names, log.features) AS feature,
       log.scored_at AS scored_at, log.source_topic_id AS source_topic_id
FROM predictions AS log
INNER JOIN
(
    SELECT schema_hash, any(names) AS names FROM feature_schemas GROUP BY schema_hash
) AS named ON named.schema_hash = log.schema_hash;
