"""What a deployment is doing: processes, topics with end offsets, how far each stage is behind."""

from collections.abc import Iterable, Mapping

import msgspec
from confluent_kafka import KafkaException

from deploy.local.stages import stages_of
from deploy.local.state import ProcessInfo, StackState
from schemas.errors import ThalwegError
from schemas.kafka_settings import KafkaSettings
from schemas.pipeline import list_pipelines
from schemas.settings import Settings
from schemas.topics import PIPELINE_TOPICS, SHARED_TOPICS, Topic, TopicNames, shared_name


class TopicStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`end_offset` is the sum over `end_offsets`, one per partition."""

    name: str
    partitions: int
    end_offset: int
    end_offsets: list[int]


class StageLag(msgspec.Struct, frozen=True, kw_only=True):
    """Records between what the stage's group committed and the end, over all partitions."""

    pipeline: str
    stage: str
    group: str
    lag: int


class StackStatus(msgspec.Struct, frozen=True, kw_only=True):
    """`running`: a local stack runs; `reachable`: Kafka answered, `problem` says why it did not.

    `broker` says what kind of broker the stack has, for people; empty where that is not known.
    """

    data_dir: str
    running: bool
    reachable: bool
    bootstrap_servers: str
    clickhouse_url: str
    broker: str = ""
    processes: tuple[ProcessInfo, ...] = ()
    topics: list[TopicStatus] = []
    lag: list[StageLag] = []
    problem: str = ""


def gather(settings: Settings, stack: StackState | None) -> StackStatus:
    """The status of the deployment `settings` point at; a silent broker is part of it, no error."""
    servers = settings.kafka.bootstrap_servers
    found = StackStatus(
        data_dir=str(settings.data_dir),
        running=stack is not None,
        reachable=False,
        bootstrap_servers=servers,
        clickhouse_url=settings.clickhouse.url,
        broker=stack.broker if stack and stack.bootstrap_servers == servers else "",
        processes=stack.processes if stack else (),
    )
    if stack is None and "bootstrap_servers" not in settings.kafka.model_fields_set:
        return found
    pipelines = list_pipelines(settings.store)
    try:
        topics = topic_status(settings.kafka, pipelines)
        lag = stage_lag(settings.kafka, pipelines, stages_of(settings))
    except (ThalwegError, KafkaException, TimeoutError) as error:
        return msgspec.structs.replace(
            found, problem=f"Kafka at {servers} does not answer: {error}"
        )
    return msgspec.structs.replace(found, reachable=True, topics=topics, lag=lag)


def topic_status(kafka: KafkaSettings, pipelines: Iterable[str]) -> list[TopicStatus]:
    """The topics of `pipelines` that exist, then those that all pipelines share."""
    from stream_processors.topics import describe, end_offsets

    names = [
        TopicNames(pipeline, kafka.topic_prefix).of(topic)
        for pipeline in pipelines
        for topic in PIPELINE_TOPICS
    ]
    names += [shared_name(topic, kafka.topic_prefix) for topic in SHARED_TOPICS]
    topics = describe(kafka, names)
    ends = end_offsets(kafka, topics.values())
    return [
        TopicStatus(
            name=name,
            partitions=topic.n_partitions,
            end_offset=sum(ends[name, each] for each in range(topic.n_partitions)),
            end_offsets=[ends[name, each] for each in range(topic.n_partitions)],
        )
        for name, topic in topics.items()
    ]


def stage_lag(
    kafka: KafkaSettings, pipelines: Iterable[str], stages: Mapping[str, Topic]
) -> list[StageLag]:
    """How far the `stages`, each with its source, of `pipelines` are behind; what one never
    committed counts in full.
    """
    from stream_processors.topics import committed_offsets, describe, end_offsets

    wanted = [
        (names, stage, names.of(source))
        for names in (TopicNames(each, kafka.topic_prefix) for each in pipelines)
        for stage, source in stages.items()
    ]
    topics = describe(kafka, sorted({source for _, _, source in wanted}))
    wanted = [each for each in wanted if each[2] in topics]
    committed = [
        committed_offsets(kafka, names.group(stage), [topics[source]])
        for names, stage, source in wanted
    ]
    # Read after the commits, so that no stage seems to be ahead of the end.
    ends = end_offsets(kafka, topics.values())
    return [
        StageLag(
            pipeline=names.pipeline,
            stage=stage,
            group=names.group(stage),
            lag=sum(end - done.get(at, 0) for at, end in ends.items() if at[0] == source),
        )
        for (names, stage, source), done in zip(wanted, committed, strict=True)
    ]
