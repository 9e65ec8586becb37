"""`nexus regime`: train a regime model on the past, or measure one on bars that it has not seen."""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from nexus_engine.cortex.regime_model import ModelError, RegimeModel
from nexus_engine.lab.regime_data import DataError, Found, read
from nexus_engine.model.paths import StateError, state_root
from nexus_engine.model.usage import Parser, UsageError, harmless
from nexus_engine.runtime.regime import (
    current_path,
    formula_hash,
    load_model,
    models_dir,
    promote,
    save_model,
    shipped_path,
    tidy,
)

NICE: Final = 10
"""Training stands behind whatever trades on the same machine."""
SEED: Final = 7
SLACK: Final = 0.01
"""Nats that a challenger may be worse by: newer counts for something."""
_PROGRESS_S: Final = 0.3


def main(argv: Sequence[str]) -> int:
    """0: done, and the goals reached or the gate passed; 1: done, and they were not; 2: bad usage or input."""
    try:
        given = _parser().parse_args(argv)
        progress = Progress()
        try:
            return int(given.run(given, progress))
        finally:
            progress.end()
    except (UsageError, DataError, ModelError, StateError) as error:
        sys.stderr.write(f"nexus regime: {harmless(error)}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"nexus regime: {harmless(error.filename or '')}: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:
        return int(stop.code or 0)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="nexus regime", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="train|evaluate", parser_class=Parser)
    train = commands.add_parser("train", help="walk forward, fit, and take it into use if it passes the gate")
    evaluate = commands.add_parser("evaluate", help="measure a model against plain rules, and in what it is worth")
    for one in (train, evaluate):
        one.add_argument("--data", type=Path, required=True, metavar="DIR", help="parquet or CSV files of bars")
        one.add_argument(
            "--from", dest="start", type=_hour, default=-math.inf, metavar="DATE", help="from there on, UTC"
        )
        one.add_argument("--to", dest="end", type=_hour, default=math.inf, metavar="DATE", help="up to, not including")
        one.add_argument("--state", type=Path, metavar="DIR", help="the state folder, where models are kept")
        one.add_argument("--json", action="store_true", help="one JSON object on stdout")
    evaluate.add_argument("--model", type=Path, metavar="FILE", help="which (the one in use, else the one shipped)")
    evaluate.set_defaults(run=_evaluate)
    train.add_argument("--family", choices=("forest", "boost"), default="forest", help="boost needs the extra xgboost")
    train.add_argument("--seed", type=int, default=SEED, metavar="N", help="same seed and data, same model")
    train.add_argument("--out", type=Path, metavar="FILE", help="write it there, and take nothing into use")
    train.add_argument("--leak-demo", action="store_true", help="also what shuffled splits would have claimed")
    train.set_defaults(run=_train)
    return parser


