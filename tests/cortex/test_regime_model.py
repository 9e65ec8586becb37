"""The model as data: what sklearn says, and nothing that a broken or hostile file could make of it."""

import io
import json
import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from regimes import FIRST_H, SMALL, learned, model

from nexus_engine.cortex.regime_features import NAMES
from nexus_engine.cortex.regime_model import ModelError, RegimeModel, scored
from nexus_engine.lab import regime_fit
from nexus_engine.runtime.regime import (
    KEPT,
    current_path,
    find_model,
    formula_hash,
    load_model,
    promote,
    save_model,
    shipped_path,
)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    save_model(model(), tmp_path / "small.json")
    return tmp_path / "small.json"


def test_flat_trees_say_what_sklearn_says() -> None:
    from sklearn.ensemble import RandomForestClassifier

    rows = regime_fit._filled(learned().rows, np.zeros(len(NAMES)), np.zeros(len(learned()), dtype=bool))
    came = learned().labels[:, 0]
    forest = RandomForestClassifier(n_estimators=9, max_depth=7, random_state=1).fit(rows, came)
    trees = regime_fit.flat_forest(forest)
    # thresholds lie between two float32, so the rows that sit on one are asked for too
    edges = np.repeat(rows[:1], len(trees.threshold), axis=0)
    edges[np.arange(len(edges)), trees.feature] = trees.threshold
    for some in (rows, edges):
        nodes = np.broadcast_to(trees.roots, (len(some), len(trees.roots)))
        seen = some.astype(np.float32)
        for _ in range(7):
            asked = np.take_along_axis(seen, trees.feature[nodes].astype(int), axis=1)
            nodes = np.where(asked <= trees.threshold[nodes], trees.left[nodes], trees.right[nodes])
        ours = trees.value[nodes].astype(np.float64).mean(axis=1)
        assert np.abs(ours - forest.predict_proba(some)[:, 1]).max() < 1e-6


def test_one_row_says_what_many_say() -> None:
    rows = model().filled(learned().rows[:300])
    many = model().many(rows)
    np.testing.assert_allclose([model().one(row) for row in rows], many, rtol=1e-6)
    assert ((many[:, :2] > 0) & (many[:, :2] < 1)).all()


def test_a_missing_market_is_what_is_usual_and_the_own_features_stay() -> None:
    row = learned().rows[:1].copy()
    row[0, 0], row[0, -1] = np.nan, np.nan
    filled = model().filled(row)[0]
    assert np.isnan(filled[0]) and filled[-1] == model().arrays["center"][-1]


def test_what_was_saved_is_what_is_loaded(saved: Path) -> None:
    rows = model().filled(learned().rows[:50])
    for name in (saved, saved.with_suffix(".npz"), saved.with_suffix("")):
        again = load_model(name)
        np.testing.assert_array_equal(again.many(rows), model().many(rows))
        assert again.manifest == model().manifest


def test_the_logistic_rival_is_on_normal_scores() -> None:
    rows = np.full((3, len(NAMES)), [[-1e9], [0.0], [1e9]])
    knots = np.tile(np.linspace(-1, 1, 33), (len(NAMES), 1))
    scores = np.linspace(-3, 3, 33)
    np.testing.assert_array_equal(scored(rows, knots, scores)[:, 0], [-3, 0, 3])


# ---- hostile files ---------------------------------------------------------------------------------------------------


def broken(**changes: Any) -> dict[str, Any]:
    return {name: array.copy() for name, array in model().arrays.items()} | changes


def with_one(name: str, place: Any, value: Any) -> dict[str, Any]:
    array = model().arrays[name].copy()
    array[place] = value
    return broken(**{name: array})


