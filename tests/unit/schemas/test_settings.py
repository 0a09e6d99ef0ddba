"""Settings come from the mapping given and nowhere else; what does not exist is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.errors import ConfigurationError
from schemas.settings import Settings, load_settings, variable_name, walk

LEAVES = {path: info for path, info, _ in walk(Settings)}


def _at(settings: Settings, path: tuple[str, ...]) -> Any:
    value: Any = settings
    for name in path:
        value = getattr(value, name)
    return value


def _another_value(path: tuple[str, ...], tmp_path: Path) -> str:
    """A valid value of a setting that differs from its default."""
    given = {
        "security_protocol": "SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "bootstrap_servers": "a:1,b:2",
        "url": "https://clickhouse.example:8443",
        "provider": "cuda",
        "level": "debug",
        "format": "json",
        "pipeline": "payments",
        "data_dir": str(tmp_path / "data"),
    }
    name, default = path[-1], LEAVES[path].default
    if path[0] == "retraining":
        given = {"level": "notice", "harm": "none", "measure": "brier", "severe_harm": "0.5"}
    if name.startswith("ssl_") and name.endswith("_file"):
        file = tmp_path / "some.pem"
        file.touch()
        return str(file)
    if name in given:
        return given[name]
    if default is None:  # the rest of them are paths
        return str(tmp_path / name)
    if isinstance(default, bool):
        return str(not default).lower()
    if isinstance(default, int | float):
        share = any(getattr(bound, "le", None) == 1 for bound in LEAVES[path].metadata)
        return str(default / 2 if share else default + 1)
    return "another"


@pytest.mark.parametrize("path", LEAVES, ids=variable_name)
def test_every_setting_can_be_set(path: tuple[str, ...], tmp_path: Path) -> None:
    value = _another_value(path, tmp_path)
    environ = {variable_name(path): value}
    if path[-1] in ("ssl_certificate_file", "ssl_key_file"):
        environ["THALWEG_KAFKA__SSL_CERTIFICATE_FILE"] = value
        environ["THALWEG_KAFKA__SSL_KEY_FILE"] = value
    found = _at(load_settings(environ), path)
    assert found != _at(load_settings({}), path)
    assert str(found).lower() == value.lower()


@pytest.mark.parametrize("path", LEAVES, ids=variable_name)
def test_every_setting_is_explained(path: tuple[str, ...]) -> None:
    assert LEAVES[path].description


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("THALWEG_KAKFA__BOOTSTRAP_SERVERS", "THALWEG_KAFKA__BOOTSTRAP_SERVERS"),
        ("THALWEG_KAFKA_PARTITIONS", "THALWEG_KAFKA__PARTITIONS"),
        ("thalweg_log__block_max_row", "THALWEG_LOG__BLOCK_MAX_ROWS"),
        ("THALWEG_PIPELINE__NAME", "THALWEG_PIPELINE"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(name: str, suggestion: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings({name: "1"})
    assert f"unknown setting {name}: did you mean {suggestion}?" in str(caught.value)


def test_all_unknown_names_are_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"(?s)THALWEG_A\b.*THALWEG_B\b"):
        load_settings({"THALWEG_A": "1", "THALWEG_B": "1"})


def test_an_unknown_name_inside_a_json_section_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean THALWEG_KAFKA__BOOTSTRAP_SERVERS"):
        load_settings({"THALWEG_KAFKA": '{"bootstrap_server": "a:1"}'})


@pytest.mark.parametrize("text", ['{"partitions"', "[1]", "5"])
def test_a_section_that_is_no_json_object_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"(?i)kafka"):
        load_settings({"THALWEG_KAFKA": text})


def test_a_single_variable_wins_over_its_json_section() -> None:
    section = json.dumps({"bootstrap_servers": "a:1", "partitions": 3})
    kafka = load_settings({"THALWEG_KAFKA": section, "THALWEG_KAFKA__PARTITIONS": "7"}).kafka
    assert (kafka.bootstrap_servers, kafka.partitions) == ("a:1", 7)


def test_case_does_not_matter() -> None:
    assert load_settings({"thalweg_Kafka__partitions": "7"}).kafka.partitions == 7


def test_an_empty_value_counts_as_not_given() -> None:
    environ = {"THALWEG_MODEL_STORE": "", "THALWEG_PIPELINE": "", "THALWEG_KAFKA__PARTITIONS": ""}
    assert load_settings(environ) == load_settings({})


def test_only_the_mapping_given_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THALWEG_PIPELINE", "from-the-process")
    assert load_settings({}).pipeline == Settings().pipeline == "fraud"
    assert load_settings({"THALWEG_PIPELINE": "given"}).pipeline == "given"
    assert load_settings().pipeline == "from-the-process"


def test_overrides_win_field_by_field() -> None:
    environ = {"THALWEG_KAFKA__BOOTSTRAP_SERVERS": "a:1", "THALWEG_KAFKA__PARTITIONS": "7"}
    settings = load_settings(environ, kafka={"bootstrap_servers": "b:2"}, pipeline="payments")
    assert (settings.kafka.bootstrap_servers, settings.kafka.partitions) == ("b:2", 7)
    assert settings.pipeline == "payments"


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="did you mean THALWEG_PIPELINE"):
        load_settings({}, pipelin="payments")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THALWEG_KAFKA__PARTITIONS", "0"),
        ("THALWEG_KAFKA__PARTITIONS", "many"),
        ("THALWEG_PIPELINE", "Not A Name"),
        ("THALWEG_CLICKHOUSE__URL", "localhost:8123"),
        ("THALWEG_CLICKHOUSE__URL", "http://"),
        ("THALWEG_SCORING__PROVIDER", "tpu"),
        ("THALWEG_KAFKA__SSL_CA_FILE", "/does/not/exist.pem"),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}: "):
        load_settings({name: value})


def test_all_refused_values_are_said_at_once() -> None:
    environ = {"THALWEG_KAFKA__PARTITIONS": "0", "THALWEG_METRICS_PORT": "70000"}
    with pytest.raises(ConfigurationError, match=r"(?s)METRICS_PORT.*PARTITIONS"):
        load_settings(environ)


def test_settings_are_frozen() -> None:
    settings = load_settings({})
    with pytest.raises(ValidationError, match="frozen"):
        settings.pipeline = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.kafka.partitions = 1  # type: ignore[misc]


def test_passwords_show_neither_in_settings_nor_in_errors() -> None:
    secret = "hunter2"
    names = [path for path in LEAVES if path[-1].endswith("password")]
    assert names
    environ = {variable_name(path): secret for path in names}
    assert secret not in repr(load_settings(environ)) + str(load_settings(environ))
    environ["THALWEG_KAFKA__SECURITY_PROTOCOL"] = "SASL_SSL"  # refused: it needs a user
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    assert secret not in str(caught.value) + str(caught.value.__cause__)
    with pytest.raises(ConfigurationError) as caught:
        load_settings({"THALWEG_CLICKHOUSE__URL": f"http://default:{secret}@host:8123"})
    assert secret not in str(caught.value) + str(caught.value.__cause__)


def test_folders_are_the_same_from_every_working_directory() -> None:
    settings = load_settings({"THALWEG_DATA_DIR": "~/data", "THALWEG_MODEL_STORE": "models"})
    assert settings.data_dir == Path.home() / "data"
    assert settings.store == Path.cwd() / "models"


def test_models_lie_in_the_data_directory_unless_said_otherwise() -> None:
    settings = load_settings({"THALWEG_DATA_DIR": "/data"})
    assert settings.store == Path("/data/models")
