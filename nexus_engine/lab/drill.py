"""`nexus drill`: a crash, generated or recorded, through the whole real stack on loopback, with longs and shorts open;
and what the Sentinel did. No account is touched: everything lives in a temporary folder and ends with the drill."""

import argparse
import asyncio
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from nexus_engine.lab.bars import SECOND_NS, Bars, BarsError, load, utc
from nexus_engine.lab.crashes import BETA, CRASHES, OPENING, Crash, tape
from nexus_engine.lab.progress import Progress
from nexus_engine.lab.scan import Trip, scan
from nexus_engine.lab.stage import Played, Stage, evidence_of
from nexus_engine.model.config import ConfigError, ShieldConfig
from nexus_engine.model.config import load as load_config
from nexus_engine.model.drills import DRILLS
from nexus_engine.model.usage import Parser, UsageError
from nexus_engine.model.words import Side
from nexus_engine.shield.blackswan import MINUTE_NS
from nexus_engine.sim.faults import Fault
from nexus_engine.sim.played import Ticks

LEADER: Final = "BTCUSDT"
AROUND_NS: Final = 30 * MINUTE_NS
LEAD_NS: Final = 65 * MINUTE_NS
"""Before a play: what the venue can tell of the past."""
CALM_NS: Final = 10 * MINUTE_NS
"""A file that begins with its crash is given so much calm before it, so that there is something to lose."""
SPEED: Final = 120.0
FASTEST: Final = 240.0
LONG_ALTS, SHORT_ALTS = 3, 3


Say = Callable[[str, float], None]


def main(argv: Sequence[str]) -> int:
    """0: the Sentinel did what it must; 1: it did not; 2: bad usage or input, with one line on stderr."""
    try:
        given = _parser().parse_args(argv)
        shield = load_config(given.config).shield.model_copy(update={"swan_symbol": given.symbol})
        crash = None if given.scenario is None else _crash(given.scenario)
        bars = None if given.data is None else load(given.data)
        if not re.fullmatch(r"[A-Z0-9]{2,20}", given.symbol):
            raise UsageError(f"--symbol {given.symbol!r}: allowed are 2 to 20 of A-Z and 0-9, e.g. {LEADER}")
        if not 0 < (SPEED if given.speed is None else given.speed) <= FASTEST:
            raise UsageError(f"--speed {given.speed:g}: allowed are numbers above 0, up to {FASTEST:g}")
    except (UsageError, BarsError, ConfigError) as error:
        sys.stderr.write(f"nexus drill: {error}\n")
        return 2
    except SystemExit as stop:
        return int(stop.code or 0)
    logging.getLogger("nexus_engine").addHandler(logging.NullHandler())
    say = Progress(as_json=given.json)
    try:
        if crash is not None:
            found = asyncio.run(generated(given.scenario, crash, shield, given.speed, say))
        else:
            assert bars is not None
            found = asyncio.run(recorded(str(given.data), bars, shield, given.speed, say))
    except KeyboardInterrupt:
        return 1
    say.wipe()
    sys.stdout.write((json.dumps(found) if given.json else "\n".join(_told(found))) + "\n")
    return 0 if found["ok"] else 1


def _parser() -> argparse.ArgumentParser:
    listed = "\n".join(f"  {name:<20} {text}" for name, text in DRILLS.items())
    parser = Parser(
        prog="nexus drill", formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False,
        description=__doc__, epilog=f"scenarios:\n{listed}\n\nAlts follow the leader with a beta of {BETA} in log "
        "returns, without lag.\nA file has the columns open_time, open, high, low, close, volume; bars of 1 s to 5 m.",
    )  # fmt: skip
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--scenario", metavar="NAME", help="a generated crash")
    what.add_argument("--data", metavar="FILE", type=Path, help="recorded bars, parquet or CSV")
    parser.add_argument("--symbol", metavar="S", default=LEADER, help=f"whose bars they are ({LEADER})")
    parser.add_argument("--speed", metavar="X", type=float, help=f"market seconds a second, up to {FASTEST:g}")
    parser.add_argument("--config", metavar="FILE", type=Path, help="take [shield] of this directive")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout, progress on stderr")
    return parser


