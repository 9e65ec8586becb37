"""Spoiled messages through the decoders of the uplink: nothing crashes, and nothing absurd comes out as an event.

Every input is a good message (frames.jsonl, and the recorded shapes where there are any) with a few bytes or values
exchanged. A decoder may refuse it with its own error (UNREADABLE, StreamDown; for trading rules ValueError) and no
other; what it lets through has finite numbers, prices above zero and quantities not below.

`fuzz.py --count N [--seed S]` runs N of them and tells the first failures; `make fuzz` runs ten million.
`fuzz.py --record` writes frames.jsonl anew, from the practice venue.
"""

import argparse
import asyncio
import contextlib
import json
import math
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from uplink_data import HandClock, instrument, settings

from nexus_engine.uplink.binance import replies, rest
from nexus_engine.uplink.binance.depth import DepthBook
from nexus_engine.uplink.binance.rest import BinanceRest
from nexus_engine.uplink.binance.user import UserFeed
from nexus_engine.uplink.binance.wire import MARKET_EVENTS, MarketFrame, PublicFrame, exact
from nexus_engine.uplink.stream import StreamDown
from nexus_engine.uplink.unreadable import UNREADABLE

FRAMES = Path(__file__).with_name("frames.jsonl")
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null')
VALUES = (
    b'"NaN"', b"NaN", b'"nan"', b'"-nan"', b'"Infinity"', b"Infinity", b"-Infinity", b'"inf"', b'"-inf"', b'"1e999"',
    b"1e999", b"-1e999", b'"-1e999"', b'"1e-999"', b"1e308", b'"1e308"', b"1.8e308", b"-1", b'"-1"', b"-0.0", b'"-0"',
    b'"-0.000"', b"0", b'"0"', b'"0.00000000"', b"1", b"0.5", b'""', b'" "', b'"."', b'"-"', b'"+1"', b'" 1"', b'"1 "',
    b'"1_000"', b'"0x10"', b'"1,5"', b'"1E400"', b'"1E+400"', b'"1E-400"', b'"9e-99"', b'"sNaN"',
    "\"\u0661\u0662\"".encode(), '"\uff11"'.encode(), b'"1\\u0000"', b'"1\\n"', b'"' + b"9" * 400 + b'"', b"9" * 400,
    b'"0.' + b"0" * 60 + b'1"', b"9223372036854775807", b"9223372036854775808", b"18446744073709551616",
    b"-9223372036854775809", b"99999999999999", b"9223372036855", b"9223372036854",
    b"true", b"false", b"null", b"[]", b"{}", b"[[]]", b'["1"]', b'[["1"]]',
    b'[["0","1"]]', b'[["1","-1"]]', b'[["NaN","1"]]', b'[["1","1","1"]]', b"[" * 1200, b'{"a":' * 1200, b'"\\ud800"',
    b'"BUY"', b'"SELL"', b'"BOTH"', b'"LONG"', b'"NEW"', b'"FILLED"', b'"FINISHED"', b'"TRIGGERED"', b'"NEW_ADL"',
    b'"BTCUSDT"', b'"ORDER_TRADE_UPDATE"', b'"ALGO_UPDATE"', b'"ACCOUNT_UPDATE"', b'"depthUpdate"', b'"kline"',
)  # fmt: skip
SIGNED = {"funding_rate", "fee", "realised", "wallet", "available"}
"""What may be below zero; of a PositionReport the quantity too, which is that of a short."""
POSITIVE = {"price", "open", "high", "low", "close", "mark"}
MOST_SHOWN = 20


class Target(NamedTuple):
    """`read` gives what came of a message; `refuses` are the errors it may raise instead."""

    name: str
    read: Callable[[bytes], Iterable[Any]]
    refuses: tuple[type[Exception], ...]


@lru_cache(1000)
def tokens(message: bytes) -> list[tuple[int, int]]:
    return [match.span() for match in TOKEN.finditer(message)]


def spoil(rng: random.Random, message: bytes, others: list[bytes]) -> bytes:
    """The message with one to three things wrong."""
    for number in range((1, 1, 1, 2, 3)[int(rng.random() * 5)]):
        kind = rng.random()
        if kind < 0.7:
            found = tokens.__wrapped__(message) if number else tokens(message)
            if found:
                start, end = found[int(rng.random() * len(found))]
                message = message[:start] + VALUES[int(rng.random() * len(VALUES))] + message[end:]
            continue
        at = int(rng.random() * (len(message) + 1))
        if kind < 0.78:
            message = message[:at] + bytes((int(rng.random() * 256),)) + message[at + 1 :]
        elif kind < 0.84:
            message = message[:at]
        elif kind < 0.90:
            message = message[:at] + message[at + int(rng.random() * 20) :]
        elif kind < 0.95:
            message = message[:at] + message[max(0, at - int(rng.random() * 40)) :]
        else:
            other = others[int(rng.random() * len(others))]
            message = message[:at] + other[int(rng.random() * len(other)) :]
    return message