BROKEN: dict[str, Any] = {
    "a child that is its grandparent": lambda: with_one("left", int(np.flatnonzero(INNER)[-1]), 0),
    "a child far outside": lambda: with_one("right", int(np.flatnonzero(INNER)[0]), 10**8),
    "a child before all": lambda: with_one("left", int(np.flatnonzero(INNER)[0]), -5),
    "half a leaf": lambda: with_one("right", int(np.flatnonzero(~INNER)[0]), 1),
    "a feature that there is not": lambda: with_one("feature", 0, len(NAMES)),
    "a feature before all": lambda: with_one("feature", 0, -1),
    "a root outside": lambda: with_one("roots", 0, 10**6),
    "a root before all": lambda: with_one("roots", 0, -1),
    "a threshold that is none": lambda: with_one("threshold", 0, np.nan),
    "a leaf that is no probability": lambda: with_one("value", 0, 1.5),
    "a prior of one": lambda: with_one("prior", 0, 1.0),
    "more roots than trees": lambda: with_one("trees", 0, 999),
    "no trees of a head": lambda: broken(trees=np.array([0, len(model().arrays["roots"])])),
    "a scale of nothing": lambda: with_one("scale", 0, 0.0),
    "knots that fall": lambda: with_one("knots", (0, 5), 1e9),
    "a rate above one": lambda: with_one("baselines", (0, 0), 2.0),
    "floats for nodes": lambda: broken(left=model().arrays["left"].astype(float)),
    "another shape": lambda: broken(platt=np.ones((3, 2))),
    "arrays of unequal length": lambda: broken(value=model().arrays["value"][:-1]),
    "an array too many": lambda: broken(evil=np.zeros(1)),
    "text": lambda: broken(prior=np.array(["a", "b"])),
    "a chain of a thousand": lambda: broken(**chain(1_000)),
}
INNER = model().arrays["left"] != np.arange(len(model().arrays["left"]))


def chain(length: int) -> dict[str, Any]:
    here = np.arange(2 * length + 1)
    inner = here % 2 == 0
    inner[-1] = False
    left, right = np.where(inner, here + 1, here), np.where(inner, here + 2, here)
    floats = np.zeros(len(here), dtype=np.float32)
    return {
        "feature": np.zeros(len(here), dtype=np.int16), "threshold": floats, "left": left, "right": right,
        "value": floats, "roots": np.array([0, 0]), "trees": np.array([1, 1]),
    }  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_array_is_one_line(name: str) -> None:
    with pytest.raises(ModelError) as error:
        RegimeModel(BROKEN[name](), model().manifest, formula_hash())
    assert "\n" not in str(error.value)


def test_no_array_may_be_missing() -> None:
    for name in model().arrays:
        rest = {other: array for other, array in model().arrays.items() if other != name}
        with pytest.raises(ModelError, match=f"has no array {name}"):
            RegimeModel(rest, model().manifest, formula_hash())


def test_other_formulas_are_refused() -> None:
    with pytest.raises(ModelError, match="train it again"):
        RegimeModel(model().arrays, model().manifest, "0" * 32)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_flipped_bytes_are_one_line(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """With the hash put right again: whoever writes a bad file can write its hash too."""
    import hashlib

    path = tmp_path_factory.mktemp("flipped") / "x.json"
    save_model(model(), path)
    content = bytearray(path.with_suffix(".npz").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(len(content) // 2, len(content)))]
    manifest = json.loads(path.read_bytes()) | {"npz_sha256": hashlib.sha256(content).hexdigest()}
    path.with_suffix(".npz").write_bytes(content)
    path.write_text(json.dumps(manifest))
    try:
        found = load_model(path)
    except ModelError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(found.many(found.filled(learned().rows[:5]))).all()


def _npz(path: Path, members: dict[str, bytes], packing: int = zipfile.ZIP_DEFLATED) -> None:
    import hashlib

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    path.with_suffix(".npz").write_bytes(packed.getvalue())
    manifest = json.loads(path.read_bytes()) | {"npz_sha256": hashlib.sha256(packed.getvalue()).hexdigest()}
    path.write_text(json.dumps(manifest))


def test_a_bomb_is_not_unpacked(saved: Path) -> None:
    _npz(saved, {"left.npy": bytes(64 << 20)})
    with pytest.raises(ModelError, match="too large"):
        load_model(saved)


def test_a_header_that_promises_more_than_there_is_makes_no_room(saved: Path) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**12,)})
    _npz(saved, {"left.npy": header.getvalue()})
    with pytest.raises(ModelError, match="is not the numbers"):
        load_model(saved)


