"""The migration files and how they are cut into statements."""

import pytest

from storage.migrate import migrations, split_statements


def test_migrations_are_numbered_without_a_hole() -> None:
    found = migrations()
    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    assert found[0].name == "prediction_log"


def test_every_statement_can_be_repeated() -> None:
    for migration in migrations():
        for statement in split_statements(migration.sql):
            assert "IF NOT EXISTS" in statement or "OR REPLACE" in statement, statement


@pytest.mark.parametrize(
    ("sql", "statements"),
    [
        ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
        ("SELECT 1", ["SELECT 1"]),
        (";;  ;\n", []),
        ("SELECT ';' AS a; SELECT 2", ["SELECT ';' AS a", "SELECT 2"]),
        (r"SELECT '\';' AS a; SELECT 2", [r"SELECT '\';' AS a", "SELECT 2"]),
        ("SELECT 'it''s; so'; SELECT 2", ["SELECT 'it''s; so'", "SELECT 2"]),
        ("SELECT `a;b`; SELECT 2", ["SELECT `a;b`", "SELECT 2"]),
        ("-- no; statement\nSELECT 1;", ["SELECT 1"]),
        ("/* a; b\n */ SELECT 1 -- c'; \n;", ["SELECT 1"]),
        ("SELECT '-- no comment'; SELECT 2", ["SELECT '-- no comment'", "SELECT 2"]),
        ("SELECT 2 - 1 / 3", ["SELECT 2 - 1 / 3"]),
    ],
)
def test_only_a_semicolon_of_the_statement_ends_it(sql: str, statements: list[str]) -> None:
    assert list(split_statements(sql)) == statements
