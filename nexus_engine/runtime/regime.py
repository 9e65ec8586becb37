"""Regime models on disk: one file of arrays (npz, nothing pickled) and a manifest (JSON) beside it.

A file may come from anywhere, so sizes are looked at before anything is unpacked, headers before anything is made room
for, and the hash of the arrays is the manifest's; what the arrays say is checked by `RegimeModel`.
"""

import ast
import contextlib
import hashlib
import io
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from msgspec.structs import replace
from numpy.lib import format as npy

from nexus_engine.cortex.regime_model import Manifest, ModelError, RegimeModel
from nexus_engine.model.paths import state_root

MOST_BYTES: Final = 4 << 20
MOST_UNPACKED: Final = 32 << 20
MOST_MEMBERS: Final = 40
MOST_MANIFEST: Final = 256 << 10
KEPT: Final = 3
"""Models that are kept beside the one in use."""
_CURRENT: Final = "current"
_BROKEN: Final = (
    zipfile.BadZipFile, zlib.error, struct.error, tokenize.TokenError, NotImplementedError, RuntimeError, EOFError,
    ValueError, TypeError, KeyError,
)  # fmt: skip
"""What the readers of zip and of numpy's headers raise for bytes that are neither."""
_FORMULAS: Final = Path(__file__).resolve().parents[1] / "cortex" / "regime_features.py"


def shipped_path() -> Path:
    """The model that comes with the package."""
    return Path(__file__).resolve().parents[1] / "models" / "regime.json"


def models_dir(root: Path) -> Path:
    """Where trained models are kept, in the state folder."""
    return root / "regime"


def formula_hash() -> str:
    """Hash of the feature formulas, without their comments and docstrings."""
    tree = ast.parse(_FORMULAS.read_text("utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:32]


def load_model(path: Path) -> RegimeModel:
    """Read a model by its manifest, its arrays or their common name. Raises ModelError with one line."""
    manifest_path = path if path.suffix == ".json" else path.with_suffix(".json")
    try:
        manifest_path = manifest_path.resolve()
        told = _bytes(manifest_path, MOST_MANIFEST)
        packed = _bytes(manifest_path.with_suffix(".npz"), MOST_BYTES)
        try:
            manifest = msgspec.json.decode(told, type=Manifest)
        except (msgspec.DecodeError, RecursionError) as error:
            raise ModelError(f"its manifest is not one: {str(error)[:120]}") from error
        if hashlib.sha256(packed).hexdigest() != manifest.npz_sha256:
            raise ModelError("its arrays are not those that the manifest names (sha256)")
        return RegimeModel(_unpacked(packed), manifest, formula_hash())
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error


def _bytes(path: Path, most: int) -> bytes:
    if path.exists() and not path.is_file():
        raise ModelError(f"{path.name} is not a file")
    with path.open("rb") as file:
        read = file.read(most + 1)
    if len(read) > most:
        raise ModelError(f"{path.name} is larger than {most >> 10} KiB")
    return read


def _unpacked(packed: bytes) -> dict[str, np.ndarray[Any, Any]]:
    found: dict[str, np.ndarray[Any, Any]] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(packed)) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS or sum(one.file_size for one in members) > MOST_UNPACKED:
                raise ModelError("its arrays are too many or too large")
            if any(one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for one in members):
                raise ModelError("its arrays are packed in another way than numpy's")
            for one in members:
                with archive.open(one) as file:
                    content = file.read(one.file_size + 1)
                found[one.filename.removesuffix(".npy")] = _array(one.filename, content)
    except _BROKEN as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"its arrays cannot be unpacked ({str(error)[:80]})") from error
    return found


def _array(name: str, content: bytes) -> np.ndarray[Any, Any]:
    """One array; what its header promises is there, and is numbers."""
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    if version != (1, 0):
        raise ModelError(f"{name[:40]}: version {version} of the format")
    shape, _, dtype = npy.read_array_header_1_0(file, max_header_size=1_000)
    size = dtype.itemsize
    for length in shape:
        size *= length
    if dtype.kind not in "if" or size != len(content) - file.tell():
        raise ModelError(f"{name[:40]}: is not the numbers that its header says")
    return np.asarray(np.load(io.BytesIO(content), allow_pickle=False))


def save_model(model: RegimeModel, path: Path) -> RegimeModel:
    """Write both files, the manifest last and each at once; gives the model as it was written."""
    packed = io.BytesIO()
    arrays: dict[str, Any] = model.arrays
    np.savez_compressed(packed, **arrays)
    content = packed.getvalue()
    manifest = replace(model.manifest, npz_sha256=hashlib.sha256(content).hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path.with_suffix(".npz"), content)
    _write(path.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    model.manifest = manifest
    return model


def _write(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


# ---- champion and challengers ----------------------------------------------------------------------------------------


def current_path(folder: Path) -> Path | None:
    """The manifest of the model in use, None without one."""
    link = folder / _CURRENT
    return link.resolve() if link.is_symlink() else None


def promote(folder: Path, name: str) -> None:
    """Let the model of that name be the one in use, in one step; the oldest beyond `KEPT` others go."""
    new = folder / f".{_CURRENT}.new"
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(f"{name}.json")
    new.replace(folder / _CURRENT)
    tidy(folder)


def tidy(folder: Path) -> None:
    """Keep the model in use and the newest `KEPT`."""
    current = current_path(folder)
    used = current.stem if current else ""
    others = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for path in others[KEPT:]:
        if path.stem != used:
            path.unlink(missing_ok=True)
            path.with_suffix(".npz").unlink(missing_ok=True)


def find_model(root: Path, wanted: str) -> RegimeModel | None:
    """The model that an account begins with: of `off` none; of `auto` the one in use in the state folder, where there
    is one that passed its gate; of `shipped` the one that comes with the package; else the one at that path. Raises
    ModelError.
    """
    if wanted == "off":
        return None
    if wanted == "auto":
        path = current_path(models_dir(root))
        model = load_model(path) if path is not None else None
        return model if model is not None and model.manifest.promoted else None
    if wanted == "shipped":
        return load_model(shipped_path())
    if wanted.isidentifier() and not Path(wanted).with_suffix(".json").exists():
        raise ModelError(f'regime.model = "{wanted}" is none of off, auto and shipped, and no manifest')
    return load_model(Path(wanted))


def model_of(sha256: str) -> RegimeModel | None:
    """The kept or shipped model whose arrays have that hash, None without one."""
    for path in (*sorted(models_dir(state_root()).glob("*.json")), shipped_path()):
        with contextlib.suppress(ModelError):
            model = load_model(path)
            if model.manifest.npz_sha256 == sha256:
                return model
    return None
