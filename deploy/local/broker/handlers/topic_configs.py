"""Options described and changed: those of topics may be set, those of this broker only read."""

from collections import Counter
from collections.abc import Callable, Mapping
from enum import IntEnum

from deploy.local.broker.configs import topic_config
from deploy.local.broker.errors import Code, RefusedError
from deploy.local.broker.node import NODE_ID, Node
from deploy.local.broker.options import OPTIONS, ConfigType, list_of
from deploy.local.broker.protocol.messages.admin import (
    ALTER_CONFIGS,
    DESCRIBE_CONFIGS,
    INCREMENTAL_ALTER_CONFIGS,
)
from deploy.local.broker.protocol.wire import Message
from deploy.local.broker.requests import Handler, Request
from deploy.local.broker.topics import check_name

_TOPIC, _BROKER = 2, 4


class _Source(IntEnum):
    """Where a value comes from (Kafka's DescribeConfigsResponse.ConfigSource)."""

    DYNAMIC_TOPIC_CONFIG = 1
    STATIC_BROKER_CONFIG = 4
    DEFAULT_CONFIG = 5


class _Operation(IntEnum):
    """What an incremental change does (KIP-339)."""

    SET = 0
    DELETE = 1
    APPEND = 2
    SUBTRACT = 3


def described(overrides: Mapping[str, str]) -> list[Message]:
    """Every topic option with its value, its type, and the values behind it (synonyms)."""
    return [_option(name, overrides.get(name)) for name in OPTIONS]


def _option(name: str, override: str | None) -> Message:
    option = OPTIONS[name]
    synonyms = []
    if override is not None:
        synonyms.append(_synonym(name, override, _Source.DYNAMIC_TOPIC_CONFIG))
    if option.broker_name is not None:
        synonyms.append(_synonym(option.broker_name, option.default, _Source.DEFAULT_CONFIG))
    return {
        "name": name,
        "value": option.default if override is None else override,
        "config_source": (
            _Source.DEFAULT_CONFIG if override is None else _Source.DYNAMIC_TOPIC_CONFIG
        ),
        "config_type": option.type,
        "synonyms": synonyms,
        "documentation": None,
    }


def _synonym(name: str, value: str, source: _Source) -> Message:
    return {"name": name, "value": value, "source": source}


def _broker_options(node: Node, reached_at: tuple[str, int]) -> list[Message]:
    """What this broker was started with, by Kafka's names."""
    options = node.options
    listener = "PLAINTEXT://{}:{}".format(*reached_at)
    auto_create = str(options.auto_create_topics).lower()
    rows = (
        ("advertised.listeners", listener, ConfigType.STRING),
        ("auto.create.topics.enable", auto_create, ConfigType.BOOLEAN),
        ("default.replication.factor", "1", ConfigType.INT),
        ("group.initial.rebalance.delay.ms", str(options.rebalance_delay_ms), ConfigType.INT),
        ("log.dirs", str(options.data_dir), ConfigType.LIST),
        ("node.id", str(NODE_ID), ConfigType.INT),
        ("num.partitions", str(options.default_partitions), ConfigType.INT),
    )
    return [
        {
            "name": name,
            "value": value,
            "read_only": True,
            "config_source": _Source.STATIC_BROKER_CONFIG,
            "config_type": kind,
            "synonyms": [_synonym(name, value, _Source.STATIC_BROKER_CONFIG)],
            "documentation": None,
        }
        for name, value, kind in rows
    ]


def describe_configs(node: Node, request: Request) -> Message:
    """The options of topics and of this broker; `configuration_keys` narrows them."""
    body = request.body
    results = []
    for resource in body["resources"]:
        answer = _answer(resource)
        try:
            answer["configs"] = _configs(node, request, resource)
        except RefusedError as refused:
            answer |= _refusal(refused)
        results.append(answer)
    return {"results": results}


def _configs(node: Node, request: Request, resource: Message) -> list[Message]:
    kind, name, keys = (
        resource["resource_type"],
        resource["resource_name"],
        resource["configuration_keys"],
    )
    if kind == _TOPIC:
        check_name(name)
        configs = described(node.topics.named(name).overrides)
    elif kind == _BROKER:
        # The empty name asks for what was set for all brokers: nothing can be, here.
        configs = _broker_options(node, request.reached_at) if _names_this_broker(name) else []
    else:
        raise RefusedError(Code.INVALID_REQUEST, f"Unsupported resource type: {kind}")
    return [
        config if request.body["include_synonyms"] else config | {"synonyms": []}
        for config in configs
        if not keys or config["name"] in keys
    ]


