"""What an append costs: to be durable one by one, in groups as the engine makes them, and what the chain adds to it."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nexus_engine.model.facts import Noted
from nexus_engine.model.words import AccountKind, Level
from nexus_engine.store import thread
from nexus_engine.store.sqlite import SqliteJournal

SINGLES, GROUPED, ROUNDS = 500, 20_000, 5
BODY = "BTCUSDT P12 filled 0.030 at 64010.0, stop 63000 confirmed by the venue after 41 ms, and some more words"


def fact(number: int) -> Noted:
    return Noted(at_ns=1_760_000_000_000_000_000 + number, level=Level.INFO, subject="BTCUSDT", by="bot", text=BODY)


async def measure(path: Path) -> dict[str, float]:
    """One awaited append after the other (p50, p99 in ms), then as many as will wait (facts a second)."""
    journal = SqliteJournal.open(path)
    journal.claim("main", AccountKind.DEMO)
    took_ms = []
    for number in range(SINGLES):
        began_s = time.perf_counter()
        await journal.append([fact(number)])
        took_ms.append((time.perf_counter() - began_s) * 1e3)
    began_s = time.perf_counter()
    for number in range(0, GROUPED, 100):
        await asyncio.gather(*(journal.append([fact(number + one)]) for one in range(100)))
    rate = GROUPED / (time.perf_counter() - began_s)
    journal.close()
    cut = statistics.quantiles(took_ms, n=100)
    return {"append_p50_ms": round(cut[49], 3), "append_p99_ms": round(cut[98], 3), "facts_per_s": round(rate)}


def unchained(*_: object) -> bytes:
    return b"0" * 16


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        rounds: dict[str, list[dict[str, float]]] = {"chained": [], "without": []}
        link = thread.link
        for number in range(ROUNDS):
            for name, chain in (("chained", link), ("without", unchained)):
                thread.link = chain  # type: ignore[assignment]
                rounds[name].append(asyncio.run(measure(Path(folder) / f"{name}{number}.db")))
        thread.link = link
    found = {
        name: {key: statistics.median(one[key] for one in many) for key in many[0]} for name, many in rounds.items()
    }
    number, row = 200_000, fact(0)
    body = thread.FACTS.encode(row).decode()
    began_s = time.perf_counter()
    for seq in range(number):
        link(b"0" * 16, seq, seq, 1, row.at_ns, "Noted", body)
    hash_us = (time.perf_counter() - began_s) / number * 1e6
    print(f"{'':10}{'p50 ms':>10}{'p99 ms':>10}{'facts/s':>10}")
    for name, one in found.items():
        print(f"{name:10}{one['append_p50_ms']:>10}{one['append_p99_ms']:>10}{one['facts_per_s']:>10}")
    print(f"the chain's hash: {hash_us:.2f} us a fact")
    print(json.dumps({"benchmark": "journal", "hash_us": round(hash_us, 2), **found}))


if __name__ == "__main__":
    main()
