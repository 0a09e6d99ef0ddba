"""`thalweg bench`: the measurements of `make bench`."""

import typer

from schemas.errors import ConfigurationError


def register(app: typer.Typer) -> None:
    settings = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    app.command(context_settings=settings)(bench)


def bench(context: typer.Context) -> None:
    """Measure against other ways to do the same; options go to the benchmark (try --help)."""
    import subprocess
    import sys
    from pathlib import Path

    root = Path(__file__).resolve().parents[1]
    if not (root / "tests" / "bench" / "__main__.py").exists():
        raise ConfigurationError(
            "the benchmark is part of the source checkout and this is an installed package:"
            " clone the repository and run `make bench` there"
        )
    command = [sys.executable, "-m", "tests.bench", *context.args]
    raise typer.Exit(subprocess.run(command, cwd=root, check=False).returncode)