def absurd(found: Any, path: str = "") -> Iterator[str]:
    """What is wrong with an event, or with whatever it is made of."""
    if isinstance(found, msgspec.Struct):
        kind = type(found).__name__
        for name in found.__struct_fields__:
            yield from absurd(getattr(found, name), f"{kind}.{name}")
    elif isinstance(found, tuple | list):
        for row in found:
            yield from absurd(row, path)
    elif isinstance(found, bool) or not isinstance(found, float | int | Decimal):
        return
    elif isinstance(found, int) and found >= 1 << 63:
        yield f"{path} has {found.bit_length()} bits"
    elif not (found.is_finite() if isinstance(found, Decimal) else math.isfinite(found)):
        yield f"{path} is {found}"
    else:
        name = path.rpartition(".")[2]
        if found < 0 and name not in SIGNED and path != "PositionReport.qty":
            yield f"{path} is {found}"
        if found == 0 and name in POSITIVE and not isinstance(found, Decimal):
            yield f"{path} is 0"
        if abs(found) > 1e30:
            yield f"{path} is {found:.3g}"


class Kind(msgspec.Struct):
    e: str


def tells_of_the_account(message: bytes) -> bool:
    try:
        return msgspec.json.decode(message, type=Kind).e in {"ORDER_TRADE_UPDATE", "ALGO_UPDATE", "ACCOUNT_UPDATE"}
    except UNREADABLE:
        return False


def targets() -> dict[str, Target]:
    """By the name that a line of frames.jsonl begins with."""
    client = BinanceRest(settings(), HandClock())
    market = msgspec.json.Decoder(MarketFrame, strict=False).decode
    public = msgspec.json.Decoder(PublicFrame, strict=False).decode
    events: list[Any] = []
    user = UserFeed(client, events.append, random.Random(1))

    def read_market(message: bytes) -> Iterable[Any]:
        msg = market(message).data
        return [MARKET_EVENTS[type(msg)](msg, 1, 1)]

    def read_public(message: bytes) -> Iterable[Any]:
        diff = public(message).data
        book = DepthBook(instrument())
        book.begin()
        reply = replies.DepthReply(last_update_id=diff.u, bids=[(100.0, 1.0)], asks=[(100.1, 1.0)])
        return [*book.snapshot(reply, 1, 1), *book.diff(diff, 1, 1)]

    def read_user(message: bytes) -> Iterable[Any]:
        events.clear()
        try:
            user._frame(message, 1, 1)
        except UNREADABLE as error:
            if tells_of_the_account(message):
                raise AssertionError("a message about the account was dropped without a word") from error
            raise
        finally:
            user._release_all()
        return tuple(events)

    made = {
        "market": Target("market", read_market, UNREADABLE),
        "public": Target("public", read_public, UNREADABLE),
        "user": Target("user", read_user, (*UNREADABLE, StreamDown)),
    }
    for name, (endpoint, becomes) in REPLIES.items():
        refuses = (*UNREADABLE, ValueError) if becomes is rules else UNREADABLE
        made[name] = Target(name, reader(endpoint, becomes), refuses)
    return made


def reader(endpoint: rest.Endpoint[Any], becomes: Callable[[Any], Any]) -> Callable[[bytes], Iterable[Any]]:
    def read(message: bytes) -> Iterable[Any]:
        found = msgspec.json.decode(message, type=endpoint.reply, strict=False)
        return [becomes(row) for row in found] if isinstance(found, list) else [becomes(found)]

    return read


def rules(info: replies.ExchangeInfo) -> Any:
    return [replies.instrument(row) for row in info.symbols]


class Money(msgspec.Struct):
    wallet: Decimal
    available: Decimal


def money(row: replies.AssetBalance) -> Money:
    return Money(exact(row.balance), exact(row.available_balance))


def itself(row: Any) -> Any:
    return row


