"""Hand-made Views: the content of the sketches."""

from decimal import Decimal
from math import cos, pi, sin
from typing import Any

from msgspec.structs import replace

from nexus_engine.model.commands import AnyCommand
from nexus_engine.model.events import BarRow
from nexus_engine.model.orders import ExitPlan
from nexus_engine.model.proposals import Proposal
from nexus_engine.model.signals import RegimeView, Signal
from nexus_engine.model.verdicts import Gauge, Reading
from nexus_engine.model.view import (
    AccountView,
    BookMark,
    BookView,
    EntryView,
    EventRow,
    ExitView,
    FeedView,
    GuardView,
    LatchView,
    Line,
    MacroView,
    Moment,
    PositionView,
    ProposalView,
    Shock,
    StageView,
    StressLine,
    StressView,
    Target,
    TripView,
    View,
    ViewRequest,
    WatchRow,
)
from nexus_engine.model.words import (
    AccountKind,
    Latch,
    Level,
    Macro,
    Mode,
    OrderStatus,
    ProposalStatus,
    Regime,
    Sentinel,
    Side,
    TradingState,
)

SECOND = 1_000_000_000
NOW = (20_000 * 86_400 + 15 * 3600 + 3 * 60 + 7) * SECOND
D = Decimal


def account(**changes: Any) -> AccountView:
    base = AccountView(
        name="main", kind=AccountKind.LIVE, mode=Mode.COPILOT, state=TradingState.ACTIVE, latches=(), blocked="",
        equity=24_318.22, wallet=24_286.19, day_pnl=214.10, day_realised=182.07, day_fees=14.20, day_trades=9,
        open_pnl=32.03, loss_left=814.10, at_risk=166.75, exposure_pct=38.0, exposure_limit_pct=100.0,
    )  # fmt: skip
    return replace(base, **changes)


def card(
    number: int = 41,
    side: Side = Side.SELL,
    qty: str = "12.4",
    symbol: str = "SOLUSDT",
    *,
    limit: str = "148.20",
    stop: str = "150.10",
    target: str | None = "144.40",
    left_ms: int = 38_000,
    reasons: tuple[str, ...] = ("below 20 EMA", "2.1% weaker than BTC", "ADX 31"),
    strategy: str = "shark",
    status: ProposalStatus = ProposalStatus.PENDING,
    worst: str = "26.10",
) -> ProposalView:
    signal = Signal(
        symbol=symbol, strategy=strategy, side=side, price=148.2, limit=148.2, stop_distance=1.9, target=144.4,
        reasons=reasons, regime=RegimeView(regime=Regime.TREND_DOWN, confidence=0.71), risk_pct=0.1, market_ns=NOW,
    )  # fmt: skip
    proposal = Proposal(
        id=number, symbol=symbol, side=side, strategy=strategy, qty=D(qty), limit=D(limit),
        plan=ExitPlan(stop=D(stop), target=D(target) if target else None), leverage=3, worst=D(worst), worst_pct=0.11,
        r_multiple=2.0, signal=signal, status=status, made_ns=NOW, expires_ns=NOW + 38 * SECOND, expires_mono_ns=0,
    )  # fmt: skip
    return ProposalView(proposal=proposal, price_digits=2, left_ms=left_ms, shown=proposal.shown)


def position(
    symbol: str = "BTCUSDT", side: Side = Side.BUY, qty: str = "0.042", entry: str = "96210.0", price: float = 96_480.1,
    *, digits: int = 1, pnl: float = 11.34, stop: str | None = "95400.0", state: str = "ok", by: str = "bot",
    naked_ms: int | None = None, held_ms: int = 4_320_000, r: float = 0.3, intent: int = 38,
    liq: str | None = "78900.0",
) -> PositionView:  # fmt: skip
    return PositionView(
        symbol=symbol, intent=intent, side=side, qty=D(qty), entry=D(entry), price=price, price_digits=digits,
        pnl=pnl, r=r, stop=D(stop) if stop else None, stop_state=state,
        stop_seen_ms=2_000 if state == "ok" else None, naked_ms=naked_ms, liquidation=D(liq) if liq else None,
        held_ms=held_ms,
        strategy="harpoon", by=by, half=D(qty) / 2,
    )  # fmt: skip


def entering(intent: int = 43, symbol: str = "LINKUSDT", **changes: Any) -> EntryView:
    """`P43 BUY 6 at 18.30`, which stands at the venue."""
    base = EntryView(
        symbol=symbol, intent=intent, side=Side.BUY, leaves=Decimal(6), price=Decimal("18.30"), price_digits=2,
        status=OrderStatus.OPEN, left_ms=17_400,
    )  # fmt: skip
    return replace(base, **changes)


