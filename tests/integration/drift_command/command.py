"""`thalweg drift` as a process, for tests on a log in a real ClickHouse."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from schemas.settings import ClickHouseSettings
from tests.deployment import PATIENCE_S


class Command:
    """`thalweg drift` of one deployment."""

    def __init__(self, folder: Path, database: ClickHouseSettings) -> None:
        self.environment = {
            "THALWEG_DATA_DIR": str(folder),
            "THALWEG_CLICKHOUSE__URL": database.url,
            "THALWEG_CLICKHOUSE__DATABASE": database.database,
        }

    def __call__(self, *arguments: str | Path, **environment: str) -> Any:
        own = {key: value for key, value in os.environ.items() if not key.startswith("THALWEG_")}
        return subprocess.run(
            [sys.executable, "-m", "thalweg.main", "drift", *map(str, arguments)],
            env={**own, **self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