def _crash(name: str) -> Crash:
    crash = CRASHES.get(name)
    if crash is None:
        raise UsageError(f"--scenario {name!r}: there is none of that name; there are {', '.join(CRASHES)}")
    return crash


# ---- the drills ------------------------------------------------------------------------------------------------------


async def generated(name: str, crash: Crash, shield: ShieldConfig, speed: float | None, say: Say) -> dict[str, Any]:
    """Play a generated crash."""
    longs, shorts = _cast(shield.swan_symbol)
    alts = (*longs[1:], *shorts)
    ticks, start_ns, end_ns = tape(crash, shield.swan_symbol, alts)
    speed = speed or crash.speed
    fall_s = crash.course[1][0] * 60 / speed
    faults = crash.faults(fall_s)
    played = await _play(ticks, start_ns, end_ns, shield, longs, shorts, speed, say, faults=faults)
    trips = [act.trip for act in played.acts]
    head = {"scenario": name, "summary": DRILLS[name]}
    return _result(head, trips, [played], expected=crash.trips, faults=bool(faults))


async def recorded(name: str, bars: Bars, shield: ShieldConfig, speed: float | None, say: Say) -> dict[str, Any]:
    """Scan recorded bars in-process, and play what is around each trip."""
    say("scanning", 0.0)
    found = await asyncio.to_thread(scan, bars, shield)
    trips = [trip for trip in found if trip.window_s]
    longs, shorts = _cast(shield.swan_symbol)
    plays = []
    spans = _spans(trips, bars)
    for number, (start_ns, end_ns) in enumerate(spans):
        ticks, begin_ns = _tape(bars, start_ns, end_ns, shield.swan_symbol, (*longs[1:], *shorts))

        def share(text: str, part: float, number: int = number) -> None:
            say(f"{text} {number + 1} of {len(spans)}", (number + part) / len(spans))

        plays.append(await _play(ticks, begin_ns, end_ns, shield, longs, shorts, speed or SPEED, share))
    head = {
        "data": name, "bars": len(bars), "step_s": bars.step_ns / SECOND_NS, "from": utc(int(bars.open_ns[0])),
        "to": utc(int(bars.open_ns[-1]) + bars.step_ns), "further_falls": len(found) - len(trips),
    }  # fmt: skip
    return _result(head, trips, plays)


