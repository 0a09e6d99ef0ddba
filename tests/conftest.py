"""Real parts for tests: an Apache Kafka broker and a ClickHouse server, started once per
session.
"""

pytest_plugins = [
    "tests.fixtures.kafka",
    "tests.fixtures.clickhouse",
    "tests.fixtures.pipeline",
]
