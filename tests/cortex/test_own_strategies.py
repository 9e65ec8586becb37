"""A user's own strategies: one file each, and a broken one is one line."""

import shutil
from pathlib import Path

import msgspec
import pytest
from cortex_data import event, only, quote_at, rows_of, walk

from nexus_engine.core.engine import Engine
from nexus_engine.cortex.factory import STRATEGIES, Cortex
from nexus_engine.model.config import ConfigError, Directive, load
from nexus_engine.model.events import BarRow
from nexus_engine.model.ledger import Ledger
from nexus_engine.model.signals import Holding, Signal
from nexus_engine.model.words import Mode, Side
from nexus_engine.runtime.options import Options, check
from nexus_engine.runtime.own import load_own

EXAMPLE = Path(__file__).parents[2] / "examples" / "strategies" / "pullback.py"
NONE = {kind.name: {"enabled": False} for kind in STRATEGIES}
HOURS = rows_of(walk(1500, 5, noise=0.004, drift=0.0005), "1h")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(EXAMPLE, tmp_path / "pullback.py")
    return tmp_path


def played(cortex: Cortex, rows: list[BarRow]) -> list[str]:
    signals = [cortex.bar(event(row, "1h"), quote_at(row.close)) for row in rows]
    return [signal.strategy for some in signals for signal in some]


def test_the_example_runs_beside_the_shipped_ones_and_is_gated_like_them(folder: Path) -> None:
    own = load_own(str(folder))
    assert not own.problems
    cortex = Cortex(NONE | {"pullback": {"fast": 10}}, own)
    assert cortex.names == ("pullback",)
    cortex.history("SOLUSDT", "1h", HOURS[:700])
    spoken = played(cortex, HOURS[700:])
    assert spoken and set(spoken) == {"pullback"}
    assert cortex.counters["regime"] > 0


def test_its_parameters_are_checked_like_the_shipped_ones(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"strategies.pullback.fast = 99: must be a whole number from 5 to 50"):
        Cortex({"pullback": {"fast": 99}}, load_own(str(folder)))


BROKEN = {
    "typo": ("def f(:\n", "line 1: SyntaxError"),
    "raises": ("x = 1\nraise RuntimeError('no\\nluck')\n", "line 2: RuntimeError: no luck"),
    "leaves": ("import sys\nsys.exit(3)\n", "line 2: SystemExit: 3"),
    "empty": ("x = 1\n", "no class with name, PARAMS, warm and on_bar"),
    "twice": (EXAMPLE.read_text().replace('= "pullback"', '= "flow"'), "there is a strategy flow already"),
    "capital": (EXAMPLE.read_text().replace('= "pullback"', '= "Pull back"'), "name 'Pull back': must be"),
    "gateless": (
        EXAMPLE.read_text().replace("= Gate(trending=True)", '= "trending"').replace('= "pullback"', '= "gateless"'),
        "GATE is no Gate",
    ),
    "geared": (
        EXAMPLE.read_text()
        .replace("Param(default=2, low=1", "Param(default=0, low=0")
        .replace('= "pullback"', '= "geared"'),
        "PARAMS['leverage'] must be a whole number above 0",
    ),
    "riskless": (
        EXAMPLE.read_text().replace('"risk_pct": Param', '"risk": Param').replace('= "pullback"', '= "bold"'),
        "PARAMS has no risk_pct",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_one_line_and_the_rest_lives(folder: Path, name: str) -> None:
    text, words = BROKEN[name]
    (folder / f"{name}.py").write_text(text)
    own = load_own(str(folder))
    assert [kind.name for kind in own.kinds] == ["pullback"]
    assert list(own.problems) == [name]
    assert words in own.problems[name]
    assert "\n" not in own.problems[name]
    # what the directive says of it does not keep the account from starting
    cortex = Cortex({name: {"fast": 3}}, own)
    assert set(cortex.names) == {*(kind.name for kind in STRATEGIES), "pullback"}
    assert cortex.problems == [f"{name}.py: {own.problems[name]}"]


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ("        fast, slow, atr = parts", "        1 / 0\n        fast, slow, atr = parts", "ZeroDivisionError"),
        (
            "        fast, slow, atr = parts",
            "        raise SystemExit(3)\n        fast, slow, atr = parts",
            "SystemExit: 3",
        ),
        ("self.params = params", "raise SystemExit(4)", "SystemExit: 4"),
        ("stop_distance=distance", "stop_distance=-distance", "its stop_distance is -"),
        ("limit=quote.ask + 0.1 * distance", "limit=float('nan')", "its limit is nan"),
        ("strategy=self.name", 'strategy="flow"', "it signs 'flow'"),
        ("symbol=bar.symbol", 'symbol="BTCUSDT"', "for 'BTCUSDT' at a bar of SOLUSDT"),
        ("target=quote.ask + 2 * distance", "target=float('nan')", "its target is nan"),
        ("target=quote.ask + 2 * distance", "target=-1.0, trail_distance=1.0", "its target is -1.0"),
        ("side=Side.BUY", 'side="up"', "Invalid enum value 'up' - at `$.side`"),
        ("side=Side.BUY", "side=Side.BUY, partials=((1.0, 7.0),)", "its partials are ((1.0, 7.0),)"),
        ("side=Side.BUY", "side=Side.BUY, trail_distance=float('inf')", "its trail_distance is inf"),
        ('leverage=self.params["leverage"]', "leverage=0", "its leverage is 0"),
        ('leverage=self.params["leverage"]', "leverage=2.5", "at `$.leverage`"),
        ("regime=regime", "regime=None", "at `$.regime`"),
        ("return Signal(", "return dict(", "a dict is no Signal"),
        ("self.counters: Counter[str] = Counter()", "self.counters = {}", "counters must be a Counter"),
        ("self.counters: Counter[str] = Counter()", "pass", "counters must be a Counter"),
        ("self.params = params", "self.params = params; self.intervals = ('7m',)", "intervals ('7m',): allowed are 1m"),
        ('intervals = ("1h",)', "", "intervals (): allowed are 1m"),
        ("self.params = params", "self.params = params; self.name = 'flow'", "it calls itself 'flow'"),
    ],
)
def test_one_that_fails_while_it_runs_is_left_out_and_the_rest_lives(
    folder: Path, line: str, instead: str, words: str
) -> None:
    text = EXAMPLE.read_text()
    assert line in text
    (folder / "pullback.py").write_text(text.replace(line, instead))
    cortex = Cortex(only("flow", {"interval": "1h"}) | {"pullback": {"fast": 10}}, load_own(str(folder)))
    cortex.history("SOLUSDT", "1h", HOURS[:700])
    spoken = played(cortex, HOURS[700:])
    assert set(spoken) == {"flow"}
    [problem] = cortex.problems
    assert problem.startswith("strategy pullback is off until a restart: ")
    assert words in problem
    assert cortex.names == ("flow",)


