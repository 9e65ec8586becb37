"""The regime model of a running account: found, taken over when another is in use, trained behind everything."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from regimes import model

from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.model.config import Directive, RegimeConfig
from nexus_engine.runtime import retrain
from nexus_engine.runtime.regime import formula_hash, models_dir, promote, save_model
from nexus_engine.runtime.retrain import Keeper


def named(name: str) -> RegimeModel:
    return RegimeModel(
        model().arrays, msgspec.structs.replace(model().manifest, name=name, promoted=True), formula_hash()
    )


class Heard(list[tuple[str, str]]):
    def __call__(self, offered: RegimeModel | None, problem: str) -> None:
        self.append((offered.name if offered else "", problem))


def keeper(root: Path, heard: Heard, **config: object) -> Keeper:
    directive = Directive(regime=RegimeConfig.model_validate(config))
    return Keeper(directive, root, heard, look_s=0.01)


async def test_the_one_in_use_is_offered_and_the_next_one_too(tmp_path: Path) -> None:
    folder, heard = models_dir(tmp_path), Heard()
    save_model(named("first"), folder / "first.json")
    promote(folder, "first")
    kept = keeper(tmp_path, heard, model="auto")
    await kept.first()
    task = asyncio.create_task(kept.keep())
    save_model(named("second"), folder / "second.json")
    promote(folder, "second")
    async with asyncio.timeout(10):
        while len(heard) < 2:  # noqa: ASYNC110 the keeper looks at a folder
            await asyncio.sleep(0.01)
    task.cancel()
    assert heard == [("first", ""), ("second", "")]


async def test_one_that_cannot_be_read_is_said_and_is_none(tmp_path: Path) -> None:
    heard = Heard()
    await keeper(tmp_path, heard, model=str(tmp_path / "none.json")).first()
    assert heard[0][0] == "" and "cannot be read" in heard[0][1]


async def test_off_is_off(tmp_path: Path) -> None:
    heard = Heard()
    save_model(named("first"), models_dir(tmp_path) / "first.json")
    promote(models_dir(tmp_path), "first")
    await keeper(tmp_path, heard).first()
    assert heard == []


async def test_without_a_trained_one_the_rule_speaks_and_says_why(tmp_path: Path) -> None:
    heard = Heard()
    await keeper(tmp_path, heard, model="auto").first()
    assert heard == [("", "no model has been trained here and passed its gate")]


async def test_that_of_the_package_is_taken_where_it_is_asked_for(tmp_path: Path) -> None:
    heard = Heard()
    save_model(named("first"), models_dir(tmp_path) / "first.json")
    promote(models_dir(tmp_path), "first")
    await keeper(tmp_path, heard, model="shipped").first()
    [(name, problem)] = heard
    assert name.startswith("forest-") and not problem


@pytest.mark.parametrize("wanted", ["off", "shipped"])
async def test_bars_to_train_from_without_auto_are_said_to_train_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    heard, looks = Heard(), 0
    kept = keeper(tmp_path, heard, model=wanted, data="bars")
    await kept.first()
    assert heard[0] == ("", f'regime.model is "{wanted}", so none is trained from regime.data: "auto" does')

    async def looked(_: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise asyncio.CancelledError

    async def trained() -> bool:
        raise AssertionError("nothing is trained")

    monkeypatch.setattr(retrain.asyncio, "sleep", looked)
    monkeypatch.setattr(kept, "train", trained)
    with pytest.raises(asyncio.CancelledError):
        await kept.keep()


def test_it_is_time_a_week_after_the_last_and_not_again_at_once(tmp_path: Path) -> None:
    kept, now = keeper(tmp_path, Heard(), data="bars"), datetime.now(UTC)
    assert kept._due(now)
    kept._tried = now
    assert not kept._due(now + timedelta(days=6)) and kept._due(now + timedelta(days=8))
    save_model(named("first"), models_dir(tmp_path) / "first.json")
    os.utime(models_dir(tmp_path) / "first.json", times=((now + timedelta(days=5)).timestamp(),) * 2)
    assert not kept._due(now + timedelta(days=8)) and kept._due(now + timedelta(days=13))


async def test_training_is_two_processes_that_give_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of `nexus` stands a script that writes down what it was asked and how nice it is."""
    script = tmp_path / "asked.py"
    script.write_text(
        "import os, sys\nwith open(os.environ['ASKED'], 'a') as file:\n"
        "    file.write(f'{os.nice(0)} ' + ' '.join(sys.argv[1:]) + chr(10))\n"
    )
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" "{script}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    monkeypatch.setattr(retrain.sys, "executable", str(python))
    assert await keeper(tmp_path, Heard(), data=str(tmp_path / "bars")).train()
    first, second = (tmp_path / "asked").read_text().splitlines()
    assert "download klines --intervals 1h --symbols BTCUSDT,ETHUSDT" in first and str(tmp_path / "bars") in first
    assert second.endswith(f"regime train --data {tmp_path / 'bars'} --state {tmp_path}")
    assert int(second.split()[0]) >= min(19, os.nice(0) + retrain.NICE)


async def test_a_download_that_fails_trains_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrain.sys, "executable", "/bin/false")
    assert not await keeper(tmp_path, Heard(), data="bars").train()
