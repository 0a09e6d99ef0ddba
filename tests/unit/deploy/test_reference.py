"""Bootstrapping stores a drift reference with the model, and it is read back or refused."""

import hashlib
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from deploy.bootstrap import Change, _fraud_rows, bootstrap_file
from deploy.reference import describe_reference, load_reference, read_facts
from producers.fraud import FraudStream, history
from producers.replay import row_events
from schemas.errors import ConfigurationError, ModelError
from schemas.features import FeatureSchema
from schemas.model import MANIFEST_FILE, REFERENCE_FILE, ModelManifest, read_manifest
from schemas.pipeline import ColumnMapping, read_pipeline, write_pipeline
from schemas.settings import Settings, load_settings
from storage.model_store import ModelStore
from thalweg.main import app

MAPPING = ColumnMapping(label="y", entity="who", time="at")


def write_rows(path: Path, n: int = 400) -> Path:
    """A labelled file of `n` rows, newest first; every fortieth has no entity."""
    generator = np.random.default_rng(0)
    lines = ["at,who,a,colour,y"]
    for row in range(n):
        a = generator.normal()
        who = "" if row % 40 == 0 else f"c{row % 30}"
        colour = generator.choice(["red", "green"])
        lines.append(f"{n - row},{who},{a:.4f},{colour},{int(a + generator.normal() > 0)}")
    path.write_text("\n".join(lines) + "\n")
    return path


def settings_of(folder: Path) -> Settings:
    return load_settings({}, data_dir=folder)


def test_a_file_becomes_a_pipeline_with_a_reference_of_its_rows(tmp_path: Path) -> None:
    file, settings = write_rows(tmp_path / "rows.csv"), settings_of(tmp_path / "data")
    done = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    reference = load_reference(ModelStore(settings.store).path(done.pipeline.model))
    assert reference.columns.names == ("a", "colour", "score")
    assert reference.n == 400
    assert reference.customers is not None
    assert reference.customers.n_entities == 30 + 10  # a row without one stands for itself


def test_a_season_and_columns_of_the_calendar_are_kept_in_the_pipeline_and_shown(
    tmp_path: Path,
) -> None:
    file, settings = write_rows(tmp_path / "rows.csv"), settings_of(tmp_path / "data")
    mapping = ColumnMapping(
        label="y", entity="who", time="at", season_hours=24, calendar=("colour",)
    )
    plain = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    done = bootstrap_file(settings, file, mapping, name=None, replace=False)
    assert done.pipeline.model != plain.pipeline.model, "a stored reference never changes"
    assert read_pipeline(settings.store, done.pipeline.name).mapping == mapping
    reference = load_reference(ModelStore(settings.store).path(done.pipeline.model))
    assert reference.season is not None
    assert reference.season.slot_hours == 24
    assert reference.calendar == ("colour",)
    shown = "\n".join(describe_reference(reference, 40))
    assert "a season of 7 slots of 24 h over 0.0 weeks: not used" in shown
    assert "columns of the calendar: colour" in shown
    assert "every window drifts in them: colour" in shown


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"calendar": ("hour",)}, "no feature 'hour'"),
        ({"time": None, "season_hours": 1}, "--time"),
        ({"season_hours": 5}, "do not divide"),
    ],
)
def test_a_season_that_cannot_be_is_refused(
    tmp_path: Path, changed: dict[str, object], says: str
) -> None:
    file, settings = write_rows(tmp_path / "rows.csv"), settings_of(tmp_path / "data")
    given: dict[str, object] = {"label": "y", "entity": "who", "time": "at"} | changed

    def bootstrap() -> None:
        mapping = ColumnMapping(**given)  # type: ignore[arg-type]
        bootstrap_file(settings, file, mapping, name=None, replace=False)

    with pytest.raises(ConfigurationError, match=says):
        bootstrap()


def test_bootstrapping_again_changes_nothing_and_elsewhere_gives_the_same_reference(
    tmp_path: Path,
) -> None:
    file = write_rows(tmp_path / "rows.csv")
    stored = []
    for folder in ("here", "there"):
        settings = settings_of(tmp_path / folder)
        done = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
        stored.append(ModelStore(settings.store).path(done.pipeline.model) / REFERENCE_FILE)
    again = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    assert again.change is Change.UNCHANGED
    assert stored[0].read_bytes() == stored[1].read_bytes()


def test_bootstrapping_again_keeps_the_pipeline_s_own_policy(tmp_path: Path) -> None:
    file, settings = write_rows(tmp_path / "rows.csv"), settings_of(tmp_path / "data")
    done = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    own = msgspec.structs.replace(done.pipeline, retraining={"quorum": 2})
    write_pipeline(settings.store, own)
    assert bootstrap_file(settings, file, MAPPING, name=None, replace=False).pipeline == own
    write_rows(file, 500)
    again = bootstrap_file(settings, file, MAPPING, name=None, replace=True)
    assert again.pipeline.retraining == {"quorum": 2}
    assert again.pipeline.model != own.model


def test_bootstrapping_again_gives_a_model_from_before_references_one(tmp_path: Path) -> None:
    file, settings = write_rows(tmp_path / "rows.csv"), settings_of(tmp_path / "data")
    done = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    stored = ModelStore(settings.store).path(done.pipeline.model)
    version = load_reference(stored).fingerprint
    rewrite(stored, reference_sha256="", reference_version="")
    (stored / REFERENCE_FILE).unlink()
    with pytest.raises(ModelError, match="drift needs one"):
        load_reference(stored)
    again = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    assert again.change is Change.UNCHANGED
    assert load_reference(stored).fingerprint == version