def _hour(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date like 2024-01-31 or 2024-01-31T15:00") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() / 3600


def _evaluate(given: argparse.Namespace, progress: "Progress") -> int:
    from nexus_engine.lab.regime_eval import evaluate

    if given.model is not None:
        model = load_model(given.model)
    else:
        model = load_model(current_path(models_dir(state_root(given.state))) or shipped_path())
    found = _read(given, progress)
    report = evaluate(model, found, given.start, given.end, progress.say)
    progress.end()
    sys.stdout.write(json.dumps(_plain(report)) + "\n" if given.json else _told(report))
    return 0 if report["reached"] else 1


def _train(given: argparse.Namespace, progress: "Progress") -> int:
    from msgspec.structs import replace

    from nexus_engine.lab import regime_train as lab
    from nexus_engine.lab.regime_fit import Arrays, fit
    from nexus_engine.lab.regime_samples import Samples

    if os.getpriority(os.PRIO_PROCESS, 0) < NICE:
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    found = _read(given, progress)
    whole, _ = lab.gathered(found, given.start, given.end, progress.say)
    formulas = formula_hash()
    family = given.family

    def make(arrays: Arrays, learned: Samples) -> RegimeModel:
        return lab.modelled(
            arrays, learned, formulas, family=family, seed=given.seed, name="fold", data_sha256=found.sha256
        )

    walked = lab.walk(found, whole, make, family, given.seed, progress.say)
    if given.leak_demo:
        lately = whole.between(float(whole.close_h.max()) - lab.WINDOW_H, math.inf)
        walked["leak_demo"] = lab.leak_demo(lately, given.seed, progress.say)
    progress.say("fitting the model that goes on")
    learned = whole.between(float(whole.close_h.max()) - lab.WINDOW_H, math.inf)
    model = lab.modelled(
        fit(learned, family, given.seed), learned, formulas, family=family, seed=given.seed,
        name=lab.named(learned, family, found.sha256), data_sha256=found.sha256, metrics=_plain(walked),
        promoted=walked["gate_passed"],
    )  # fmt: skip
    model = lab.finished(model, learned, formulas)
    used = False
    if given.out is not None:
        save_model(model, given.out)
        where = given.out
    else:
        folder = models_dir(state_root(given.state))
        where = folder / f"{model.name}.json"
        save_model(model, where)
        if walked["gate_passed"] and _not_worse(folder, model, found, progress):
            promote(folder, model.name)
            used = True
        else:
            tidy(folder)
    progress.end()
    told = msgspec.to_builtins(replace(model.manifest, metrics={}))
    report = {"model": model.name, "file": str(where), "in_use": used, "manifest": told, **walked}
    sys.stdout.write(json.dumps(_plain(report)) + "\n" if given.json else _trained(report))
    return 0 if walked["gate_passed"] else 1


def _not_worse(folder: Path, challenger: RegimeModel, found: Found, progress: "Progress") -> bool:
    """The champion stays where what it says of the time after it is still better than what folds of the challenger's
    kind say of theirs; one that cannot be read, or is older than all that can be measured, goes.
    """
    from nexus_engine.lab.regime_eval import HOUR_NS, evaluate

    current = current_path(folder)
    if current is None:
        return True
    try:
        champion = load_model(current)
        report = evaluate(champion, found, champion.manifest.data_end_ns / HOUR_NS, told=progress.say)
    except (ModelError, DataError):
        return True
    folds = challenger.manifest.metrics["folds"]
    gains = [
        (task["climatology_log_loss"] - task["model"]["log_loss"])
        - (folds[-1]["tasks"][name]["climatology"] - folds[-1]["tasks"][name]["model"]["log_loss"])
        for name, task in report["tasks"].items()
    ]
    return bool(sum(gains) <= SLACK)


def _read(given: argparse.Namespace, progress: "Progress") -> Found:
    if given.start >= given.end:
        raise UsageError("--to is not after --from")
    return read(given.data, progress.say)


def _plain(value: Any) -> Any:
    """JSON knows no number that is not finite."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value


# ---- for people ------------------------------------------------------------------------------------------------------

_KINDS: Final = ("model", "logistic", "persistence", "adx_rule", "majority")
_COLUMNS: Final = ("balanced_accuracy", "macro_f1", "auc", "log_loss", "ece")


def _told(report: dict[str, Any]) -> str:
    span, model = report["span"], report["model"]
    lines = [
        harmless(f"{model['name']}, fitted to {model['train_from'][:10]} .. {model['train_to'][:10]}"),
        f"on {', '.join(span['symbols'])}, {span['from'][:10]} .. {span['to'][:10]}, {span['step_h']} h bars",
    ]
    for name, task in report["tasks"].items():
        lines += ["", f"{name}: {task['rows']:,} rows, base rate {task['base_rate']:.3f}, "
                  f"climatology's log-loss {task['climatology_log_loss']:.4f}"]  # fmt: skip
        lines.append(f"  {'':12}" + "".join(f"{column.replace('_', ' '):>19}" for column in _COLUMNS))
        lines += [
            f"  {kind.replace('_', ' '):12}" + "".join(f"{_number(task[kind][column]):>19}" for column in _COLUMNS)
            for kind in _KINDS
        ]
    lines += ["", *_gating(report["gating"]), ""]
    lines += [f"{'reached    ' if goal['met'] else 'NOT reached'}  {goal['goal']}: {_number(goal['value'])}"
              for goal in report["goals"]]  # fmt: skip
    lines += [f"note: {note}" for note in report["data"]["notes"]]
    lines.append(report["verdict"])
    return "\n".join(lines) + "\n"


def _trained(report: dict[str, Any]) -> str:
    lines = [f"{report['model']} is at {report['file']}"]
    for name, table in report["table"].items():
        lines += ["", f"{name}, mean over {len(report['folds'])} folds; "
                  f"climatology's log-loss {table['climatology_log_loss']['mean']:.4f}"]  # fmt: skip
        lines.append(f"  {'':12}" + "".join(f"{column.replace('_', ' '):>19}" for column in _COLUMNS))
        lines += [
            f"  {kind.replace('_', ' '):12}"
            + "".join(f"{_number(table[kind][column]['mean']):>19}" for column in _COLUMNS)
            for kind in _KINDS
        ]
        share = report["folds_better_than_persistence"][name]
        lines.append(f"  log-loss under persistence's in {share:.0%} of the folds")
    lines += ["", *_gating(report["gating"]), ""]
    if "leak_demo" in report:
        lines.append(
            "leak demo, balanced accuracy: " + ", ".join(f"{k} {v:.3f}" for k, v in report["leak_demo"].items())
        )
    if report["in_use"]:
        lines.append('the gate is passed: it is in use where `[regime] model = "auto"`')
    elif report["gate_passed"]:
        lines.append("the gate is passed")
    else:
        lines.append("the gate is NOT passed: the rules stay")
    return "\n".join(lines) + "\n"


def _gating(gating: dict[str, Any]) -> list[str]:
    kinds = {"all": gating} | {f"{step} bars": value for step, value in gating["by_bars"].items()}
    kinds |= {"P as said, not smoothed": gating["unsmoothed"], "none above 10 R": gating["capped"]}
    return [
        f"trend trades, {kind}: R in the low / mid / high third of P(trend): "
        f"{' / '.join(_signed(value['r'][third]) for third in ('low', 'mid', 'high'))}; high - low "
        f"{_signed(value['value'])} [{_signed(value['lower'])}, {_signed(value['upper'])}], n {value['trades']:,}"
        for kind, value in kinds.items()
    ]


def _number(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.4f}"


def _signed(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:+.3f}"


class Progress:
    """One line on stderr that is written over on a terminal; in a log one for each thing that is done."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._said_s = 0.0
        self._open = False

    def say(self, text: str) -> None:
        if not self._live:
            sys.stderr.write(f"{text}\n")
            return
        if (now := time.monotonic()) - self._said_s >= _PROGRESS_S:
            self._said_s = now
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
            self._open = True

    def end(self) -> None:
        if self._open:
            sys.stderr.write("\r\x1b[K")
            self._open = False
