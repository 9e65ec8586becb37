"""`make crash KILLS=1000`: kill -9, a thousand times, of an engine that trades against a separate `nexus exchange`.

An engine lives for about a second, and is killed at a moment drawn from the seed: at any moment, while it starts, while
it compares with the venue, as its journal commits, or as the venue takes an order of its own. What the next life finds
naked must be protected within three seconds of its start; sometimes that life is killed too, before it can. After a
hundred kills the last life closes what it holds and leaves. Then the venue's books, what was looked for in them all the
while, and the journal must agree to the last fill. Prints what happened, and a JSON line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import books as books_of
from crash_house import ENV, WAIT_S, Exchange, Forge, Life, directive

from nexus_engine.model.facts import AnyFact
from nexus_engine.model.ledger import Ledger
from nexus_engine.runtime.client import NoAnswer, ask
from nexus_engine.store.rows import decode_fact, reading, rows

CHAPTER = 100
PROTECTED_S = 3.0
CALM_S = 40.0
LIFE_S = 1.6
START_S = 0.7
COLD = 0.04
"""Of the lives, so many start as a process that has imported nothing yet."""
AGAIN = 0.3
"""Of the lives that find something naked, so many are killed before they need have protected it."""
ENTRIES_A_KILL = 0.3
"""At least so many, or something keeps the engine from trading."""
MOMENTS = {"any": 0.35, "start": 0.1, "comparison": 0.1, "commit": 0.2, "order": 0.25}
DIRECTIVE = """
account.mode = "PILOT"
binance.symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT", "XRPUSDT", "LINKUSDT"]
risk.entry_ms = 3000
"""


class Tally:
    """Over all chapters."""

    def __init__(self) -> None:
        self.kills: Counter[str] = Counter()
        self.found: list[str] = []
        self.protected_s: dict[bool, list[float]] = {False: [], True: []}
        """From the start of a life that found something naked until nothing was; by whether it started cold."""
        self.naked_alive_s: list[float] = []
        self.naked_s: list[float] = []
        self.entries = self.orders = self.fills = self.facts = self.stops = 0
        self.unrecorded = 0
        """Exits that a late disk let leave without their record, and whose engine was killed before it stood."""


class Chapter:
    """A venue, a journal, and up to a hundred lives."""

    def __init__(self, folder: Path, rng: Random, tally: Tally) -> None:
        self._folder, self._rng, self._tally = folder, rng, tally
        self._exchange = Exchange(folder, rng.randrange(1_000))
        config = folder / "nexus.toml"
        config.write_text(directive(folder / "ready.json", DIRECTIVE))
        self._state = folder / "state"
        words = ["--headless", "--demo", "--config", str(config), "--state", str(self._state)]
        self._forge = Forge(words, folder / "log")
        self._wal = self._state / "main-demo" / "journal.db-wal"
        self._where = ""

    def run(self, kills: int) -> None:
        """Kill so often, then end in order and compare."""
        moments, weights = list(MOMENTS), list(MOMENTS.values())
        before = self._tally.entries
        for _ in range(kills):
            moment = self._rng.choices(moments, weights)[0]
            self._live(moment)
            self._tally.kills[moment] += 1
        self._end()
        entries = self._tally.entries - before
        if entries < kills * ENTRIES_A_KILL:
            self._fail(f"{entries} entries in {kills} lives: what hardly trades proves nothing; see LOOSE")

    def suffer(self, fault: Callable[[Life], object], seconds: float) -> None:
        """Let an engine trade, do something to its process, let it trade on, kill it if it is still there, then end in
        order and compare. What the checker asks for is not asked of a process while that is done to it."""
        life = self._start()
        assert self._exchange.hears("order", WAIT_S * 3), "the engine does not trade"
        time.sleep(seconds)
        self._exchange.tell("dead")
        fault(life)
        if not life.over:
            self._exchange.tell("life")
            # it may have nothing left to trade with
            self._exchange.hears("order", WAIT_S)
            time.sleep(seconds)
            life.kill()
        self._exchange.tell("dead")
        self._end()

    def facts(self) -> list[AnyFact]:
        """The journal as it is."""
        with reading(self._state / "main-demo" / "journal.db") as conn:
            return [decode_fact(row) for row in rows(conn)]

    def _fail(self, text: str) -> None:
        self._tally.found.append(f"kill {sum(self._tally.kills.values())}: {text}")

    def _start(self) -> Life:
        self._exchange.forget()
        cold = self._rng.random() < COLD
        # a cold one is alive once it has imported what it is made of: until then its start alone is judged
        naked = self._exchange.tell("look" if cold else "life")["naked"]
        life = self._forge.start(cold=cold)
        if naked and self._rng.random() > AGAIN:
            protected = self._until(lambda: not set(naked) & set(self._exchange.tell("look")["naked"]), WAIT_S)
            took_s, starved_s = time.monotonic() - life.began_s, life.starved_s
            self._tally.protected_s[life.cold].append(took_s)
            if not protected or took_s - starved_s > PROTECTED_S:
                how = f"{took_s:.2f} s after a {'cold ' * cold}start, {starved_s:.2f} s of it without a core"
                self._fail(f"{', '.join(naked)} naked {how}")
            self._exchange.tell("life")
        elif cold and not naked:
            self._exchange.tell("life")
        return life

    def _live(self, moment: str) -> None:
        rng, life = self._rng, self._start()
        if moment == "any":
            time.sleep(rng.uniform(0.0, LIFE_S * (2 if life.cold else 1)))
        elif moment == "start":
            time.sleep(max(0.0, life.began_s + rng.uniform(0.0, START_S) - time.monotonic()))
        elif moment == "comparison":
            self._exchange.hears("snapshot", LIFE_S * 2)
            time.sleep(rng.uniform(0.0, 0.05))
        elif moment == "commit":
            time.sleep(rng.uniform(0.2, LIFE_S))
            before = self._written()
            self._until(lambda: self._written() != before, LIFE_S, 0.0005)
        else:
            time.sleep(rng.uniform(0.2, LIFE_S / 2))
            self._exchange.forget()
            self._exchange.hears("order", LIFE_S * 2)
            time.sleep(rng.choice((0.0, 0.001, 0.005, 0.02)))
        if life.over:
            self._fail(f"the engine of pid {life.pid} had ended by itself; see {self._folder / 'log'}")
        else:
            life.kill()
        self._exchange.tell("dead")

    def _written(self) -> int:
        try:
            return self._wal.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    @staticmethod
    def _until(done: Callable[[], object], within_s: float, every_s: float = 0.02) -> bool:
        deadline_s = time.monotonic() + within_s
        while not done():
            if time.monotonic() > deadline_s:
                return False
            time.sleep(every_s)
        return True

    # ---- the end of it -----------------------------------------------------------------------------------------------

    def _ask(self, **request: Any) -> dict[str, Any]:
        try:
            return ask(self._state / "main-demo", request, 2.0)
        except NoAnswer:
            return {}

    def _calm(self) -> bool:
        """Nothing is open at the venue, and the journal knows."""
        books = self._exchange.tell("books")
        if books["held"] or books["open"]:
            return False
        ledger = Ledger().fold(self.facts())
        return not (ledger.positions or any(ledger.alive()))

    def _end(self) -> None:
        tally = self._tally
        (self._folder / "quiet").touch()
        self._exchange.tell("life")
        life = self._forge.start(cold=False)
        self._until(lambda: not self._ask(op="status").get("status", {"progress": "?"})["progress"], WAIT_S, 0.1)
        self._ask(op="send", command={"type": "Flatten", "word": "flat"})
        if not self._until(self._calm, CALM_S, 0.2):
            told = {name: self._exchange.tell("books")[name] for name in ("held", "open")}
            self._fail(f"not calm after {CALM_S:g} s: {told}, status {self._ask(op='status')}")
        self._ask(op="stop", how="quit")
        life.wait(WAIT_S * 2)
        books = self._exchange.tell("books")
        self._forge.close()
        self._exchange.close()
        self._compare(books)
        tally.naked_alive_s += books["naked_alive_s"]
        tally.naked_s += books["naked_s"]
        tally.orders += len(books["ids"])
        tally.entries += len(books["entries"])
        tally.stops += books["stops"]
        tally.fills += len(books["fills"])

    def _compare(self, books: dict[str, Any]) -> None:
        """Venue against journal, to the last fill."""
        facts = self.facts()
        self._tally.facts += len(facts)
        audit = books_of.Audit()
        broken = audit.walk(facts)
        excused = books_of.impatient(books["created_ms"], facts)
        self._tally.unrecorded += len({*books["ids"]} & excused - books_of.intended(facts))
        executions = [(symbol, trade, cid, Decimal(qty)) for symbol, trade, cid, qty in books["fills"]]
        held = {symbol: Decimal(qty) for symbol, qty in books["held"].items()}
        for line in (
            *broken,
            *books_of.doubled(books["ids"]),
            *books_of.unwritten(books["ids"], facts, excused),
            *books_of.orphans(books["open"], audit.ledger),
            *books_of.unequal(executions, facts, excused),
            *books_of.positions(held | dict.fromkeys(audit.ledger.positions.keys() - held, Decimal(0)), audit.ledger),
            *books["found"],
        ):
            self._fail(line)
        for text, what in (
            ("left at the venue", books["open"]),
            ("held at the venue", books["held"]),
            ("taken for foreign", audit.ledger.foreign),
            ("latched", {latch: fact.reason for latch, fact in audit.ledger.latches.items()}),
        ):
            if what:
                self._fail(f"{text}: {what}")
        told = subprocess.run(
            [sys.executable, "-m", "nexus_tui", "journal", "verify", "--demo", "--state", str(self._state)],
            env=ENV,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if told.returncode:
            self._fail(f"nexus journal verify: {told.stdout} {told.stderr}")


def run(kills: int, seed: int, folder: Path, say: Callable[[str], object] = print) -> Tally:
    """So many kills; what was found is in the tally."""
    tally, rng = Tally(), Random(seed)
    begun_s, told = time.monotonic(), 0
    while (done := sum(tally.kills.values())) < kills:
        part = folder / f"{done}"
        part.mkdir()
        Chapter(part, rng, tally).run(min(CHAPTER, kills - done))
        done = sum(tally.kills.values())
        spent_s = time.monotonic() - begun_s
        say(
            f"{done:>5} kills, {spent_s / done:.2f} s each, {tally.entries} entries, {tally.fills} fills, "
            f"worst naked {max(tally.naked_s, default=0):.2f} s, found {len(tally.found)}"
        )
        for line in tally.found[told:]:
            say(f"FOUND {line}")
        told = len(tally.found)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="an empty folder for journals and logs, which then stay")
    given = parser.parse_args()
    begun_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tally = run(given.kills, given.seed, given.keep or Path(folder), lambda line: print(line, flush=True))
    kills = sum(tally.kills.values())
    warm, cold = sorted(tally.protected_s[False]), sorted(tally.protected_s[True])
    summary = {
        "kills": kills,
        "moments": dict(tally.kills),
        "s_per_kill": round((time.monotonic() - begun_s) / kills, 2),
        "orders": tally.orders,
        "entries": tally.entries,
        "stops": tally.stops,
        "fills": tally.fills,
        "facts": tally.facts,
        "exits_left_unrecorded": tally.unrecorded,
        "starts_with_something_naked": len(warm) + len(cold),
        "protected_after_start_s": {"worst": _worst(warm), "worst_cold": _worst(cold)},
        "worst_naked_while_alive_s": _worst(tally.naked_alive_s),
        "worst_naked_s": _worst(tally.naked_s),
        "found": len(tally.found),
    }
    for name, value in summary.items():
        print(f"{name:<28} {value}")
    print(json.dumps(summary))
    return int(bool(tally.found))


def _worst(seconds: list[float]) -> float:
    return round(max(seconds, default=0.0), 2)


if __name__ == "__main__":
    raise SystemExit(main())
