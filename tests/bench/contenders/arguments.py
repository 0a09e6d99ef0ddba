"""What every contender is told, and the model it is given.

Standard library only, onnxruntime apart: Quix Streams imports this in its own environment.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Arguments:
    """`scored_topic` is empty where no frames are wanted; `work_dir` is for files of its own."""

    bootstrap: str
    input_topic: str
    output_topic: str
    scored_topic: str
    group: str
    format: str
    model_dir: Path
    work_dir: Path

    def as_options(self) -> list[str]:
        """The command line that `parse_arguments` reads back."""
        return [
            *("--bootstrap", self.bootstrap),
            *("--input", self.input_topic),
            *("--output", self.output_topic),
            *("--scored", self.scored_topic),
            *("--group", self.group),
            *("--format", self.format),
            *("--model", str(self.model_dir)),
            *("--work-dir", str(self.work_dir)),
        ]


@dataclass(frozen=True, slots=True)
class Model:
    """The ONNX session with one thread, and what its manifest says."""

    session: Any
    version: str
    threshold: float
    feature_names: tuple[str, ...]
    schema_hash: str


def parse_arguments() -> Arguments:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--scored", default="")
    parser.add_argument("--group", required=True)
    parser.add_argument("--format", choices=("json", "packed"), default="json")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work-dir", type=Path, required=True)
    given = parser.parse_args()
    return Arguments(
        bootstrap=given.bootstrap,
        input_topic=given.input,
        output_topic=given.output,
        scored_topic=given.scored,
        group=given.group,
        format=given.format,
        model_dir=given.model,
        work_dir=given.work_dir,
    )


def load_model(directory: Path) -> Model:
    import onnxruntime

    manifest = json.loads((directory / "manifest.json").read_text())
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        str(directory / "model.onnx"), options, providers=["CPUExecutionProvider"]
    )
    return Model(
        session=session,
        version=manifest["version"],
        threshold=manifest["threshold"],
        feature_names=tuple(feature["name"] for feature in manifest["schema"]["features"]),
        schema_hash=manifest["schema_hash"],
    )
