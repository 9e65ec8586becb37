"""`nexus sweep`: looks for a strategy's parameters, and says what they were worth on bars the search did not see.

The span is cut into parts. Each fold searches in all parts before one and is judged on that one (anchored
walk-forward), so every figure that counts is out of sample. Workers share nothing but the storage: start the same
command on any number of machines, and each takes trials until a fold has enough. A worker that dies loses only the
trial it was at.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import variance
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import msgspec

from nexus_engine.cortex.regime_model import RegimeModel
from nexus_engine.cortex.strategy import Param, Strategy, Value, checked
from nexus_engine.lab import history
from nexus_engine.lab.backtest import BacktestOrder, model_of, moment, run
from nexus_engine.lab.bars import Bars, BarsError
from nexus_engine.lab.chosen import AUTO, NAMES, Chosen, find
from nexus_engine.lab.metrics import DAYS
from nexus_engine.lab.progress import Progress
from nexus_engine.lab.study import Fold, Plan, SweepError, opened, studies
from nexus_engine.model.config import ConfigError, Directive
from nexus_engine.model.config import load as load_config
from nexus_engine.model.usage import Parser, UsageError, harmless

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

METRICS: Final = ("sqn", "sharpe", "calmar", "expectancy_r")
SHOWN: Final = (*METRICS, "trades", "return_pct", "max_drawdown_pct", "profit_factor", "deflated_sharpe")
LEAST_TRADES: Final = 30
"""Below that a figure is luck: the trial is pruned."""
KEPT_BACK: Final = frozenset(
    {"enabled", "set", "interval", "long", "short", "risk_pct", "leverage", "min_costs"}
    | {"from_hour", "to_hour", "weekends"}
)
"""Not searched unless named: what makes it another strategy, what scales every trade alike, the cost gate, which a
search on past costs would always open, and the hours, in which a search finds what was there by chance."""

Range = tuple[Value, ...]
"""(low, high) of a number, or the words to choose from."""
Figures = Mapping[str, float]
Say = Callable[[str, float], None]


class Tried(msgspec.Struct, frozen=True):
    """How many variants were tried before, and the variance of their Sharpe ratios a day."""

    count: int = 1
    variance: float | None = None


ONCE: Final = Tried()


class Score(Protocol):
    """What parameters were worth from one UTC ns to another: `trades` and the metrics."""

    def __call__(self, params: Mapping[str, Value], from_ns: int, to_ns: int, tried: Tried = ONCE, /) -> Figures: ...


def folds(from_ns: int, to_ns: int, count: int) -> tuple[Fold, ...]:
    """`count` folds of a span in equal parts: the first searches in one part and is judged on the second, and so on."""
    edges = [from_ns + (to_ns - from_ns) * part // (count + 1) for part in range(count + 2)]
    return tuple(Fold(from_ns, edges[part], edges[part + 1]) for part in range(1, count + 1))


def space(kind: type[Strategy], wanted: Sequence[str] = ()) -> dict[str, Range]:
    """What is searched: the declared ranges, or only what is `wanted`, as `name` or `name=low:high`.

    Raises SweepError.
    """
    if not wanted:
        found = {name: _range(param) for name, param in kind.PARAMS.items() if name not in KEPT_BACK}
        return {name: ends for name, ends in found.items() if len(set(ends)) > 1}
    return dict(_wanted(kind, each) for each in wanted)


def _wanted(kind: type[Strategy], text: str) -> tuple[str, Range]:
    name, _, ends = text.partition("=")
    param = kind.PARAMS.get(name)
    if param is None:
        raise SweepError(f"--search {name}: {kind.name} has no such parameter; it has {', '.join(kind.PARAMS)}")
    whole = _range(param)
    if not ends:
        return name, whole
    if isinstance(param.default, bool | str):
        raise SweepError(f"--search {text}: {name} is no number; it is one of {', '.join(map(str, whole))}")
    try:
        low, high = (type(param.default)(end) for end in ends.split(":"))
    except ValueError:
        raise SweepError(f"--search {text}: must be like {name}={whole[0]}:{whole[1]}") from None
    if not whole[0] <= low <= high <= whole[1]:  # type: ignore[operator]
        raise SweepError(f"--search {text}: must lie within {whole[0]}:{whole[1]}")
    return name, (low, high)


def _range(param: Param) -> Range:
    if isinstance(param.default, bool):
        return (False, True)
    return param.choices if isinstance(param.default, str) else (param.low, param.high)


def suggested(trial: "Trial", ranges: Mapping[str, Range]) -> dict[str, Value]:
    """One point of the space."""
    found: dict[str, Value] = {}
    for name, ends in ranges.items():
        kinds = {type(end) for end in ends}
        if kinds <= {int}:
            found[name] = trial.suggest_int(name, *ends)  # type: ignore[arg-type]
        elif kinds <= {int, float}:
            found[name] = trial.suggest_float(name, *map(float, ends))
        else:
            found[name] = cast("Value", trial.suggest_categorical(name, list(ends)))
    return found


# ---- the work --------------------------------------------------------------------------------------------------------


def work(found: "Sequence[Study]", plan: Plan, score: Score, say: Say) -> None:
    """Take trials, fold by fold, until each has enough complete ones; also those that other workers make count."""
    for number, (study, fold) in enumerate(zip(found, plan.folds, strict=True), 1):

        def objective(trial: "Trial", fold: Fold = fold) -> float:
            import optuna

            figures = score(plan.given | suggested(trial, plan.space), fold.from_ns, fold.until_ns)
            for key, value in figures.items():
                trial.set_user_attr(key, value if math.isfinite(value) else None)
            if figures["trades"] < LEAST_TRADES or not math.isfinite(figures[plan.metric]):
                raise optuna.TrialPruned(f"{figures['trades']:.0f} trades")
            return figures[plan.metric]

        def after(study: "Study", trial: "FrozenTrial", number: int = number) -> None:
            done = finished(study)
            say(f"fold {number} of {len(plan.folds)}, trial {done} of {plan.trials}", _share(number, done, plan))
            if done >= plan.trials:
                study.stop()

        if finished(study) < plan.trials:
            study.optimize(objective, callbacks=[after])


def finished(study: "Study") -> int:
    """Trials that have an answer; a pruned one is one."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def _share(number: int, done: int, plan: Plan) -> float:
    return (number - 1 + min(1.0, done / plan.trials)) / len(plan.folds)


