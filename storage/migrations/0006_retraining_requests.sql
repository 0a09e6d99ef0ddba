-- Every request for retraining, so that a model can be traced to the alerts that asked for it. The
-- first insert of a request_id shows: the same id again is the same request.
CREATE TABLE IF NOT EXISTS retraining_request_log
(
    pipeline         LowCardinality(String),
    request_id       String,
    champion_version LowCardinality(String),
    reason           String CODEC(ZSTD(1)),
    alert_ids        Array(String),
    training_from    DateTime64(3, 'UTC'), -- event time, as training_to
    training_to      DateTime64(3, 'UTC'),
    requested_at     DateTime64(3, 'UTC'),
    n_labelled_since Int64,
    inserted_at      DateTime64(3, 'UTC') DEFAULT now64(3),
    precedence       UInt64 MATERIALIZED
        bitShiftLeft(toUInt64(8796093022208 - toUnixTimestamp64Milli(inserted_at)), 20)
        + (cityHash64(tuple(requested_at, training_from, training_to, reason)) % 1048576)
)
ENGINE = ReplacingMergeTree(precedence)
ORDER BY (pipeline, request_id)
TTL toDateTime(inserted_at) + INTERVAL 1830 DAY;

CREATE VIEW IF NOT EXISTS retraining_requests AS
SELECT pipeline, request_id, champion_version, reason, alert_ids, training_from, training_to,
       requested_at, n_labelled_since, inserted_at
FROM retraining_request_log FINAL;