# what the broker and the feeds ask for, and what each row of it becomes
REPLIES: dict[str, tuple[rest.Endpoint[Any], Callable[[Any], Any]]] = {
    "exchangeInfo": (rest.EXCHANGE_INFO, rules),
    "depth": (rest.DEPTH, itself),
    "klines": (rest.KLINES, replies.bar_row),
    "time": (rest.TIME, itself),
    "dual": (rest.POSITION_MODE, itself),
    "symbolConfig": (rest.SYMBOL_CONFIG, itself),
    "commissionRate": (rest.COMMISSION, itself),
    "order": (rest.GET_ORDER, replies.plain_report),
    "openOrders": (rest.OPEN_ORDERS, replies.plain_report),
    "algoOrder": (rest.GET_ALGO, replies.algo_report),
    "openAlgoOrders": (rest.OPEN_ALGOS, replies.algo_report),
    "userTrades": (rest.TRADES, lambda row: replies.trade_fill(row, "nx")),
    "positionRisk": (rest.POSITIONS, lambda row: replies.position_report(row, 3)),
    "balance": (rest.BALANCE, money),
    "listenKey": (rest.NEW_LISTEN_KEY, itself),
}


def frames(extra: Path | None = None) -> dict[str, list[bytes]]:
    """Good messages by target: ours, and the recorded shapes that a target of ours reads."""
    found: dict[str, list[bytes]] = {}
    for line in FRAMES.read_bytes().splitlines():
        name, _, message = line.partition(b" ")
        found.setdefault(name.decode(), []).append(message)
    if extra is not None and extra.exists():
        for line in extra.read_text().splitlines():
            row = json.loads(line)
            for name in shape_of(row["path"], row["message"]):
                message = row["message"]
                if name in ("market", "public") and "data" not in message:
                    message = {"stream": "x", "data": message}
                elif name == "user":
                    message = message.get("data", message)
                found.setdefault(name, []).append(json.dumps(message, separators=(",", ":")).encode())
    return found


def shape_of(path: str, message: Any) -> list[str]:
    """The targets for a recorded shape; one that we have no use for goes to all that read its kind."""
    stem = Path(path).stem
    event = message.get("data", message).get("e", "") if isinstance(message, dict) else ""
    if event in {"depthUpdate", "bookTicker"}:
        return ["public"]
    if event in {"aggTrade", "markPriceUpdate", "kline", "24hrTicker", "forceOrder", "trade"}:
        return ["market"]
    if event:
        return ["user"]
    words = {
        "exchange_info": "exchangeInfo", "market_depth": "depth", "market_klines": "klines", "continuous": "klines",
        "position_side": "dual", "symbol_config": "symbolConfig", "commission_rate": "commissionRate",
        "order_response": "order", "account_orders": "openOrders", "algo_orders": "openAlgoOrders",
        "account_trades": "userTrades", "position": "positionRisk", "balance": "balance",
    }  # fmt: skip
    return next(([name] for word, name in words.items() if word in stem), [])


class Found(NamedTuple):
    tried: int
    through: Counter[str]
    refused: Counter[str]
    failures: list[str]


async def fuzz(
    count: int, seed: int, seeds: dict[str, list[bytes]], told: Callable[[int], None] = lambda _: None
) -> Found:
    rng = random.Random(seed)
    reads = targets()
    weighted = [(reads[name], message) for name, messages in seeds.items() for message in messages]
    others = [message for _, message in weighted]
    through: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    failures: list[str] = []
    for number in range(count):
        target, good = weighted[int(rng.random() * len(weighted))]
        message = spoil(rng, good, others)
        try:
            made = target.read(message)
        except target.refuses:
            refused[target.name] += 1
        except Exception as error:  # noqa: BLE001  any other error is what is looked for
            failures.append(f"{target.name}: {type(error).__name__}: {error}: {message[:2000]!r}")
        else:
            through[target.name] += 1
            failures += [f"{target.name}: {wrong}: {message[:2000]!r}" for event in made for wrong in absurd(event)]
        if len(failures) >= MOST_SHOWN:
            break
        if number % 1000 == 0:
            await asyncio.sleep(0)
            told(number)
    return Found(number + 1 if count else 0, through, refused, failures)


# -- the good messages -------------------------------------------------------------------------------------------------