def pulled(folder: Path) -> Cortex:
    """The example beside Flow, with a past at whose last close its fast average is under its slow one."""
    cortex = Cortex(only("flow", {"interval": "1h"}) | {"pullback": {"fast": 10}}, load_own(str(folder)))
    fall = rows_of(walk(700, 5, noise=0.001, drift=-0.001), "1h")
    cortex.history("SOLUSDT", "1h", fall)
    return cortex


LAST = rows_of(walk(700, 5, noise=0.001, drift=-0.001), "1h")[-1]
HELD = Holding(symbol="SOLUSDT", side=Side.BUY, entry=100.0, stop=90.0, since_ns=0)


def test_the_example_leaves_what_it_opened_and_nothing_else(folder: Path) -> None:
    cortex = pulled(folder)
    leave = cortex.leave("pullback", "1h", LAST, HELD)
    assert leave is not None and leave.reasons == ("the fast average is under the slow one",)
    for name in ("flow", "", "pull"):
        other = cortex.leave(name, "1h", LAST, HELD)
        assert other is None or "channel" in other.reasons[0]
    assert cortex.leave("", "1h", LAST, HELD) is None
    assert cortex.leave("pullback", "4h", LAST, HELD) is None


def test_a_close_from_before_it_held_anything_and_one_that_is_not_the_last_are_none_to_leave_at(folder: Path) -> None:
    cortex = pulled(folder)
    close_ns = LAST.open_ns + 3_600_000_000_000
    assert cortex.leave("pullback", "1h", LAST, msgspec.structs.replace(HELD, since_ns=close_ns - 1)) is not None
    assert cortex.leave("pullback", "1h", LAST, msgspec.structs.replace(HELD, since_ns=close_ns)) is None
    earlier = msgspec.structs.replace(LAST, open_ns=LAST.open_ns - 3_600_000_000_000)
    assert cortex.leave("pullback", "1h", earlier, HELD) is None


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ("return Leave(", "1 / 0\n        return Leave(", "ZeroDivisionError"),
        ("return Leave(", "return dict(", "a dict is no Leave with a reason"),
        ('reasons=("the fast average is under the slow one",)', "reasons=()", "is no Leave with a reason"),
        ('reasons=("the fast average is under the slow one",)', "reasons=(1,)", "at `$.reasons[0]`"),
    ],
)
def test_one_that_fails_while_it_leaves_is_left_out_too(folder: Path, line: str, instead: str, words: str) -> None:
    text = EXAMPLE.read_text()
    assert line in text
    (folder / "pullback.py").write_text(text.replace(line, instead))
    cortex = pulled(folder)
    assert cortex.leave("pullback", "1h", LAST, HELD) is None
    [problem] = cortex.problems
    assert problem.startswith("strategy pullback is off until a restart: ") and words in problem
    assert cortex.names == ("flow",)


def test_what_numpy_counted_is_a_number_like_any_other(folder: Path) -> None:
    text = EXAMPLE.read_text().replace(
        "        distance = ", "        import numpy as np\n        distance = np.float64(1.0) * "
    )
    (folder / "pullback.py").write_text(text)
    cortex = Cortex(NONE | {"pullback": {"fast": 10}}, load_own(str(folder)))
    cortex.history("SOLUSDT", "1h", HOURS[:700])
    signals = [one for row in HOURS[700:] for one in cortex.bar(event(row, "1h"), quote_at(row.close))]
    assert signals and not cortex.problems
    # the journal takes no number of numpy's, and its repr is no Decimal
    assert {type(one.stop_distance) for one in signals} == {type(one.limit) for one in signals} == {float}
    for one in signals:
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=Signal) == one


def test_a_relative_folder_is_seen_from_the_directive(folder: Path) -> None:
    home = folder.parent / "home"
    home.mkdir()
    file = home / "nexus.toml"
    file.write_text(f'[account]\nown_strategies = "../{folder.name}"\nmodes = {{pullback = "PILOT"}}\n')
    directive = load(file)
    assert Path(directive.account.own_strategies).resolve() == folder.resolve()
    check(Options(directive=directive))
    engine = Engine(directive, Ledger(), load_own(directive.account.own_strategies))
    assert "pullback" in engine.cortex.names
    assert engine.mode_of("pullback") is Mode.COPILOT  # the account's


def test_a_folder_that_is_not_there_is_said_and_starts_all_the_same(tmp_path: Path) -> None:
    own = load_own(str(tmp_path / "nowhere"))
    assert "is not a folder; correct account.own_strategies" in own.problems["nowhere"]
    Engine(Directive(), Ledger(), own)
