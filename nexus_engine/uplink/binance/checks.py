"""What the venue says of an account and its key, for `nexus keys check`, `nexus doctor` and a live start."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Final

from nexus_engine.model.events import AnyEvent, BookSnapshot, FeedStatus, Mark
from nexus_engine.model.findings import Finding, bad, good, warn
from nexus_engine.model.ports import Clock
from nexus_engine.model.secret import Secret
from nexus_engine.uplink.binance.feed import BinanceFeed
from nexus_engine.uplink.binance.limits import Urgency
from nexus_engine.uplink.binance.outcomes import KEY_REFUSED, RestError
from nexus_engine.uplink.binance.rest import ACCOUNT_CONFIG, API_RESTRICTIONS, RECV_WINDOW_MS, BinanceRest
from nexus_engine.uplink.binance.settings import BinanceSettings, UplinkError, Urls

STREAM_S: Final = 3.0
SKEW_WARN_MS: Final = 500
_NS_MS: Final = 1_000_000
NEW_KEY: Final = "make a key at the venue that may trade futures and nothing else"


class Unreachable(Exception):
    """The venue did not answer; the message says how. Trying again may help."""


@asynccontextmanager
async def asking(
    where: Urls,
    clock: Clock,
    *,
    symbols: Sequence[str],
    api_key: Secret,
    api_secret: Secret,
    private_key: Secret,
) -> AsyncIterator[BinanceRest]:
    """A client for a few questions."""
    rest = BinanceRest(
        BinanceSettings(
            rest_url=where.rest,
            ws_url=where.ws,
            sapi_url=where.sapi,
            api_key=api_key,
            api_secret=api_secret,
            private_key=private_key,
            symbols=tuple(symbols),
            intervals=("1m",),
            warmup_bars=1,
            leverage=1,
        ),
        clock,
    )
    await rest.open()
    try:
        yield rest
    finally:
        await rest.close()


async def reachable(rest: BinanceRest) -> tuple[Finding, ...]:
    """Venue and clock. Raises Unreachable."""
    try:
        await rest.sync_clock()
    except RestError as error:
        raise Unreachable(f"{rest.settings.rest_url}: {error}") from None
    skew_ms = abs(rest.clock_skew_ns()) // _NS_MS
    text = f"{skew_ms} ms off the venue's"
    if skew_ms >= RECV_WINDOW_MS:
        clock = bad("clock", text, "set it: timedatectl set-ntp true")
    elif skew_ms >= SKEW_WARN_MS:
        clock = warn("clock", f"{text}; requests are signed with the venue's", "timedatectl set-ntp true")
    else:
        clock = good("clock", text)
    return good("venue", f"{rest.settings.rest_url} answers"), clock


async def account_findings(rest: BinanceRest) -> tuple[Finding, ...]:
    """The key is accepted, it may trade, the account is in one-way mode. Raises Unreachable."""
    try:
        config = await rest.call(ACCOUNT_CONFIG, urgency=Urgency.QUERY)
    except RestError as error:
        if error.code in KEY_REFUSED:
            return (bad("key", f"the venue refuses it: {error}", "check key, secret, and the key's IP list"),)
        raise Unreachable(f"{rest.settings.rest_url}: {error}") from None
    return (
        good("key", "the venue accepts it"),
        good("trading", "permitted")
        if config.can_trade
        else bad("trading", "the account may not trade", "enable futures on the account and the key"),
        bad("position mode", "hedge mode", "set the account's position mode to one-way")
        if config.dual_side_position
        else good("position mode", "one-way"),
    )


async def permission_findings(rest: BinanceRest) -> tuple[Finding, ...]:
    """What the key may do. Money must not be able to leave with it. Raises Unreachable."""
    if not rest.settings.sapi_url:
        return (warn("permissions", "not asked: this venue does not tell what a key may do"),)
    try:
        may = await rest.call(API_RESTRICTIONS, urgency=Urgency.QUERY)
    except RestError as error:
        if error.code in KEY_REFUSED:
            return (bad("permissions", f"the venue does not tell them: {error}", "let the key read"),)
        raise Unreachable(f"{rest.settings.sapi_url}: {error}") from None
    moves = [
        name
        for name, allowed in (
            ("withdrawals", may.enable_withdrawals),
            ("internal transfers", may.enable_internal_transfer),
            ("universal transfers", may.permits_universal_transfer),
        )
        if allowed
    ]
    return (
        bad("withdrawals", f"the key permits {' and '.join(moves)}", NEW_KEY)
        if moves
        else good("withdrawals", "not permitted, nor are transfers"),
        good("futures", "permitted")
        if may.enable_futures
        else bad("futures", "the key may not trade futures", "enable futures on the key"),
        good("IP list", "the key works from listed addresses only")
        if may.ip_restrict
        else warn("IP list", "the key works from everywhere", "restrict it to this machine's address"),
    )


async def stream_findings(rest: BinanceRest, within_s: float = STREAM_S) -> tuple[Finding, ...]:
    """Each stream category delivers in time: a whole book, a mark price, and with keys the account's own stream."""
    wanted: dict[str, asyncio.Event] = {"public": asyncio.Event(), "market": asyncio.Event()}
    if rest.settings.api_key:
        wanted["user"] = asyncio.Event()
    reasons: dict[str, str] = {}

    def heard(event: AnyEvent) -> None:
        if isinstance(event, BookSnapshot):
            wanted["public"].set()
        elif isinstance(event, Mark):
            wanted["market"].set()
        elif isinstance(event, FeedStatus) and event.feed in wanted:
            if not event.up:
                reasons[event.feed] = event.reason
            elif event.feed == "user":
                wanted["user"].set()

    feed = asyncio.create_task(BinanceFeed(rest, Random()).run(heard), name="probe")
    waits = {name: asyncio.create_task(event.wait()) for name, event in wanted.items()}
    try:
        await asyncio.wait(waits.values(), timeout=within_s)
        return tuple(
            good(f"stream {name}", f"delivers within {within_s:g} s")
            if wanted[name].is_set()
            else bad(
                f"stream {name}",
                f"nothing within {within_s:g} s{': ' + reasons[name] if name in reasons else ''}",
                f"does a firewall or proxy hold back {rest.settings.ws_url}?",
            )
            for name in wanted
        )
    finally:
        for task in (feed, *waits.values()):
            task.cancel()
        ended = await asyncio.gather(feed, *waits.values(), return_exceptions=True)
        for one in ended:
            if isinstance(one, Exception) and not isinstance(one, UplinkError | ExceptionGroup):
                raise one
