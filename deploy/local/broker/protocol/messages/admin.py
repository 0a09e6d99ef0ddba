"""Topics, their partitions and their configuration."""

from deploy.local.broker.protocol.tables import api

CREATE_TOPICS = api(
    19,
    "CreateTopics",
    versions=(2, 7),
    flexible=5,
    request="""
    topics []
        name string
        num_partitions int32
        replication_factor int16
        assignments []
            partition_index int32
            broker_ids []int32
        configs []
            name string
            value string null
    timeout_ms int32 = 60000
    validate_only bool
    """,
    response="""
    throttle_time_ms int32
    topics []
        name string
        topic_id uuid v7+
        error_code int16
        error_message string null
        topic_config_error_code int16 v5+ tag 0
        num_partitions int32 v5+ = -1
        replication_factor int16 v5+ = -1
        configs [] v5+ null
            name string
            value string null
            read_only bool
            config_source int8 = -1
            is_sensitive bool
    """,
)

DELETE_TOPICS = api(
    20,
    "DeleteTopics",
    versions=(1, 6),
    flexible=4,
    request="""
    topics [] v6+
        name string null = null
        topic_id uuid
    topic_names []string v0-5
    timeout_ms int32
    """,
    response="""
    throttle_time_ms int32
    responses []
        name string null v6+
        topic_id uuid v6+
        error_code int16
        error_message string v5+ null = null
    """,
)

CREATE_PARTITIONS = api(
    37,
    "CreatePartitions",
    versions=(0, 3),
    flexible=2,
    request="""
    topics []
        name string
        count int32
        assignments [] null
            broker_ids []int32
    timeout_ms int32
    validate_only bool
    """,
    response="""
    throttle_time_ms int32
    results []
        name string
        error_code int16
        error_message string null = null
    """,
)

DELETE_RECORDS = api(
    21,
    "DeleteRecords",
    versions=(0, 2),
    flexible=2,
    request="""
    topics []
        name string
        partitions []
            partition_index int32
            offset int64
    timeout_ms int32
    """,
    response="""
    throttle_time_ms int32
    topics []
        name string
        partitions []
            partition_index int32
            low_watermark int64
            error_code int16
    """,
)

DESCRIBE_CONFIGS = api(
    32,
    "DescribeConfigs",
    versions=(1, 4),
    flexible=4,
    request="""
    resources []
        resource_type int8
        resource_name string
        configuration_keys []string null
    include_synonyms bool
    include_documentation bool v3+
    """,
    response="""
    throttle_time_ms int32
    results []
        error_code int16
        error_message string null
        resource_type int8
        resource_name string
        configs []
            name string
            value string null
            read_only bool
            config_source int8 = -1
            is_sensitive bool
            synonyms []
                name string
                value string null
                source int8
            config_type int8 v3+
            documentation string v3+ null
    """,
)

ALTER_CONFIGS = api(
    33,
    "AlterConfigs",
    versions=(0, 2),
    flexible=2,
    request="""
    resources []
        resource_type int8
        resource_name string
        configs []
            name string
            value string null
    validate_only bool
    """,
    response="""
    throttle_time_ms int32
    responses []
        error_code int16
        error_message string null
        resource_type int8
        resource_name string
    """,
)

INCREMENTAL_ALTER_CONFIGS = api(
    44,
    "IncrementalAlterConfigs",
    versions=(0, 1),
    flexible=1,
    request="""
    resources []
        resource_type int8
        resource_name string
        configs []
            name string
            config_operation int8
            value string null
    validate_only bool
    """,
    response="""
    throttle_time_ms int32
    responses []
        error_code int16
        error_message string null
        resource_type int8
        resource_name string
    """,
)

DESCRIBE_CLUSTER = api(
    60,
    "DescribeCluster",
    versions=(0, 1),
    flexible=0,
    request="""
    include_cluster_authorized_operations bool
    endpoint_type int8 v1+ = 1
    """,
    response="""
    throttle_time_ms int32
    error_code int16
    error_message string null = null
    endpoint_type int8 v1+ = 1
    cluster_id string
    controller_id int32 = -1
    brokers []
        broker_id int32
        host string
        port int32
        rack string null = null
    cluster_authorized_operations int32 = -2147483648
    """,
)