@pytest.mark.parametrize("header", [b"(" * 99, b'"""', b"{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }"])
def test_a_header_that_is_none_is_one_line(saved: Path, header: bytes) -> None:
    _npz(saved, {"left.npy": b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(8)})
    with pytest.raises(ModelError) as error:
        load_model(saved)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("packing", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_only_what_numpy_packs_with_is_unpacked(saved: Path, packing: int) -> None:
    _npz(saved, {"left.npy": b"x"}, packing)
    with pytest.raises(ModelError, match="packed in another way"):
        load_model(saved)


@pytest.mark.parametrize("kind", [".json", ".npz"])
def test_a_model_that_is_a_pipe_is_not_waited_for(saved: Path, kind: str) -> None:
    saved.with_suffix(kind).unlink()
    os.mkfifo(saved.with_suffix(kind))
    with pytest.raises(ModelError, match="is not a file"):
        load_model(saved)


def test_a_pickle_is_never_opened(saved: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("a pickle was opened",))

    packed = io.BytesIO()
    np.save(packed, np.array([Evil()], dtype=object), allow_pickle=True)
    _npz(saved, {"left.npy": packed.getvalue()})
    with pytest.raises(ModelError):
        load_model(saved)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{}", "manifest"),
        (b"\xff", "manifest"),
        (b"[" * 50_000, "manifest"),
        (b" " * 300_000, "larger"),
        (b"", "manifest"),
    ],
)
def test_a_manifest_that_is_none_is_one_line(saved: Path, text: bytes, said: str) -> None:
    saved.write_bytes(text)
    with pytest.raises(ModelError, match=said) as error:
        load_model(saved)
    assert "\n" not in str(error.value)


def test_arrays_of_another_model_are_refused(saved: Path) -> None:
    saved.with_suffix(".npz").write_bytes(saved.with_suffix(".npz").read_bytes() + b"x")
    with pytest.raises(ModelError, match="sha256"):
        load_model(saved)


def test_what_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path / "none.json")


# ---- champion --------------------------------------------------------------------------------------------------------


def test_the_last_three_are_kept_and_the_one_in_use(tmp_path: Path) -> None:
    folder = tmp_path / "regime"
    for number in range(6):
        save_model(model(), folder / f"m{number}.json")
        if number == 0:
            promote(folder, "m0")
    promote(folder, "m0")
    kept = {path.stem for path in folder.glob("*.npz")}
    assert "m0" in kept and len(kept) == KEPT + 1
    assert (current_path(folder) or folder).stem == "m0"


def test_a_model_that_failed_its_gate_is_not_taken_by_itself(tmp_path: Path) -> None:
    folder = tmp_path / "regime"
    save_model(model(), folder / "small.json")
    promote(folder, "small")
    assert find_model(tmp_path, "auto") is None
    assert find_model(tmp_path, "off") is None
    found = find_model(tmp_path, str(folder / "small.json"))
    assert found is not None and found.name == "small"


def test_a_slip_in_the_name_of_a_model_is_told_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r'regime\.model = "of" is none of off, auto and shipped'):
        find_model(tmp_path, "of")
    save_model(model(), tmp_path / "of.json")
    found = find_model(tmp_path, "of")
    assert found is not None and found.name == "small"


def test_the_same_data_and_seed_give_the_same_arrays() -> None:
    found = learned().between(0, FIRST_H + 6_000)
    again = regime_fit.fit(found, "forest", 5, SMALL)
    for name, array in again.items():
        if name != "psi_limit":
            np.testing.assert_array_equal(array, model().arrays[name], err_msg=name)


def test_the_model_that_is_shipped_loads_is_small_and_says_what_it_was_fitted_to() -> None:
    path = shipped_path()
    found = load_model(path)
    assert path.with_suffix(".npz").stat().st_size <= 300 << 10
    assert found.manifest.features == NAMES and found.manifest.train_to < "2024-01-02"
    assert {"folds", "table", "gating", "gate_passed", "leak_demo"} <= found.manifest.metrics.keys()
    assert found.manifest.promoted == found.manifest.metrics["gate_passed"]


def test_boosted_trees_say_what_xgboost_says() -> None:
    pytest.importorskip("xgboost", reason="the extra xgboost is not installed")
    rows = regime_fit._filled(learned().rows, np.zeros(len(NAMES)), np.zeros(len(learned()), dtype=bool))
    trees, said = regime_fit._boost(rows, learned().labels[:, 0], 3, {"n_estimators": 20})
    nodes = np.broadcast_to(trees.roots, (len(rows), len(trees.roots)))
    seen = rows.astype(np.float32)
    for _ in range(4):
        asked = np.take_along_axis(seen, trees.feature[nodes].astype(int), axis=1)
        nodes = np.where(asked <= trees.threshold[nodes], trees.left[nodes], trees.right[nodes])
    assert np.abs(trees.value[nodes].astype(np.float64).sum(axis=1) - said(rows)).max() < 1e-5
