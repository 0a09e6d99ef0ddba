"""Models by the sha256 of their ONNX file; what is stored under a name never changes."""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

from schemas.errors import ModelError
from schemas.model import GOLDEN_FILE, MANIFEST_FILE, MODEL_FILE, read_manifest

_SHA256 = re.compile(r"[0-9a-f]{64}")
_FILES = (MODEL_FILE, MANIFEST_FILE, GOLDEN_FILE)


class ModelStore:
    """Model directories under `root/models/<sha256>/`; any number of processes may share it."""

    def __init__(self, root: Path) -> None:
        self._models = root / "models"

    def put(self, directory: Path) -> str:
        """Copy a model directory in, whole or not at all; returns its sha256. Twice is fine.

        Raises ModelError when a file is missing or is not the one the manifest names.
        """
        sha256 = _verified(directory)
        target = self._models / sha256
        if target.is_dir():
            return sha256
        self._models.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=self._models))
        try:
            for name in _FILES:
                shutil.copyfile(directory / name, temporary / name)
                _sync(temporary / name)
            _verified(temporary)  # the source may have changed under the copy
            temporary.chmod(0o755)
            temporary.rename(target)
            _sync(self._models)
        except OSError as error:
            if not target.is_dir():  # else another process was first with the same model
                raise ModelError(f"cannot store {directory} in {self._models}: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return sha256

    def path(self, sha256: str) -> Path:
        """The directory of a stored model; raises ModelError that lists what is there."""
        directory = self._models / sha256
        if not _SHA256.fullmatch(sha256) or not directory.is_dir():
            known = ", ".join(each[:12] for each in self.sha256s()) or "none"
            raise ModelError(f"no model {sha256[:64]!r} in {self._models} (there: {known})")
        return directory

    def sha256s(self) -> list[str]:
        """The sha256 of every stored model, sorted."""
        if not self._models.is_dir():
            return []
        return sorted(each.name for each in self._models.iterdir() if _SHA256.fullmatch(each.name))


def _verified(directory: Path) -> str:
    manifest = read_manifest(directory)
    for name, expected in ((MODEL_FILE, manifest.sha256), (GOLDEN_FILE, manifest.golden_sha256)):
        try:
            found = hashlib.sha256((directory / name).read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError(f"expected {name} in {directory}: {error.strerror}") from error
        if found != expected:
            raise ModelError(
                f"{directory / name}: the manifest expects sha256 {expected[:12]},"
                f" found {found[:12]}"
            )
    return manifest.sha256


def _sync(path: Path) -> None:
    """Flush a file or directory to disk: a rename must not become visible before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
