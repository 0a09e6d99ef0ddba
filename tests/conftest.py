"""Real parts for tests, started once per session: brokers and a ClickHouse server."""

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.clickhouse",
    "tests.fixtures.pipeline",
]