def _cast(leader: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Who is held long, the leader first, and who short."""
    alts = [symbol for symbol in OPENING if symbol != leader]
    return (leader, *alts[:LONG_ALTS]), tuple(alts[LONG_ALTS : LONG_ALTS + SHORT_ALTS])


def _spans(trips: Sequence[Trip], bars: Bars) -> list[tuple[int, int]]:
    """Half an hour to each side of every trip, in the file; what overlaps is one."""
    first_ns, last_ns = int(bars.open_ns[0]), int(bars.open_ns[-1]) + bars.step_ns
    spans: list[tuple[int, int]] = []
    for trip in trips:
        start_ns, end_ns = max(first_ns, trip.at_ns - AROUND_NS), min(last_ns, trip.at_ns + AROUND_NS)
        if spans and start_ns <= spans[-1][1]:
            spans[-1] = (spans[-1][0], end_ns)
        else:
            spans.append((start_ns, end_ns))
    return spans


def _tape(bars: Bars, start_ns: int, end_ns: int, leader: str, alts: Sequence[str]) -> tuple[dict[str, Ticks], int]:
    """The ticks of a span and of the past before it; and when to begin."""
    part = bars.cut(start_ns - LEAD_NS, end_ns)
    times, prices = part.ticks(0, len(part))
    lead_ns = start_ns - int(times[0])
    if lead_ns < CALM_NS:
        # On whole minutes, as the candles want it.
        calm = np.arange(times[0] - CALM_NS - (times[0] - CALM_NS) % MINUTE_NS, times[0], SECOND_NS)
        times, prices = np.concatenate([calm, times]), np.concatenate([np.full(len(calm), prices[0]), prices])
        start_ns = int(calm[0]) + MINUTE_NS
    path = np.log(prices / prices[0])
    listed = times.tolist()
    ticks = {leader: Ticks(listed, prices.tolist())}
    for alt in alts:
        ticks[alt] = Ticks(listed, (OPENING.get(alt, 10.0) * np.exp(BETA * path)).tolist())
    return ticks, start_ns


async def _play(
    ticks: dict[str, Ticks], start_ns: int, end_ns: int, shield: ShieldConfig, longs: Sequence[str],
    shorts: Sequence[str], speed: float, say: Say, *, faults: tuple[Fault, ...] = (),
) -> Played:  # fmt: skip
    sides = dict.fromkeys(longs, Side.BUY) | dict.fromkeys(shorts, Side.SELL)
    async with Stage(ticks, start_ns, shield=shield, sides=sides, speed=speed, faults=faults) as stage:
        span_ns = end_ns - start_ns
        return await stage.play(end_ns, lambda at_ns: say("playing", min(1.0, (at_ns - start_ns) / span_ns)))


def _result(
    head: dict[str, Any],
    trips: Sequence[Trip],
    plays: Sequence[Played],
    *,
    expected: bool | None = None,
    faults: bool = False,
) -> dict[str, Any]:
    acts = [act for played in plays for act in played.acts]
    exit_ms = [ms for played in plays for ms in played.exit_ms]
    confirmed = [one.filled_ms for act in acts for one in act.longs.values() if one.filled_ms is not None]
    found = {
        **head,
        "trips": [trip.told() for trip in trips],
        "longs_open": sum(played.longs_open for played in plays),
        "longs_closed": sum(played.longs_closed for played in plays),
        "exit_ms_max": round(max(exit_ms), 2) if exit_ms else None,
        "closed_ms_max": round(max(confirmed), 2) if confirmed else None,
        "shorts_touched": sum(played.shorts_touched for played in plays),
        "longs_opened_while_tripped": sum(played.longs_opened_while_tripped for played in plays),
        "alerts": sum(played.alerts for played in plays),
        "plays": len(plays),
        "faults_struck": sum(played.struck for played in plays),
        "beta": BETA,
        "evidence": [evidence_of(act) for act in acts],
    }
    problems = _problems(found, plays, acts_wanted=bool(trips) if expected is None else expected, faults=faults)
    return found | {"problems": problems, "ok": not problems}


def _problems(found: dict[str, Any], plays: Sequence[Played], *, acts_wanted: bool, faults: bool) -> list[str]:
    """What the Sentinel did not do as it must; empty when it did."""
    wrong = []
    if acts_wanted and not all(played.acts for played in plays):
        wrong.append("the Sentinel did not trip on loopback")
    if not acts_wanted and found["trips"]:
        wrong.append("the Sentinel tripped where nothing fell")
    if faults and not found["faults_struck"]:
        wrong.append("nothing went wrong that should have")
    if acts_wanted and not found["longs_open"]:
        wrong.append("no long was open at the trip: nothing was shown")
    if found["longs_closed"] != found["longs_open"]:
        wrong.append(f"{found['longs_open'] - found['longs_closed']} longs were not closed")
    if found["shorts_touched"]:
        wrong.append(f"{found['shorts_touched']} shorts were touched")
    if found["longs_opened_while_tripped"]:
        wrong.append(f"{found['longs_opened_while_tripped']} longs were sent while tripped")
    return wrong


# ---- telling ---------------------------------------------------------------------------------------------------------


def _told(found: dict[str, Any]) -> list[str]:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    lines = [f"{found.get('scenario') or found['data']}: {found.get('summary') or str(found['bars']) + ' bars'}"]
    for trip in found["trips"]:
        lines.append(
            f"  {trip['at']}  {trip['drop_pct']:.2f} % under the {trip['window_s'] // 60} min high of "
            f"{trip['reference']:,.8g}, at {trip['price']:,.8g}"
        )
    lines.append(
        f"trips {len(found['trips'])}, alerts on the way {found['alerts']}, played on loopback {found['plays']}"
    )
    if found["longs_open"]:
        lines.append(
            f"longs open {found['longs_open']}, closed {found['longs_closed']}; last exit on the wire after "
            f"{found['exit_ms_max']:g} ms, last fill after {found['closed_ms_max'] or float('nan'):g} ms"
        )
    lines.append(
        f"shorts touched {found['shorts_touched']}, longs sent while tripped {found['longs_opened_while_tripped']}"
    )
    return lines + [f"NOT AS IT MUST BE: {problem}" for problem in found["problems"]]