def test_entities_and_times_are_those_of_replayed_events(tmp_path: Path) -> None:
    file = write_rows(tmp_path / "rows.csv", 90)
    facts = read_facts(file, MAPPING)
    events = list(row_events(file, FeatureSchema.of_floats(["a"]), MAPPING))
    assert facts.entities == [event.entity for event in events]
    assert facts.event_times is not None
    assert facts.event_times.tolist() == [event.event_time_ms for event in events]
    some = facts.taken(np.array([3, 1]))
    assert some.entities == ["c3", "c1"]


def test_a_row_without_a_time_has_that_of_the_row_before(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("at,a\n5,1\n,1\nsoon,1\n1e300,1\n2,1\n")
    facts = read_facts(file, ColumnMapping(time="at"))
    assert facts.event_times is not None
    assert facts.event_times.tolist() == [5000, 5000, 5000, 2**62, 2000]
    assert facts.entities is None
    assert read_facts(file, ColumnMapping()).event_times is None


def test_the_history_of_the_fraud_stream_is_its_first_events() -> None:
    n = 12_000  # more than a day
    rows = _fraud_rows(n)
    features, labels, times = history(FraudStream(), n)
    assert np.array_equal(rows.features, features)
    assert np.array_equal(rows.labels, labels)
    assert np.array_equal(rows.facts.event_times, times)
    events = FraudStream().events()
    assert rows.facts.entities is not None
    assert rows.facts.entities[:50] == [next(events).entity for _ in range(50)]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    settings = settings_of(folder)
    file = write_rows(folder / "rows.csv")
    done = bootstrap_file(settings, file, MAPPING, name=None, replace=False)
    return ModelStore(settings.store).path(done.pipeline.model)


def copied(stored: Path, folder: Path) -> Path:
    for each in stored.iterdir():
        (folder / each.name).write_bytes(each.read_bytes())
    return folder


def rewrite(directory: Path, **changes: object) -> None:
    manifest = msgspec.structs.replace(read_manifest(directory), **changes)
    (directory / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))


def test_bytes_that_are_no_reference_are_refused(stored: Path, tmp_path: Path) -> None:
    directory = copied(stored, tmp_path)
    torn = (directory / REFERENCE_FILE).read_bytes()[:-9]
    (directory / REFERENCE_FILE).write_bytes(torn)
    with pytest.raises(ModelError, match="the manifest expects sha256"):
        load_reference(directory)
    rewrite(directory, reference_sha256=hashlib.sha256(torn).hexdigest())
    with pytest.raises(ModelError, match=r"reference\.bin: not a drift reference"):
        load_reference(directory)


def test_a_reference_of_other_content_than_the_manifest_says_is_refused(
    stored: Path, tmp_path: Path
) -> None:
    directory = copied(stored, tmp_path)
    rewrite(directory, reference_version="0" * 64)
    with pytest.raises(ModelError, match="expects version 000000000000, found"):
        load_reference(directory)


def test_a_reference_of_other_features_is_refused(stored: Path, tmp_path: Path) -> None:
    directory = copied(stored, tmp_path)
    manifest: ModelManifest = read_manifest(directory)
    other = FeatureSchema(manifest.schema.features[:1])
    rewrite(directory, schema=other, schema_hash=other.hash)
    with pytest.raises(ModelError, match="its columns are not the 1 features"):
        load_reference(directory)


def test_a_description_says_what_there_is_and_what_it_is_too_short_for(stored: Path) -> None:
    reference = load_reference(stored)
    lines = describe_reference(reference, 100)
    assert lines[0] == f"reference {reference.fingerprint[:12]}"
    assert lines[1] == "400 rows in 40 blocks of 10; 400 of them as a sample"
    assert lines[2] == f"3 columns in {reference.columns.n_bins} bins: 2 numeric, 1 category"
    assert lines[3] == "40 entities of 10.0 rows each, on average"
    assert lines[4:7] == [
        "  a       numeric, 11 bins",
        "  colour  category, 4 bins",
        "  score   numeric, 11 bins",
    ]
    assert lines[7] == "for windows of 100 rows:"
    assert [line for line in lines[8:] if "4.0 windows of 100" in line]
    assert "for windows of 50 rows:" in describe_reference(reference, None)


def test_the_command_shows_the_reference_of_a_pipeline_and_of_a_directory(stored: Path) -> None:
    data_dir = stored.parents[2]
    by_name = CliRunner().invoke(
        app, ["drift", "reference", "--pipeline", "rows", "--data-dir", str(data_dir)]
    )
    by_place = CliRunner().invoke(app, ["drift", "reference", "--model", str(stored)])
    assert by_name.exit_code == by_place.exit_code == 0
    assert by_name.stdout == by_place.stdout
    assert by_place.stdout.splitlines() == describe_reference(load_reference(stored), None)


def test_the_score_stage_does_not_know_drift() -> None:
    code = (
        "import sys, stream_processors.score.app\n"
        "print([name for name in sys.modules if name.split('.')[0] == 'drift'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