async def record() -> None:
    """Write frames.jsonl: what the practice venue says while an order, a stop and a position live and die."""
    sys.path[:0] = [str(FRAMES.parents[1] / "loopback")]
    from venue_host import host

    kept: dict[str, list[Any]] = {}

    def keep(name: str, message: Any, most: int = 4) -> None:
        if len(kept.setdefault(name, [])) < most:
            kept[name].append(message)

    async with host(speed=20) as venue, venue.user() as user:
        order = {"symbol": "BTCUSDT", "side": "BUY"}
        price = float((await venue.ok("GET", "/fapi/v1/ticker/price", False, symbol="BTCUSDT"))["price"])
        limit = order | {"type": "LIMIT", "timeInForce": "GTC", "price": f"{price * 0.9:.1f}", "quantity": "0.010"}
        stop = order | {"side": "SELL", "algoType": "CONDITIONAL", "type": "STOP_MARKET", "quantity": "0.010"}
        await venue.ok("POST", "/fapi/v1/order", **limit, newClientOrderId="nxab-1-1e1")
        await venue.ok("POST", "/fapi/v1/order", **order, type="MARKET", quantity="0.010")
        for trigger in (0.9, 0.9999):
            algo = await venue.ok(
                "POST", "/fapi/v1/algoOrder", **stop, triggerPrice=f"{price * trigger:.1f}", reduceOnly="true"
            )
        for name, path, signed, params in (
            ("exchangeInfo", "/fapi/v1/exchangeInfo", False, {}),
            ("depth", "/fapi/v1/depth", False, {"symbol": "BTCUSDT", "limit": 5}),
            ("klines", "/fapi/v1/klines", False, {"symbol": "BTCUSDT", "interval": "1m", "limit": 2}),
            ("time", "/fapi/v1/time", False, {}),
            ("dual", "/fapi/v1/positionSide/dual", True, {}),
            ("symbolConfig", "/fapi/v1/symbolConfig", True, {"symbol": "BTCUSDT"}),
            ("commissionRate", "/fapi/v1/commissionRate", True, {"symbol": "BTCUSDT"}),
            ("order", "/fapi/v1/order", True, {"symbol": "BTCUSDT", "origClientOrderId": "nxab-1-1e1"}),
            ("openOrders", "/fapi/v1/openOrders", True, {}),
            ("algoOrder", "/fapi/v1/algoOrder", True, {"algoId": algo["algoId"]}),
            ("openAlgoOrders", "/fapi/v1/openAlgoOrders", True, {}),
            ("userTrades", "/fapi/v1/userTrades", True, {"symbol": "BTCUSDT"}),
            ("positionRisk", "/fapi/v3/positionRisk", True, {}),
            ("balance", "/fapi/v3/balance", True, {}),
        ):
            reply = await venue.ok("GET", path, signed, **params)
            if name == "exchangeInfo":
                reply["symbols"] = reply["symbols"][:1]
            keep(name, reply)
        keep("listenKey", await venue.ok("POST", "/fapi/v1/listenKey"))
        keep("listenKey", {"listenKey": "k" * 64})
        kept["listenKey"] = kept["listenKey"][1:]
        with contextlib.suppress(TimeoutError):
            while True:
                message = await user.next(10.0)
                keep("user", message, 40)
                if message["e"] == "ALGO_UPDATE" and message["o"]["X"] == "FINISHED":
                    break
        keep("user", {"e": "listenKeyExpired", "E": 1_700_000_000_000, "listenKey": "k" * 64}, 99)
        names = "btcusdt@aggTrade/btcusdt@markPrice@1s/btcusdt@kline_1m"
        for name, path in (
            ("market", f"/market/stream?streams={names}"),
            ("public", "/public/stream?streams=btcusdt@depth@100ms"),
        ):
            async with venue.stream(path) as ears:
                kinds: Counter[str] = Counter()
                while (
                    min(
                        kinds[kind]
                        for kind in (("aggTrade", "markPriceUpdate", "kline") if name == "market" else ("depthUpdate",))
                    )
                    < 2
                ):
                    message = await ears.next()
                    kinds[message["data"]["e"]] += 1
                    if kinds[message["data"]["e"]] <= 2:
                        keep(name, message, 6)
    text = "".join(
        f"{name} {json.dumps(message, separators=(',', ':'))}\n"
        for name, messages in kept.items()
        for message in messages
    )
    FRAMES.write_text(text)
    print(f"{len(text.splitlines())} messages, {len(text)} bytes")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--shapes", type=Path, help="recorded shapes, a JSON line each")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    if given.record:
        asyncio.run(record())
        return 0
    begun, shown = time.monotonic(), time.monotonic()

    def told(number: int) -> None:
        nonlocal shown
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"{number:,} of {given.count:,}, {number / (shown - begun):,.0f} a second", file=sys.stderr)

    found = asyncio.run(fuzz(given.count, given.seed, frames(given.shapes), told))
    for failure in found.failures:
        print(failure)
    took_s = time.monotonic() - begun
    print(f"{found.tried:,} inputs in {took_s:.0f} s, seed {given.seed}; {len(found.failures)} failures")
    print("let through: " + ", ".join(f"{name} {number:,}" for name, number in found.through.most_common()))
    return int(bool(found.failures))


if __name__ == "__main__":
    raise SystemExit(main())
