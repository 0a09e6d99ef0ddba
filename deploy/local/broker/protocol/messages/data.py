"""Records and where they are: produce, fetch, offsets, metadata, versions."""

from deploy.local.broker.protocol.tables import api

PRODUCE = api(
    0,
    "Produce",
    versions=(3, 9),
    flexible=9,
    request="""
    transactional_id string null = null
    acks int16
    timeout_ms int32
    topic_data []
        name string
        partition_data []
            index int32
            records records
    """,
    response="""
    responses []
        name string
        partition_responses []
            index int32
            error_code int16
            base_offset int64
            log_append_time_ms int64 = -1
            log_start_offset int64 v5+ = -1
            record_errors [] v8+
                batch_index int32
                batch_index_error_message string null = null
            error_message string v8+ null = null
    throttle_time_ms int32
    """,
)

FETCH = api(
    1,
    "Fetch",
    versions=(4, 12),
    flexible=12,
    request="""
    cluster_id string v12+ null = null tag 0
    replica_id int32 = -1
    max_wait_ms int32
    min_bytes int32
    max_bytes int32 = 2147483647
    isolation_level int8
    session_id int32 v7+
    session_epoch int32 v7+ = -1
    topics []
        topic string
        partitions []
            partition int32
            current_leader_epoch int32 v9+ = -1
            fetch_offset int64
            last_fetched_epoch int32 v12+ = -1
            log_start_offset int64 v5+ = -1
            partition_max_bytes int32
    forgotten_topics_data [] v7+
        topic string
        partitions []int32
    rack_id string v11+
    """,
    response="""
    throttle_time_ms int32
    error_code int16 v7+
    session_id int32 v7+
    responses []
        topic string
        partitions []
            partition_index int32
            error_code int16
            high_watermark int64
            last_stable_offset int64 = -1
            log_start_offset int64 v5+ = -1
            diverging_epoch {} v12+ tag 0
                epoch int32 = -1
                end_offset int64 = -1
            current_leader {} v12+ tag 1
                leader_id int32 = -1
                leader_epoch int32 = -1
            snapshot_id {} v12+ tag 2
                end_offset int64 = -1
                epoch int32 = -1
            aborted_transactions [] null
                producer_id int64
                first_offset int64
            preferred_read_replica int32 v11+ = -1
            records records
    """,
)

LIST_OFFSETS = api(
    2,
    "ListOffsets",
    versions=(1, 7),
    flexible=6,
    request="""
    replica_id int32
    isolation_level int8 v2+
    topics []
        name string
        partitions []
            partition_index int32
            current_leader_epoch int32 v4+ = -1
            timestamp int64
    """,
    response="""
    throttle_time_ms int32 v2+
    topics []
        name string
        partitions []
            partition_index int32
            error_code int16
            timestamp int64 = -1
            offset int64 = -1
            leader_epoch int32 v4+ = -1
    """,
)

METADATA = api(
    3,
    "Metadata",
    versions=(0, 12),
    flexible=9,
    request="""
    topics [] null v1+
        topic_id uuid v10+
        name string null v10+
    allow_auto_topic_creation bool v4+ = true
    include_cluster_authorized_operations bool v8-10
    include_topic_authorized_operations bool v8+
    """,
    response="""
    throttle_time_ms int32 v3+
    brokers []
        node_id int32
        host string
        port int32
        rack string v1+ null = null
    cluster_id string v2+ null = null
    controller_id int32 v1+ = -1
    topics []
        error_code int16
        name string null v12+
        topic_id uuid v10+
        is_internal bool v1+
        partitions []
            error_code int16
            partition_index int32
            leader_id int32
            leader_epoch int32 v7+ = -1
            replica_nodes []int32
            isr_nodes []int32
            offline_replicas []int32 v5+
        topic_authorized_operations int32 v8+ = -2147483648
    cluster_authorized_operations int32 v8-10 = -2147483648
    """,
)

API_VERSIONS = api(
    18,
    "ApiVersions",
    versions=(0, 3),
    flexible=3,
    request="""
    client_software_name string v3+
    client_software_version string v3+
    """,
    response="""
    error_code int16
    api_keys []
        api_key int16
        min_version int16
        max_version int16
    throttle_time_ms int32 v1+
    supported_features [] v3+ tag 0
        name string
        min_version int16
        max_version int16
    finalized_features_epoch int64 v3+ = -1 tag 1
    finalized_features [] v3+ tag 2
        name string
        max_version_level int16
        min_version_level int16
    zk_migration_ready bool v3+ tag 3
    """,
)

OFFSET_FOR_LEADER_EPOCH = api(
    23,
    "OffsetForLeaderEpoch",
    versions=(2, 4),
    flexible=4,
    request="""
    replica_id int32 v3+ = -2
    topics []
        topic string
        partitions []
            partition int32
            current_leader_epoch int32 = -1
            leader_epoch int32
    """,
    response="""
    throttle_time_ms int32
    topics []
        topic string
        partitions []
            error_code int16
            partition int32
            leader_epoch int32 = -1
            end_offset int64 = -1
    """,
)
