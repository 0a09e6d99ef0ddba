"""docs/settings.md is what the settings tree says today."""

from pathlib import Path

from schemas.settings import Settings, variable_name, walk
from schemas.settings_reference import settings_markdown

PAGE = Path(__file__).parents[3] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == settings_markdown(), (
        "docs/settings.md is stale: `thalweg settings --markdown > docs/settings.md`"
    )


def test_every_setting_has_one_row() -> None:
    rows = [
        line.split("|")[1].strip() for line in settings_markdown().splitlines() if "| `T" in line
    ]
    assert rows == [f"`{variable_name(path)}`" for path, _, _ in walk(Settings)]


def test_the_page_says_nothing_of_this_machine() -> None:
    assert str(Path.home()) not in settings_markdown()
