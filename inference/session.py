"""One ONNX Runtime session: opened, its signature checked, called once per batch."""

from typing import Literal, TypeAlias

import numpy as np
import onnxruntime as ort

from inference.artifact import Floats
from schemas.errors import ModelError
from schemas.model import ModelManifest

Provider: TypeAlias = Literal["cpu", "cuda"]

_PROVIDERS: dict[Provider, str] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_FLOAT = "tensor(float)"
_ERRORS_ONLY = 3


class Session:
    """A model that turns `float32[n, n_features]` into `float32[n]`; any thread may call it."""

    def __init__(self, onnx: bytes, manifest: ModelManifest, *, provider: Provider) -> None:
        self._input, self._output = manifest.input_name, manifest.output_name
        self._n_features = len(manifest.schema)
        self._session = _open(onnx, provider)
        self._check_signature()

    def run(self, features: Floats) -> Floats:
        """The raw scores of `features`; raises ModelError when the model cannot compute them."""
        try:
            (out,) = self._session.run([self._output], {self._input: features})
        except Exception as error:  # onnxruntime's errors have no base but Exception
            raise ModelError(
                f"the model failed on {features.dtype}{list(features.shape)}: {_short(error)}"
            ) from error
        scores: Floats = out
        if scores.size != len(features):
            raise ModelError(
                f"expected {len(features)} scores, one a row, found shape {list(scores.shape)}"
            )
        return scores.reshape(len(features))

    def _check_signature(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        found = _signature(inputs, outputs)
        if [node.name for node in inputs] != [self._input] or self._output not in [
            node.name for node in outputs
        ]:
            raise ModelError(
                f"expected input {self._input!r} and output {self._output!r}, found {found}"
            )
        (given,) = inputs
        rows, *rest = given.shape
        if given.type != _FLOAT or rest != [self._n_features] or isinstance(rows, int):
            raise ModelError(f"expected input float[N, {self._n_features}], found {found}")
        made = next(node for node in outputs if node.name == self._output)
        if made.type != _FLOAT or made.shape[1:] not in ([], [1]) or len(made.shape) == 0:
            raise ModelError(f"expected output float[N] or float[N, 1], found {found}")


def _open(onnx: bytes, provider: Provider) -> ort.InferenceSession:
    name = _PROVIDERS[provider]
    available = ort.get_available_providers()
    if name not in available:
        raise ModelError(
            f"expected {name}, this onnxruntime has {', '.join(available)}; install onnxruntime-gpu"
            " or set THALWEG_SCORING__PROVIDER=cpu"
        )
    options = ort.SessionOptions()
    # One thread a process, and processes for scale: threads cost small models more than they give.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = ort.InferenceSession(onnx, options, providers=[name])
    except Exception as error:  # onnxruntime's errors have no base but Exception
        raise ModelError(f"expected an ONNX model, found {_short(error)}") from error
    if session.get_providers()[0] != name:  # it falls back to the CPU without an error
        raise ModelError(f"expected {name}, onnxruntime fell back to {session.get_providers()}")
    return session


def _signature(inputs: list[ort.NodeArg], outputs: list[ort.NodeArg]) -> str:
    def show(nodes: list[ort.NodeArg]) -> str:
        return ", ".join(f"{node.name!r} {node.type}{list(node.shape)}" for node in nodes)

    return f"input {show(inputs)} and output {show(outputs)}"


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or repr(error)


def check_scores(scores: Floats) -> None:
    """Raise ModelError unless every score is a float32 in 0..1."""
    if scores.dtype != np.float32:
        raise ModelError(f"expected float32 scores, found {scores.dtype}")
    low, high = scores.min(), scores.max()
    if not (low >= 0.0 and high <= 1.0):  # false for NaN
        raise ModelError(f"expected scores in 0..1, found {low} to {high}")
