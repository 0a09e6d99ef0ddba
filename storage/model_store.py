"""Models by the sha256 of their ONNX file; what is stored under a name never changes.

Two things may come later: a model stored without a drift reference, or without its quality at
release, takes the first that is given.
"""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path

import msgspec

from schemas.errors import ModelError
from schemas.model import (
    GOLDEN_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    QUALITY_FILE,
    REFERENCE_FILE,
    ModelManifest,
    read_manifest,
)

_SHA256 = re.compile(r"[0-9a-f]{64}")


class ModelStore:
    """Model directories under `root/models/<sha256>/`; any number of processes may share it."""

    def __init__(self, root: Path) -> None:
        self._models = root / "models"

    def put(self, directory: Path) -> str:
        """Copy a model directory in, whole or not at all; returns its sha256. Twice is fine.

        Raises ModelError when a file is missing or is not the one the manifest names.
        """
        manifest = _verified(directory)
        sha256 = manifest.sha256
        target = self._models / sha256
        if target.is_dir():
            _give_missing(directory, manifest, target)
            return sha256
        self._models.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{sha256[:12]}-", dir=self._models))
        try:
            for name in (MANIFEST_FILE, *_named_files(manifest)):
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


def read_reference(directory: Path) -> bytes:
    """The drift reference in a model directory, verified; `drift.reference_bytes` decodes it.

    Raises ModelError when the model has none, or when the file is not the one the manifest names.
    """
    manifest = read_manifest(directory)
    if not manifest.reference_sha256:
        raise ModelError(
            f"model {manifest.version} has no {REFERENCE_FILE}: it serves, but drift needs one to"
            " hold windows against; `thalweg bootstrap` on the rows it was trained on makes it"
        )
    return _read_verified(directory / REFERENCE_FILE, manifest.reference_sha256)


def read_quality(directory: Path) -> bytes:
    """The quality at release in a model directory, verified; `schemas.quality` decodes it.

    Raises ModelError when the model has none, or when the file is not the one the manifest names.
    """
    manifest = read_manifest(directory)
    if not manifest.quality_sha256:
        raise ModelError(
            f"model {manifest.version} has no {QUALITY_FILE}: it serves, but its live quality is"
            " neither estimated nor held against anything; `thalweg bootstrap` on the rows it was"
            " trained on makes it"
        )
    return _read_verified(directory / QUALITY_FILE, manifest.quality_sha256)


def _verified(directory: Path) -> ModelManifest:
    manifest = read_manifest(directory)
    for name, sha256 in _named_files(manifest).items():
        _read_verified(directory / name, sha256)
    return manifest


def _named_files(manifest: ModelManifest) -> dict[str, str]:
    """The files that a manifest names, and the sha256 of each."""
    files = {MODEL_FILE: manifest.sha256, GOLDEN_FILE: manifest.golden_sha256}
    if manifest.reference_sha256:
        files[REFERENCE_FILE] = manifest.reference_sha256
    if manifest.quality_sha256:
        files[QUALITY_FILE] = manifest.quality_sha256
    return files


def _read_verified(path: Path, expected: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"expected {path.name} in {path.parent}: {error.strerror}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise ModelError(f"{path}: the manifest expects sha256 {expected[:12]}, found {found[:12]}")
    return data


def _give_missing(source: Path, given: ModelManifest, target: Path) -> None:
    """Store what `source` knows of the same model in `target` and that one does not: its drift
    reference, its quality at release.

    Without this, bootstrapping again would never help a model from before there were such files.
    """
    stored = read_manifest(target)
    files: dict[str, bytes] = {}
    changes: dict[str, str] = {}
    if given.reference_sha256 and not stored.reference_sha256:
        files[REFERENCE_FILE] = _read_verified(source / REFERENCE_FILE, given.reference_sha256)
        changes["reference_sha256"] = given.reference_sha256
        changes["reference_version"] = given.reference_version
    if given.quality_sha256 and not stored.quality_sha256:
        files[QUALITY_FILE] = _read_verified(source / QUALITY_FILE, given.quality_sha256)
        changes["quality_sha256"] = given.quality_sha256
    if not files:
        return
    manifest = msgspec.structs.replace(stored, **changes)
    try:
        # The manifest last: a reader must not find one that names a file which is not there yet.
        for name, data in files.items():
            _replace(target / name, data)
        _replace(target / MANIFEST_FILE, msgspec.json.format(msgspec.json.encode(manifest)))
    except OSError as error:
        raise ModelError(f"cannot store {', '.join(files)} in {target}: {error}") from error


def _replace(path: Path, data: bytes) -> None:
    """Write so that a reader sees the old file or the new one, never a part."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        temporary.chmod(0o644)
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Flush a file or directory to disk: a rename must not become visible before what it names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
