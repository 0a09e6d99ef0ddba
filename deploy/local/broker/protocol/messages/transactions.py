"""Producer ids and transactions."""

from deploy.local.broker.protocol.tables import api

INIT_PRODUCER_ID = api(
    22,
    "InitProducerId",
    versions=(0, 4),
    flexible=2,
    request="""
    transactional_id string null
    transaction_timeout_ms int32
    producer_id int64 v3+ = -1
    producer_epoch int16 v3+ = -1
    """,
    response="""
    throttle_time_ms int32
    error_code int16
    producer_id int64 = -1
    producer_epoch int16
    """,
)

ADD_PARTITIONS_TO_TXN = api(
    24,
    "AddPartitionsToTxn",
    versions=(0, 3),
    flexible=3,
    request="""
    v3_and_below_transactional_id string
    v3_and_below_producer_id int64
    v3_and_below_producer_epoch int16
    v3_and_below_topics []
        name string
        partitions []int32
    """,
    response="""
    throttle_time_ms int32
    results_by_topic_v3_and_below []
        name string
        results_by_partition []
            partition_index int32
            partition_error_code int16
    """,
)

ADD_OFFSETS_TO_TXN = api(
    25,
    "AddOffsetsToTxn",
    versions=(0, 3),
    flexible=3,
    request="""
    transactional_id string
    producer_id int64
    producer_epoch int16
    group_id string
    """,
    response="""
    throttle_time_ms int32
    error_code int16
    """,
)

END_TXN = api(
    26,
    "EndTxn",
    versions=(0, 3),
    flexible=3,
    request="""
    transactional_id string
    producer_id int64
    producer_epoch int16
    committed bool
    """,
    response="""
    throttle_time_ms int32
    error_code int16
    """,
)

TXN_OFFSET_COMMIT = api(
    28,
    "TxnOffsetCommit",
    versions=(0, 3),
    flexible=3,
    request="""
    transactional_id string
    group_id string
    producer_id int64
    producer_epoch int16
    generation_id int32 v3+ = -1
    member_id string v3+
    group_instance_id string v3+ null = null
    topics []
        name string
        partitions []
            partition_index int32
            committed_offset int64
            committed_leader_epoch int32 v2+ = -1
            committed_metadata string null
    """,
    response="""
    throttle_time_ms int32
    topics []
        name string
        partitions []
            partition_index int32
            error_code int16
    """,
)