POSITIONS = (
    position(),
    position("ADAUSDT", Side.SELL, "4100", "0.8120", 0.8061, digits=4, pnl=24.19, stop="0.8290", held_ms=2_880_000,
             liq="1.0710"),
    position("DOGEUSDT", Side.BUY, "10000", "0.16250", 0.16204, digits=5, pnl=-4.60, stop="0.15980", r=-0.1, by="you",
             held_ms=151_200_000, liq=None),
)  # fmt: skip


def book(
    symbol: str = "SOLUSDT",
    middle: int = 14_821,
    digits: int = 2,
    last: float = 148.21,
    marks: tuple[BookMark, ...] = (),
    depth: int = 30,
    **changes: Any,
) -> BookView:
    sizes = (95, 312, 860, 1204, 540, 233, 1410, 77, 690, 1020)
    steps = (1, 4, 7, 9, 10, 12, 13, 16, 18, 21)
    asks = tuple((middle + steps[i % 10] + 21 * (i // 10), float(sizes[i % 10])) for i in range(depth))
    bids = tuple((middle - steps[i % 10] - 21 * (i // 10), float(sizes[(i + 3) % 10])) for i in range(depth))
    base = BookView(
        symbol=symbol, valid=True, tick=D(1).scaleb(-digits), price_digits=digits, qty_digits=0, bids=bids, asks=asks,
        last=last, change_pct=-1.2, funding_pct=-0.010, funding_in_ms=7_013_000, marks=marks,
    )  # fmt: skip
    return replace(base, **changes)


MARKS = (
    BookMark(price=D("150.10"), label="stop P41"),
    BookMark(price=D("148.20"), label="limit P41"),
    BookMark(price=D("144.40"), label="target P41"),
)
BOOKS = {
    "BTCUSDT": book("BTCUSDT", 964_801, 1, 96_480.1),
    "ETHUSDT": book("ETHUSDT", 341_290, 2, 3_412.90),
    "SOLUSDT": book(marks=MARKS),
    "ADAUSDT": book("ADAUSDT", 8_061, 4, 0.8061),
    "DOGEUSDT": book("DOGEUSDT", 16_204, 5, 0.16204),
    "XRPUSDT": book("XRPUSDT", 24_411, 4, 2.4411),
}


def _watch() -> tuple[WatchRow, ...]:
    rows = (
        ("BTCUSDT", 96_480.1, 1, -0.6, Regime.RANGE), ("ETHUSDT", 3_412.9, 2, -0.9, Regime.RANGE),
        ("SOLUSDT", 148.21, 2, -1.2, Regime.TREND_DOWN), ("ADAUSDT", 0.8061, 4, -1.9, Regime.TREND_DOWN),
        ("DOGEUSDT", 0.16204, 5, -1.8, Regime.VOLATILE), ("XRPUSDT", 2.4411, 4, 0.4, Regime.TREND_UP),
        ("LINKUSDT", 18.322, 3, 0.0, Regime.UNKNOWN), ("AVAXUSDT", 35.110, 3, -1.4, Regime.TREND_DOWN),
    )  # fmt: skip
    return tuple(
        WatchRow(symbol=s, last=p, price_digits=d, change_pct=c, regime=r, confidence=0.71, age_ms=200)
        for s, p, d, c, r in rows
    )


def event(seconds_ago: int, subject: str, by: str, text: str, level: Level = Level.INFO) -> EventRow:
    return EventRow(at_ns=NOW - seconds_ago * SECOND, level=level, subject=subject, by=by, text=text)


EVENTS = (
    event(287, "P39", "--", "expired, would have made +8.20"),
    event(723, "SOLUSDT", "bot", "refused: spread 14 bp over the limit of 8", Level.WARN),
    event(1_387, "macro", "shield", "NEUTRAL -> SHARK, dominance +0.8 pt, cap -2.3%, over 6 h"),
    event(2_896, "P40", "you", "approved, filled 0.8120 (slip 1.1 bp), stop 0.8290 confirmed in 212 ms", Level.GOOD),
    event(3_034, "feed", "uplink", "silent 4.1 s, reconnected, reconciled: no difference"),
)
GAUGES = (
    Gauge(guard="exposure", label="exposure", value=38, limit=100, unit="%", used=0.38),
    Gauge(guard="swan", label="BTC alert 15m", value=0.9, limit=2.5, unit="%", used=0.36),
    Gauge(guard="swan", label="BTC alert 5m", value=0.6, limit=2.0, unit="%", used=0.3),
    Gauge(guard="streak", label="losses", value=1, limit=5, unit="", used=0.2),
    Gauge(guard="day", label="day loss", value=0, limit=600, unit="", used=0.0),
)
FEEDS = (
    FeedView(name="BINANCE market", up=True, age_ms=200),
    FeedView(name="BINANCE public", up=True, age_ms=90),
    FeedView(name="BINANCE user", up=True, age_ms=48_000),
)


CHART_START = NOW // (900 * SECOND) * 900 * SECOND
"""The forming candle of fifteen minutes."""


def chart(count: int = 96, digits: int = 2, last: float = 148.21, step_s: int = 300) -> tuple[BarRow, ...]:
    """A falling market, always the same, that ends at `last`."""
    closes = [last]
    for index in range(1, count):
        closes.append(closes[-1] * (1 + 0.0012 * sin(index / 3.1) + 0.0006 + 0.0009 * cos(index / 1.7)))
    closes.reverse()
    rows = []
    for index, close in enumerate(closes):
        opened = closes[index - 1] if index else close * 1.001
        reach = last * 0.0008 * (1 + abs(sin(index * 1.3)))
        rows.append(BarRow(
            CHART_START - (count - 1 - index) * step_s * SECOND, round(opened, digits),
            round(max(opened, close) + reach, digits), round(min(opened, close) - reach, digits), round(close, digits),
            round(400 + 350 * abs(sin(index * 0.7)) + 200 * cos(index * 0.31), 1),
        ))  # fmt: skip
    return tuple(rows)


def ema(bars: tuple[BarRow, ...], length: int) -> Line:
    value, values = bars[0].close, []
    for bar in bars:
        value += (bar.close - value) * 2 / (length + 1)
        values.append(value)
    return Line(name=f"EMA{length}", values=tuple(values[length:]))


CHART = chart()
ODDS = ((Regime.TREND_DOWN, 0.71), (Regime.RANGE, 0.18), (Regime.VOLATILE, 0.11), (Regime.TREND_UP, 0.0))
TARGETS = (
    Target(symbol="SOLUSDT", score=0.83, drop_pct=-2.1, note="P41 waiting"),
    Target(symbol="DOGEUSDT", score=0.71, drop_pct=-1.8, note="next check 15:15"),
    Target(symbol="AVAXUSDT", score=0.64, drop_pct=-1.4, note="trend too weak"),
    Target(symbol="PEPEUSDT", score=0.61, drop_pct=-2.6, veto="funding -0.11%"),
    Target(symbol="WIFUSDT", score=0.44, drop_pct=-1.1, veto="spread 14 bp"),
)
CURVE = tuple(
    Moment(
        NOW - (120 - index) * 240 * SECOND,
        182.07 * (index / 120) ** 2 - 110 * sin(pi * index / 120) * (1 - index / 120),
        32.03 * index / 120 + 25 * sin(6 * pi * index / 120),
    )
    for index in range(121)
)
MACRO = MacroView(
    source="coinmarketcap", dominance_pt=0.8, cap_pct=-2.3, age_ms=245_000,
    reason="dominance +0.8 pt, cap -2.3 %, over 72 h",
)  # fmt: skip
SHOCK = Shock(drop_pct=10, pnl=-45.36, text="long stopped, -45.36; no liquidation; exposure 45%")


def view(**changes: Any) -> View:
    """The View of the sketches; `changes` replace whole fields."""
    base = View(
        seq=1, at_ns=NOW, account=account(), sentinel=Sentinel.SHARK, sentinel_reason="",
        macro=Macro.SHARK, macro_view=MACRO, gauges=GAUGES, feeds=FEEDS,
        proposals=(
            replace(card(), shock=SHOCK, margin=612.56, edge_bp=9.0),
            card(42, Side.BUY, "6", "LINKUSDT", strategy="harpoon", worst="18.00", left_ms=112_000,
                 reasons=("range low held",), limit="18.30", stop="18.00", target="19.00"),
        ),
        positions=POSITIONS, foreign=(), unknown_orders=0, books=(BOOKS["SOLUSDT"],), watch=_watch(),
        events=EVENTS, outcome=event(2_896, "P40", "you", "filled 0.8120  stop 0.8290 confirmed, 212 ms", Level.GOOD),
        funnel=(("signals", 9), ("refused", 7), ("proposed", 2)),
        chart=CHART, chart_lines=(ema(CHART, 20), ema(CHART, 50)), chart_marks=MARKS, odds=ODDS, targets=TARGETS,
        squeeze="quiet", curve=CURVE,
    )  # fmt: skip
    return replace(base, **changes)


def halted(orders: int = 2) -> View:
    latch = LatchView(latch=Latch.HALT, by="you", reason="key", since_ns=NOW - 5 * SECOND)
    going = tuple(entering(43 + index, status=OrderStatus.PENDING_CANCEL) for index in range(orders))
    return view(account=account(state=TradingState.HALTED, latches=(latch,), blocked="HALT"), entries=going)


class FakeLink:
    """A link to nothing: shows the View it is given, keeps the commands it is sent."""

    def __init__(self, first: View | None) -> None:
        self.shown = first
        self.sent: list[AnyCommand] = []
        self.requests: list[ViewRequest] = []
        self.said = "" if first is not None else "demo venue starting…"
        self.alive = True
        self.told = ""
        self.hangs = ""

    def show(self, picture: View) -> None:
        """The next pull sees it."""
        self.shown = replace(picture, seq=(self.shown.seq if self.shown else 0) + 1)

    def pull(self, request: ViewRequest) -> View | None:
        self.requests.append(request)
        if self.shown is None:
            return None
        known = tuple(BOOKS[name] for name in request.books if name in BOOKS)
        bars = self.shown.chart[-request.bars :] if request.bars else ()
        return replace(self.shown, books=known or self.shown.books, chart=bars if request.chart else ())

    def send(self, command: AnyCommand) -> None:
        self.sent.append(command)

    def progress(self) -> str:
        return self.said

    def asked(self) -> str:
        return self.hangs

    def heard(self) -> str:
        told, self.told = self.told, ""
        return told

    def close(self) -> None: ...


# ---- screen 2 --------------------------------------------------------------------------------------------------------


def guard(name: str, value: float, limit: float, unit: str = "%", state: str = "ok", **more: Any) -> GuardView:
    used = min(1.0, value / limit) if limit else 1.0
    base: dict[str, Any] = {"age_ms": 200 if unit == "%" and name.startswith("BTC") else None}
    return GuardView(name=name, value=value, limit=limit, unit=unit, used=used, state=state, **base | more)


GUARDS = (
    guard("BTC trip 5m", 0.6, 4.0),
    guard("BTC trip 15m", 0.9, 4.0),
    guard("BTC extreme 30m", 1.4, 7.0),
    guard("BTC extreme 60m", 1.9, 10.0),
    guard("BTC alert 5m", 0.6, 2.0),
    guard("BTC alert 15m", 1.7, 2.5, state="WARN"),
    guard("market data", 200.0, 3_000.0, "ms", age_ms=200),
    guard("exposure", 38.0, 100.0),
    guard("losses in row", 1.0, 5.0, ""),
    guard("day loss", 0.0, 600.0, ""),
)
STAGES = (
    StageView(name="regime", passed=21, stopped=4, reason="", at_ns=0),
    StageView(name="signal", passed=9, stopped=12, reason="", at_ns=0),
    StageView(name="shield", passed=4, stopped=5, reason="SOLUSDT spread 14.0 bp over 8", at_ns=NOW - 700 * SECOND),
    StageView(name="sizing", passed=4, stopped=0, reason="", at_ns=0),
    StageView(name="exposure", passed=2, stopped=2, reason="DOGEUSDT total exposure 103 %", at_ns=NOW - 60 * SECOND),
    StageView(name="mode", passed=2, stopped=0, reason="", at_ns=0),
)
TRIP = TripView(
    at_ns=NOW - 3_000 * SECOND,
    alert=False,
    reason="BTCUSDT fell 4.1 % under its 15 min high",
    readings=(
        Reading("fall", 4.1, 4.0, "%"), Reading("window", 15, unit="min"), Reading("high", 96_480.1),
        Reading("low", 92_524.4), Reading("mark", 92_610.0), Reading("filtered", 92_490.2), Reading("median of", 7),
        Reading("confirmations", 10), Reading("held", 0, unit="ms"),
    ),
    ticks=tuple((NOW - (3_050 - at) * SECOND, 96_400.0 - 78.0 * at) for at in range(50)),
    exits=(
        ExitView(symbol="BTCUSDT", qty="0.042", sent_ms=0, attempts=1, confirmed_ms=18, price="92480.1"),
        ExitView(symbol="SOLUSDT", qty="12.4", sent_ms=0, attempts=3, confirmed_ms=641, price="139.07"),
        ExitView(symbol="ETHUSDT", qty="1.25", sent_ms=0, attempts=1, confirmed_ms=None, price=""),
    ),
)  # fmt: skip


STRESS = StressView(
    lines=(
        StressLine(name="stops fill", money=-166.75, pct=-0.69),
        StressLine(name="stops gap x2", money=-333.50, pct=-1.37),
        StressLine(name="BTC -10%", money=-112.40, pct=-0.46),
        StressLine(name="funding", money=-0.41, pct=-0.002),
    ),
    liquidation_pct=18.2, liquidation_symbol="BTCUSDT",
)  # fmt: skip


def shielded(**changes: Any) -> View:
    """The View of screen 2."""
    positions = tuple(replace(each, stop_qty=each.qty) for each in POSITIONS)
    return view(
        **{"guards": GUARDS, "stages": STAGES, "trips": (TRIP,), "positions": positions, "stress": STRESS} | changes
    )