def _names_this_broker(name: str) -> bool:
    if name not in ("", str(NODE_ID)):
        raise RefusedError(
            Code.INVALID_REQUEST,
            f"Unexpected broker id, expected {NODE_ID} or empty string, but received {name}",
        )
    return bool(name)


def alter_configs(node: Node, request: Request) -> Message:
    """Replace all options that were set for a topic; what is not named goes to its default."""

    def replaced(_: Mapping[str, str], configs: list[Message]) -> dict[str, str]:
        _check_values(configs)
        return {config["name"]: config["value"] for config in configs}

    return _alter(node, request, replaced)


def incremental_alter_configs(node: Node, request: Request) -> Message:
    """Change single options of a topic: set, back to the default, add to a list, take from it."""

    def changed(overrides: Mapping[str, str], configs: list[Message]) -> dict[str, str]:
        _check_values([c for c in configs if c["config_operation"] != _Operation.DELETE])
        result = dict(overrides)
        for config in configs:
            _change(result, config["name"], config["config_operation"], config["value"])
        return result

    return _alter(node, request, changed)


def _alter(
    node: Node,
    request: Request,
    new_overrides: Callable[[Mapping[str, str], list[Message]], dict[str, str]],
) -> Message:
    body = request.body
    times = Counter((r["resource_type"], r["resource_name"]) for r in body["resources"])
    responses = []
    for resource in body["resources"]:
        kind, name = resource["resource_type"], resource["resource_name"]
        answer = _answer(resource)
        try:
            if times[kind, name] > 1:
                raise RefusedError(Code.INVALID_REQUEST, "Each resource must appear at most once.")
            _check_alterable(kind)
            check_name(name)
            _check_once(resource["configs"])
            topic = node.topics.named(name)
            overrides = new_overrides(topic.overrides, resource["configs"])
            if body["validate_only"]:
                topic_config(overrides)
            else:
                node.topics.configure(name, overrides)
        except RefusedError as refused:
            answer |= _refusal(refused)
        responses.append(answer)
    return {"responses": responses}


def _check_alterable(kind: int) -> None:
    if kind == _BROKER:
        raise RefusedError(
            Code.INVALID_REQUEST, "the options of this broker are given where it is started"
        )
    if kind != _TOPIC:
        raise RefusedError(Code.INVALID_REQUEST, f"Unsupported resource type: {kind}")


def _check_once(configs: list[Message]) -> None:
    if len({config["name"] for config in configs}) < len(configs):
        raise RefusedError(Code.INVALID_REQUEST, "Error due to duplicate config keys")


def _check_values(configs: list[Message]) -> None:
    without = [config["name"] for config in configs if config["value"] is None]
    if without:
        raise RefusedError(
            Code.INVALID_REQUEST, f"Null value not supported for : {','.join(without)}"
        )


def _change(overrides: dict[str, str], name: str, operation: int, value: str) -> None:
    if operation == _Operation.SET:
        overrides[name] = value
    elif operation == _Operation.DELETE:
        overrides.pop(name, None)
    elif operation in (_Operation.APPEND, _Operation.SUBTRACT):
        if name not in OPTIONS or OPTIONS[name].type != ConfigType.LIST:
            raise RefusedError(
                Code.INVALID_CONFIG,
                f"Can't {_Operation(operation).name} to key {name} because its type is not LIST.",
            )
        overrides[name] = _list_changed(
            overrides.get(name, OPTIONS[name].default), value, _Operation(operation)
        )
    else:
        raise RefusedError(Code.INVALID_REQUEST, f"Unknown operation type {operation}")


def _list_changed(old: str, value: str, operation: _Operation) -> str:
    parts, given = list_of(old), list_of(value)
    if operation == _Operation.APPEND:
        return ",".join(parts + [part for part in given if part not in parts])
    return ",".join(part for part in parts if part not in given)


def _answer(resource: Message) -> Message:
    return {
        "resource_type": resource["resource_type"],
        "resource_name": resource["resource_name"],
        "error_message": None,
    }


def _refusal(refused: RefusedError) -> Message:
    return {"error_code": refused.code, "error_message": refused.message or None}


HANDLERS: dict[int, Handler] = {
    DESCRIBE_CONFIGS.key: describe_configs,
    ALTER_CONFIGS.key: alter_configs,
    INCREMENTAL_ALTER_CONFIGS.key: incremental_alter_configs,
}