def judged(found: "Sequence[Study]", plan: Plan, score: Score) -> dict[str, Any]:
    """The best of each fold and what it was worth afterwards. The figure is kept, so it is worked out once."""
    rows = []
    for study, fold in zip(found, plan.folds, strict=True):
        trials = study.get_trials(deepcopy=False)
        complete = [trial for trial in trials if trial.state.name == "COMPLETE" and trial.value is not None]
        row: dict[str, Any] = {
            "searched": [fold.from_ns // 1_000_000, fold.until_ns // 1_000_000],
            "judged": [fold.until_ns // 1_000_000, fold.to_ns // 1_000_000],
            "trials": {state: sum(t.state.name == state for t in trials) for state in ("COMPLETE", "PRUNED", "FAIL")},
        }
        if complete:
            best = max(complete, key=lambda trial: (trial.value or 0.0, -trial.number))
            kept = study.user_attrs.get(f"judged {best.number}")
            if kept is None:
                tried = Tried(len(trials), _variance(complete))
                kept = dict(score(plan.given | best.params, fold.until_ns, fold.to_ns, tried))
                kept = {key: value if math.isfinite(value) else None for key, value in kept.items()}
                study.set_user_attr(f"judged {best.number}", kept)
            row |= {"params": best.params, "in_sample": dict(best.user_attrs), "out_of_sample": kept}
        rows.append(row)
    inside = [row["in_sample"][plan.metric] for row in rows if "params" in row]
    outside = [row["out_of_sample"].get(plan.metric) or 0.0 for row in rows if "params" in row]
    return {
        "strategy": plan.strategy,
        "symbol": plan.symbol,
        "metric": plan.metric,
        "folds": rows,
        "trials": sum(sum(row["trials"].values()) for row in rows),
        "in_sample": _mean(inside),
        "out_of_sample": _mean(outside),
    }


def _variance(trials: "Sequence[FrozenTrial]") -> float | None:
    """Of the Sharpe ratios a day that were tried."""
    ratios = [trial.user_attrs["sharpe"] for trial in trials if trial.user_attrs.get("sharpe") is not None]
    return variance(ratios) / DAYS if len(ratios) > 1 else None


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def told(found: Mapping[str, Any]) -> list[str]:
    """The result in lines."""
    metric = found["metric"]
    lines = [f"{found['strategy']} on {found['symbol']}, {found['trials']} trials, {metric} a fold", ""]
    lines.append(f"{'judged on':25}{'searched':>12}{'judged':>12}{'trades':>8}   parameters")
    for row in found["folds"]:
        span = " to ".join(_day(ms) for ms in row["judged"])
        if "params" not in row:
            lines.append(f"{span:25}{'-':>12}{'-':>12}{'-':>8}   no trial had {LEAST_TRADES} trades")
            continue
        before, after = row["in_sample"][metric], row["out_of_sample"].get(metric)
        words = ", ".join(f"{name} {_short(value)}" for name, value in row["params"].items())
        trades = row["out_of_sample"].get("trades", 0)
        lines.append(f"{span:25}{before:12.2f}{_or_dash(after):>12}{trades:8.0f}   {words}")
    if found["in_sample"] is not None:
        lines += ["", f"{metric}: {found['in_sample']:.2f} where it was searched, "
                  f"{found['out_of_sample']:.2f} where it was not. Only the second says anything."]  # fmt: skip
    return lines


def _day(at_ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d")


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _or_dash(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


# ---- the command -----------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    """0: the study is done; 1: stopped; 2: bad usage or input, with one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        directive = load_config(given.config)
        bars, mended = history.gather(given.data, given.symbol)
        if given.strategy == AUTO:
            raise UsageError(f"--strategy {AUTO}: name the one whose parameters are searched")
        chosen = find(given.strategy, directive)
        model = model_of(directive)
        macro = tuple(given.macro) or directive.lab.files("macro")
        leader = tuple(given.leader) or directive.lab.files("leader")
        data = digest(bars, *macro, *leader)
        plan = _plan(given, chosen, directive, bars, data, model)
        storage = opened(given.storage)
        found = studies(storage, given.study or _name(plan), plan, given.seed)
    except (UsageError, SweepError, BarsError, ConfigError) as error:
        sys.stderr.write(f"nexus sweep: {harmless(error)}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    for line in () if given.json else mended.said():
        sys.stderr.write(f"{line}\n")
    say = Progress(as_json=given.json)
    plain = BacktestOrder(
        data=tuple(given.data), symbol=given.symbol, strategy=chosen.name, own=chosen.own, macro=macro, leader=leader,
        directive=directive, model=model,
    )  # fmt: skip
    score = Backtests(plain)
    try:
        work(found, plan, score, say)
        result = judged(found, plan, score)
    except (BarsError, ConfigError) as error:
        say.wipe()
        sys.stderr.write(f"nexus sweep: {harmless(error)}\n")
        return 2
    except KeyboardInterrupt:
        say.wipe()
        sys.stderr.write("nexus sweep: stopped; the same command goes on where it was\n")
        return 1
    say.wipe()
    sys.stdout.write((json.dumps(result) if given.json else "\n".join(told(result))) + "\n")
    return 0


class Backtests:
    """The score: a backtest like a plain one, with the parameters and over the span that are asked for."""

    def __init__(self, plain: BacktestOrder) -> None:
        self._plain = plain

    def __call__(self, params: Mapping[str, Value], from_ns: int, to_ns: int, tried: Tried = ONCE, /) -> Figures:
        plain, name = self._plain, self._plain.strategy
        strategies = plain.directive.strategies | {name: {**plain.directive.strategies.get(name, {}), **params}}
        result = run(
            msgspec.structs.replace(
                plain, directive=plain.directive.model_copy(update={"strategies": strategies}), since=from_ns,
                until=to_ns, trials=tried.count, trial_variance=tried.variance,
            )
        )  # fmt: skip
        return {key: float(result.metrics["net"][key]) for key in SHOWN}


def _parser() -> Parser:
    parser = Parser(
        prog="nexus sweep",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
        description=__doc__,
    )
    parser.add_argument("--data", metavar="F", type=Path, nargs="+", required=True, help="bars, parquet or CSV")
    parser.add_argument("--symbol", metavar="S", required=True, help="whose bars they are")
    parser.add_argument("--strategy", metavar="NAME", required=True, help=f"what is searched: {', '.join(NAMES)}, one "
                        "of your own (of the folder that --config names), or the path of its file")  # fmt: skip
    parser.add_argument("--search", metavar="P", nargs="+", default=[], help="only these: name, or name=low:high")
    parser.add_argument("--trials", metavar="N", type=int, default=50, help="trials a fold, all workers together (50)")
    parser.add_argument("--folds", metavar="N", type=int, default=3, help="times it is judged on the next part (3)")
    parser.add_argument("--metric", choices=METRICS, default=METRICS[0], help=f"what is made large ({METRICS[0]})")
    parser.add_argument("--from", dest="since", metavar="T", help="UTC, e.g. 2022-01-01 (the first bar)")
    parser.add_argument("--to", dest="until", metavar="T", help="UTC (the last bar)")
    parser.add_argument("--storage", metavar="URL", default="sqlite:///nexus-sweep.db", help="shared by all workers: "
                        "sqlite:///FILE on one machine, postgresql://user@host/db on any number")  # fmt: skip
    parser.add_argument("--study", metavar="NAME", help="workers of one name work together (of what is searched)")
    parser.add_argument("--seed", metavar="N", type=int, help="the same points again, with one worker")
    parser.add_argument("--macro", metavar="FILE", type=Path, nargs="+", default=[], help="as of nexus backtest")
    parser.add_argument("--leader", metavar="FILE", type=Path, nargs="+", default=[], help="as of nexus backtest")
    parser.add_argument(
        "--config", metavar="FILE", type=Path, help="take strategies, risk and shield of this directive"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress as JSON on stderr")
    return parser


def _plan(
    given: argparse.Namespace, chosen: Chosen, directive: Directive, bars: Bars, data: str, model: RegimeModel | None
) -> Plan:
    for name, least, most in (("trials", 1, 100_000), ("folds", 1, 50)):
        if not least <= getattr(given, name) <= most:
            raise UsageError(f"--{name} {getattr(given, name)}: must be from {least} to {most}")
    kind, tables = chosen.kind, directive.strategies.get(chosen.name, {})
    fixed = checked(kind, tables)
    begin_ns = int(bars.open_ns[0]) if given.since is None else moment("--from", given.since)
    end_ns = int(bars.open_ns[-1]) + bars.step_ns if given.until is None else moment("--to", given.until)
    if begin_ns >= end_ns:
        raise UsageError("--from must lie before --to")
    return Plan(
        strategy=chosen.name,
        symbol=given.symbol,
        data=data,
        metric=given.metric,
        trials=given.trials,
        folds=folds(begin_ns, end_ns, given.folds),
        space=space(kind, given.search),
        given={name: value for name, value in fixed.items() if name in tables},
        code=chosen.code or msgspec.UNSET,
        model=msgspec.UNSET if model is None else model.name,
    )


def digest(bars: Bars, *beside: Path) -> str:
    """Of what they hold, whatever file it came from, and of the files beside them. Raises BarsError."""
    found = hashlib.blake2b(digest_size=8)
    for column in (bars.open_ns, bars.ohlc, bars.volume):
        found.update(column.tobytes())
    for path in beside:
        try:
            found.update(path.read_bytes())
        except OSError as error:
            raise BarsError(f"{path}: cannot be read ({error.strerror or error})") from error
    return found.hexdigest()


def _name(plan: Plan) -> str:
    return f"{plan.strategy}-{plan.symbol}-{hashlib.blake2b(msgspec.json.encode(plan), digest_size=4).hexdigest()}"
