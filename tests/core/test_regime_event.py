"""A regime model comes to the engine by an event that names it: so a recording knows it, and a replay asks for it."""

from pathlib import Path

import pytest
from regimes import model

from nexus_engine.core.engine import Engine
from nexus_engine.model.config import Directive
from nexus_engine.model.effects import Notify
from nexus_engine.model.events import AnyEvent, RegimeModelChanged
from nexus_engine.model.ledger import Ledger
from nexus_engine.runtime import replay as command
from nexus_engine.runtime.regime import models_dir, save_model
from nexus_engine.store.recording import Header, Recorder, RecordingError


def named(sha256: str, reason: str = "") -> RegimeModelChanged:
    return RegimeModelChanged(at_ns=1, mono_ns=1, name="small" if sha256 else "", sha256=sha256, reason=reason)


def said(engine: Engine, event: AnyEvent) -> list[str]:
    return [effect.text for effect in engine.on(event) if isinstance(effect, Notify)]


def test_a_model_that_was_given_is_used_and_said() -> None:
    engine = Engine(Directive(), Ledger())
    engine.regime_models["abc"] = model()
    assert said(engine, named("abc")) == ["by model small"]
    assert engine.cortex._book is not None
    assert said(engine, named("", "x.json: cannot be read")) == ["by rule: x.json: cannot be read"]
    assert engine.cortex._book is None


def test_one_that_was_not_given_leaves_the_rule() -> None:
    engine = Engine(Directive(), Ledger())
    said(engine, named("abc"))
    assert engine.cortex._book is None


def recorded(path: Path, sha256: str) -> Path:
    directive = Directive()
    recorder = Recorder(path, Header(version="0", directive=directive.model_dump(mode="json")))
    engine = Engine(directive, Ledger())
    engine.regime_models[sha256] = model()
    event = named(sha256)
    recorder.event(event)
    recorder.effects(engine.on(event))
    recorder.close()
    return path


def test_a_replay_finds_the_model_that_is_kept_and_refuses_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    kept = save_model(model(), models_dir(tmp_path / "nexus") / "small.json")
    path = recorded(tmp_path / "tape", kept.manifest.npz_sha256)
    assert command.replay(path).ok
    for file in models_dir(tmp_path / "nexus").iterdir():
        file.unlink()
    with pytest.raises(RecordingError, match="regime model small"):
        command.replay(path)
