"""Consumer groups and their committed offsets."""

from deploy.local.broker.protocol.tables import api

OFFSET_COMMIT = api(
    8,
    "OffsetCommit",
    versions=(2, 8),
    flexible=8,
    request="""
    group_id string
    generation_id_or_member_epoch int32 = -1
    member_id string
    group_instance_id string v7+ null = null
    retention_time_ms int64 v2-4 = -1
    topics []
        name string
        partitions []
            partition_index int32
            committed_offset int64
            committed_leader_epoch int32 v6+ = -1
            committed_metadata string null
    """,
    response="""
    throttle_time_ms int32 v3+
    topics []
        name string
        partitions []
            partition_index int32
            error_code int16
    """,
)

OFFSET_FETCH = api(
    9,
    "OffsetFetch",
    versions=(1, 7),
    flexible=6,
    request="""
    group_id string
    topics [] null v2+
        name string
        partition_indexes []int32
    require_stable bool v7+
    """,
    response="""
    throttle_time_ms int32 v3+
    topics []
        name string
        partitions []
            partition_index int32
            committed_offset int64
            committed_leader_epoch int32 v5+ = -1
            metadata string null
            error_code int16
    error_code int16 v2+
    """,
)

FIND_COORDINATOR = api(
    10,
    "FindCoordinator",
    versions=(0, 3),
    flexible=3,
    request="""
    key string
    key_type int8 v1+
    """,
    response="""
    throttle_time_ms int32 v1+
    error_code int16
    error_message string v1+ null
    node_id int32
    host string
    port int32
    """,
)

JOIN_GROUP = api(
    11,
    "JoinGroup",
    versions=(2, 7),
    flexible=6,
    request="""
    group_id string
    session_timeout_ms int32
    rebalance_timeout_ms int32 = -1
    member_id string
    group_instance_id string v5+ null = null
    protocol_type string
    protocols []
        name string
        metadata bytes
    """,
    response="""
    throttle_time_ms int32
    error_code int16
    generation_id int32 = -1
    protocol_type string v7+ null = null
    protocol_name string null v7+
    leader string
    member_id string
    members []
        member_id string
        group_instance_id string v5+ null = null
        metadata bytes
    """,
)

HEARTBEAT = api(
    12,
    "Heartbeat",
    versions=(0, 4),
    flexible=4,
    request="""
    group_id string
    generation_id int32
    member_id string
    group_instance_id string v3+ null = null
    """,
    response="""
    throttle_time_ms int32 v1+
    error_code int16
    """,
)

LEAVE_GROUP = api(
    13,
    "LeaveGroup",
    versions=(0, 5),
    flexible=4,
    request="""
    group_id string
    member_id string v0-2
    members [] v3+
        member_id string
        group_instance_id string null = null
        reason string v5+ null = null
    """,
    response="""
    throttle_time_ms int32 v1+
    error_code int16
    members [] v3+
        member_id string
        group_instance_id string null
        error_code int16
    """,
)

SYNC_GROUP = api(
    14,
    "SyncGroup",
    versions=(0, 5),
    flexible=4,
    request="""
    group_id string
    generation_id int32
    member_id string
    group_instance_id string v3+ null = null
    protocol_type string v5+ null = null
    protocol_name string v5+ null = null
    assignments []
        member_id string
        assignment bytes
    """,
    response="""
    throttle_time_ms int32 v1+
    error_code int16
    protocol_type string v5+ null = null
    protocol_name string v5+ null = null
    assignment bytes
    """,
)

DESCRIBE_GROUPS = api(
    15,
    "DescribeGroups",
    versions=(0, 5),
    flexible=5,
    request="""
    groups []string
    include_authorized_operations bool v3+
    """,
    response="""
    throttle_time_ms int32 v1+
    groups []
        error_code int16
        group_id string
        group_state string
        protocol_type string
        protocol_data string
        members []
            member_id string
            group_instance_id string v4+ null = null
            client_id string
            client_host string
            member_metadata bytes
            member_assignment bytes
        authorized_operations int32 v3+ = -2147483648
    """,
)

LIST_GROUPS = api(
    16,
    "ListGroups",
    versions=(0, 5),
    flexible=3,
    request="""
    states_filter []string v4+
    types_filter []string v5+
    """,
    response="""
    throttle_time_ms int32 v1+
    error_code int16
    groups []
        group_id string
        protocol_type string
        group_state string v4+
        group_type string v5+
    """,
)

DELETE_GROUPS = api(
    42,
    "DeleteGroups",
    versions=(0, 2),
    flexible=2,
    request="""
    groups_names []string
    """,
    response="""
    throttle_time_ms int32
    results []
        group_id string
        error_code int16
    """,
)

OFFSET_DELETE = api(
    47,
    "OffsetDelete",
    versions=(0, 0),
    flexible=None,
    request="""
    group_id string
    topics []
        name string
        partitions []
            partition_index int32
    """,
    response="""
    error_code int16
    throttle_time_ms int32
    topics []
        name string
        partitions []
            partition_index int32
            error_code int16
    """,
)
