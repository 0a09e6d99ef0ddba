"""What the documents say exists: settings, commands, dependencies, reasons, examples, links."""

import hashlib
import json
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from schemas.drift_events import (
    AlertKind,
    AlertLevel,
    AlertState,
    DriftAlert,
    RetrainingDecision,
    RetrainingRequest,
)
from schemas.errors import Reason
from schemas.features import FeatureSchema
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, ModelManifest
from schemas.pipeline import read_pipeline
from schemas.settings import Settings, variable_name, walk
from schemas.topics import DAY_MS, PIPELINE_TOPICS, SHARED_TOPICS
from tests.golden.write import FOLDER

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
BROKER = (ROOT / "docs" / "broker.md").read_text()
MESSAGES = (ROOT / "docs" / "messages.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {variable_name(path) for path, _, _ in walk(Settings)}
    known |= {variable_name((name,)) for name in Settings.model_fields}
    assert set(re.findall(r"THALWEG_\w*[A-Z0-9]", page.read_text())) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_command_in_the_readme_exists() -> None:
    from typer.main import get_command

    from thalweg.main import app

    commands = get_command(app).commands  # type: ignore[attr-defined]
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"^(?:.*`)?thalweg ([a-z][a-z-]+)", readme, re.MULTILINE))
    assert {"up", "bootstrap", "replay", "worker"} <= named
    assert named <= set(commands)


def test_the_readme_makes_a_pipeline_of_ones_own_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    schema = FeatureSchema.of_floats(["a"])
    files = {MODEL_FILE: b"onnx", GOLDEN_FILE: b"rows"}
    manifest = ModelManifest(
        version="1",
        pipeline="payments",
        sha256=hashlib.sha256(files[MODEL_FILE]).hexdigest(),
        golden_sha256=hashlib.sha256(files[GOLDEN_FILE]).hexdigest(),
        schema=schema,
        schema_hash=schema.hash,
        input_name="x",
        output_name="y",
        threshold=0.5,
    )
    (tmp_path / "my-model").mkdir()
    for name, content in (files | {MANIFEST_FILE: msgspec.json.encode(manifest)}).items():
        (tmp_path / "my-model" / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THALWEG_DATA_DIR", str(tmp_path / "data"))

    readme = (ROOT / "README.md").read_text()
    exec(re.findall(r"```python\n(.*?)```", readme, re.DOTALL)[0], {})

    pipeline = read_pipeline(tmp_path / "data" / "models", "payments")
    assert (pipeline.schema, pipeline.model) == (schema, manifest.sha256)


def test_every_dependency_is_accounted_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.split(r"[<>=]", each)[0] for group in groups for each in group}
    record = (ROOT / "docs" / "decisions" / "0004-dependencies.md").read_text()
    assert {name for name in names if not re.search(rf"\b{name}\b", record)} == set()


def test_every_reason_is_explained() -> None:
    table = MESSAGES.split("| reason |")[1].split("\n## ")[0]
    assert {f"`{reason}`" for reason in Reason} == set(
        re.findall(r"^\| (`[a-z_]+`) \|", table, re.MULTILINE)
    )


@pytest.mark.parametrize(
    ("section", "messages"),
    [
        ("drift-alerts", [DriftAlert]),
        ("retraining-requests", [RetrainingDecision, RetrainingRequest]),
    ],
)
def test_every_field_of_a_message_about_drift_is_explained(
    section: str, messages: list[type[msgspec.Struct]]
) -> None:
    text = MESSAGES.split(f"\n## `{section}`\n")[1].split("\n## ")[0]
    for message, table in zip(messages, text.split("| field | meaning |")[1:], strict=True):
        first_cells = re.findall(r"^\| (`[^|]+`) \|", table, re.MULTILINE)
        assert set(re.findall(r"`(\w+)`", " ".join(first_cells))) == set(message.__struct_fields__)


def test_every_state_level_and_kind_of_an_alert_is_named() -> None:
    text = MESSAGES.split("\n## `drift-alerts`\n")[1].split("\n## ")[0]
    for value in (*AlertState, *AlertLevel, *AlertKind):
        assert f"`{value}`" in text


def test_the_broker_page_lists_the_apis_and_versions_that_are_spoken() -> None:
    from deploy.local.broker.protocol.messages import APIS

    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+)(?: to (\d+))? \|$", BROKER, re.MULTILINE)
    listed = [(name, int(key), int(low), int(high or low)) for name, key, low, high in rows]

    assert listed == [(a.name, a.key, a.oldest, a.newest) for _, a in sorted(APIS.items())]


def test_the_broker_page_has_the_bounds_in_force() -> None:
    from deploy.local.broker import refusals
    from deploy.local.broker.groups import coordinator as groups
    from deploy.local.broker.groups.group import GroupOptions
    from deploy.local.broker.groups.offsets import MAX_METADATA
    from deploy.local.broker.limits import Limits, MiB
    from deploy.local.broker.log.cleaner import MAX_KEYS
    from deploy.local.broker.log.compression import MAX_BYTES
    from deploy.local.broker.options import OPTIONS
    from deploy.local.broker.protocol.wire import MAX_ITEMS
    from deploy.local.broker.topics import MAX_ALL_PARTITIONS, MAX_PARTITIONS

    limits = Limits()
    cells = re.findall(r"^\| ([a-z][^|]*) \| ([\d,]+(?: \w+)?)", BROKER, re.MULTILINE)

    assert dict(cells) == {
        "connections": f"{limits.connections:,}",
        "size of a request": f"{limits.request // MiB} MiB",
        "memory of requests and responses, all clients together": f"{limits.memory // MiB} MiB",
        "size of a fetch's response": f"{limits.fetch_response // MiB} MiB",
        "silence of a client": f"{limits.idle_s:.0f} s",
        "size of a record batch": f"{int(OPTIONS['max.message.bytes'].default):,} bytes",
        "partitions of a topic": f"{MAX_PARTITIONS:,}",
        "partitions of all topics together": f"{MAX_ALL_PARTITIONS:,}",
        "items (array elements, tagged fields) of one request": f"{MAX_ITEMS:,}",
        "groups": f"{groups.MAX_GROUPS:,}",
        "members of a group": f"{GroupOptions().max_members:,}",
        "what one member says of itself": f"{groups.MAX_MEMBER_BYTES // MiB} MiB",
        "what all members of all groups say": f"{groups.MAX_BYTES // MiB} MiB",
        "metadata of a committed offset": f"{MAX_METADATA:,} characters",
        "a batch when it is unpacked to be looked into": f"{MAX_BYTES // MiB} MiB",
        "keys that one pass of a compaction holds": f"{MAX_KEYS:,}",
        "log lines about refused requests": f"{refusals.LINES} a",
    }


def test_examples_are_the_golden_files() -> None:
    examples = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", MESSAGES, re.DOTALL)]
    names = ["feature_event.json", "prediction.json", "label.json", "dead_letter.json"]
    names += ["drift_alert.json", "retraining_decision.json", "retraining_request.json"]
    assert examples == [json.loads((FOLDER / name).read_bytes()) for name in names]


def test_topics_are_kept_as_long_as_it_says() -> None:
    for spec in (*PIPELINE_TOPICS.values(), *SHARED_TOPICS.values()):
        row = next(line for line in MESSAGES.splitlines() if line.startswith(f"| `{spec.topic}`"))
        days = f"{spec.retention_ms // DAY_MS} days"
        assert ("the last of each key" if spec.cleanup_policy == "compact" else days) in row
