"""The badge and the gauges: what the Shield shows of itself."""

from collections.abc import Collection, Iterable
from decimal import Decimal

from nexus_engine.model.config import RiskConfig, ShieldConfig
from nexus_engine.model.facts import SWAN_ALERT, SWAN_LOCK
from nexus_engine.model.ledger import Ledger, week_of
from nexus_engine.model.signals import Quote
from nexus_engine.model.verdicts import Gauge
from nexus_engine.model.words import Sentinel
from nexus_engine.shield import drawdown, streak
from nexus_engine.shield.blackswan import ALERT, MINUTE_NS, Rung
from nexus_engine.shield.case import held
from nexus_engine.shield.staleness import unseen

STEPS = 20
"""The gauges are ordered by twentieths of what they have used, so that two that rest do not change places."""


def badge(
    config: ShieldConfig,
    ledger: Ledger,
    market_ns: int,
    swan_quote: Quote | None,
    worst_age_ms: int | None,
    shark: str = "",
) -> tuple[Sentinel, str]:
    """What holds now, the gravest first, and why. `worst_age_ms` is the age of the oldest market feed; `shark` says why
    SHARK holds, empty when it does not."""
    lock = held(ledger, SWAN_LOCK, market_ns)
    if lock is not None:
        left_min = -(-(lock.until_ns - market_ns) // MINUTE_NS)
        return Sentinel.BLACK_SWAN, f"no longs {left_min} min; {lock.reason}"
    blind = unseen(config.swan_symbol, swan_quote, config.stale_ms)
    if blind:
        return Sentinel.BLIND, blind
    if worst_age_ms is None:
        return Sentinel.BLIND, "a market feed has not spoken yet"
    if worst_age_ms > config.stale_ms:
        limit_s = config.stale_ms / 1000
        return Sentinel.BLIND, f"market data is {worst_age_ms / 1000:.1f} s old, limit {limit_s:.1f} s"
    if shark:
        return Sentinel.SHARK, shark
    return Sentinel.CALM, "every guard sees"


def gauges(
    shield: ShieldConfig,
    risk: RiskConfig,
    ledger: Ledger,
    ladder: Iterable[tuple[Rung, float]],
    *,
    market_ns: int,
    equity: float,
    exposure_pct: float,
    day_pnl: float,
    strategies: Collection[str],
) -> tuple[Gauge, ...]:
    """Every guard's distance to what it does next, tightest first. `ladder` is that of the swan, `strategies` are those
    that may trade."""
    no_longs = any(held(ledger, name, market_ns) for name in (SWAN_LOCK, SWAN_ALERT))
    lost = dict.fromkeys(strategies, 0) | {name: count for name, count in ledger.streaks.items() if count}
    losses, most = max(
        ((count, streak.limit_of(shield, name)) for name, count in lost.items()),
        key=lambda one: (one[0] / one[1], -one[1]),
        default=(0, shield.loss_streak),
    )
    lost_r = max(0.0, -ledger.day_r.of(ledger.day)), max(0.0, -ledger.week_r.of(week_of(ledger.day)))
    day_limit = (float(ledger.day_equity) or equity) * risk.day_loss_pct / 100.0
    rows = [
        ("swan", rung_name(shield, rung), drop, rung.drop * 100.0, "%")
        for rung, drop in _ahead(ladder, no_longs=no_longs)
    ]
    rows += [
        ("streak", "losses in row", float(losses), float(most), ""),
        ("account exposure", "exposure", exposure_pct, risk.account_exposure_pct, "%"),
        ("day loss", "day loss", max(0.0, -day_pnl), day_limit, ""),
        ("day R", "day loss R", lost_r[0], risk.day_loss_r, "R"),
        ("week R", "week loss R", lost_r[1], risk.week_loss_r, "R"),
        *(
            ("drawdown", name, fall_pct, limit_pct, "%")
            for name, fall_pct, limit_pct in drawdown.falls(ledger, risk, Decimal(repr(equity)))
            if equity > 0.0
        ),
    ]
    shown = [
        Gauge(
            guard=guard,
            label=label,
            value=value,
            limit=limit,
            unit=unit,
            used=min(1.0, value / limit) if limit > 0.0 else 0.0,
        )
        for guard, label, value, limit, unit in rows
    ]
    return tuple(sorted(shown, key=lambda gauge: -round(gauge.used * STEPS)))


def rung_name(shield: ShieldConfig, rung: Rung) -> str:
    """`BTC alert 15m`: a rung is named alike wherever it is shown."""
    return f"{shield.swan_symbol.removesuffix('USDT')} {rung.name} {rung.minutes}m"


def _ahead(ladder: Iterable[tuple[Rung, float]], *, no_longs: bool) -> Iterable[tuple[Rung, float]]:
    """By window the lowest rung that would change something: where longs are kept out already, no alert would."""
    found: dict[int, tuple[Rung, float]] = {}
    for rung, drop in ladder:
        if no_longs and rung.name == ALERT:
            continue
        known = found.get(rung.minutes)
        if known is None or rung.drop < known[0].drop:
            found[rung.minutes] = rung, drop
    return found.values()
