"""The system directive: `nexus.toml`, every key with its default, its range and what it does.

Secrets are never in it. `load` turns any mistake into one clear line (ConfigError).
"""

import re
import tomllib
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from nexus_engine.model.paths import ACCOUNT_NAME
from nexus_engine.model.people import Bell, PersonConfig, PersonName, Theme, Voice, whole
from nexus_engine.model.profiles import Profile, preset
from nexus_engine.model.words import AccountKind, Mode

Symbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
Rung = tuple[Annotated[float, Field(ge=0.5, le=30)], Annotated[int, Field(ge=1, le=120)]]
"""(percent, minutes)"""


class ConfigError(Exception):
    """The directive cannot be used; the message is one line: which file, which key, which value, what is allowed."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class AccountConfig(_Section):
    """Which account, and who decides."""

    name: str = Field("main", pattern=ACCOUNT_NAME, description="names the state folder and the header")
    kind: AccountKind = Field(
        AccountKind.DEMO, description="DEMO, PAPER, TESTNET or LIVE; a flag on the command line wins"
    )
    mode: Mode = Field(Mode.COPILOT, description="the mode of a first start; later the last one set holds")
    lease_h: float = Field(
        8.0, gt=0, le=24, description="LIVE: hours of entries that the typed phrase unlocks; a restart locks them again"
    )
    modes: dict[str, Mode] = Field(
        default_factory=dict,
        description='most that a strategy may, e.g. {harpoon = "WATCHER"}; the stricter of this and the account\'s mode holds',
    )
    unattended_min: float = Field(
        30.0,
        ge=0,
        le=1440,
        description="with no cockpit and no command for so long nothing is entered; 0, or a --headless start: never",
    )
    own_strategies: str = Field(
        "",
        description="folder of your own strategies, one Python file each; a relative one is seen from the directive's",
    )
    crash_boots: int = Field(
        3, ge=2, le=1_000, description="so many starts after a crash within 5 minutes latch PROTECT_ONLY"
    )


class RiskConfig(_Section):
    """How much may be lost and how large things may get."""

    profile: Profile = Field(
        "standard", description="careful, standard or bold: where the keys of this table start; one that is given wins"
    )
    trade_risk_pct: float = Field(0.5, gt=0, le=2, description="most that one trade may lose at its stop, % of equity")
    open_risk_pct: float = Field(
        3.0, gt=0, le=10, description="most that all open stops together may lose, % of equity"
    )
    symbol_exposure_pct: float = Field(50.0, gt=0, le=500, description="largest notional on one symbol, % of equity")
    account_exposure_pct: float = Field(
        100.0, gt=0, le=1000, description="largest notional in total, in flight included, % of equity"
    )
    side_exposure_pct: float = Field(
        100.0, gt=0, le=1000, description="largest notional of all longs, and of all shorts, % of equity"
    )
    group_risk_pct: float = Field(
        2.0, gt=0, le=10, description="most that the stops of one side of a group may lose together, % of equity"
    )
    groups: dict[str, tuple[Symbol, ...]] = Field(
        {}, description="symbols that move together, by a name of yours; empty: all of them are one group"
    )
    max_positions: int = Field(
        10, ge=1, le=100, description="symbols held or being entered at a time, foreign included"
    )
    liquidation_stops: float = Field(
        2.5, ge=1, le=10, description="the liquidation price is at least so many stop distances away"
    )
    leverage: int = Field(
        3,
        ge=1,
        le=8,
        description="leverage at the venue at most, isolated margin; a strategy that allows less lowers it",
    )
    day_loss_pct: float = Field(
        3.0, gt=0, le=20, description="at this loss since 00:00 UTC no new entries, % of the day's first equity"
    )
    day_loss_r: float = Field(
        3.0, gt=0, le=50, description="no new entries until 00:00 UTC once the day has lost it, R"
    )
    week_loss_r: float = Field(
        6.0, gt=0, le=100, description="no new entries until Monday once the ISO week has lost it, R"
    )
    day_drawdown_pct: float = Field(
        5.0, gt=0, le=50, description="equity this far under the day's first latches DRAWDOWN, unrealised included, %"
    )
    peak_drawdown_pct: float = Field(
        10.0, gt=0, le=80, description="equity this far under its peak latches DRAWDOWN, unrealised included, %"
    )
    naked_ms: int = Field(
        2_000, ge=500, le=10_000, description="longest that a position may be without a confirmed stop"
    )
    other_stop_ms: int = Field(
        1_000,
        ge=0,
        le=10_000,
        description="without a confirmed stop for this long another kind (stop-limit) is tried too; from naked_ms on: never",
    )
    exit_slip_pct: float = Field(
        1.0,
        ge=0.1,
        le=5,
        description="the machine's exit of a naked position first tries a limit this far off the mark, %",
    )
    exit_limit_ms: int = Field(
        500,
        ge=0,
        le=2_000,
        description="how long that limit may take before the exit goes at market; 0: at market at once",
    )
    hold_ms: int = Field(
        30_000,
        ge=0,
        le=300_000,
        description="how long a person's hold puts that exit off, once a position; 0: no holds",
    )
    entry_ms: int = Field(20_000, ge=1_000, le=600_000, description="an entry that has not filled by then is cancelled")
    volatility_pct: float = Field(
        80.0,
        ge=0,
        le=500,
        description="a strategy's risk is scaled by this over the symbol's own volatility of a week, % a year, by 0.25 to 1.5; 0: not",
    )
    kelly_part: float = Field(
        0.25,
        ge=0,
        le=0.5,
        description="a trade risks at most this part of the Kelly fraction of its strategy's last 100 and more trades; 0: not looked at",
    )

    @model_validator(mode="before")
    @classmethod
    def _from_profile(cls, given: Any) -> Any:
        return preset(given) | given if isinstance(given, dict) else given


class ShieldConfig(_Section):
    """When the Sentinel steps in."""

    swan_symbol: Symbol = Field("BTCUSDT", description="whose fall counts")
    swan_drop_pct: float = Field(4.0, ge=1, le=15, description="fall from the high of a window that exits every long")
    swan_windows_min: tuple[Annotated[int, Field(ge=1, le=60)], ...] = Field(
        (5, 15), min_length=1, max_length=4, description="windows in minutes of market time"
    )
    swan_median: int = Field(7, ge=1, le=31, description="ticks in the median filter")
    swan_confirmations: int = Field(
        10, ge=1, le=100, description="filtered ticks in a row below the level before it trips"
    )
    swan_lock_min: int = Field(
        60,
        ge=5,
        le=1440,
        description="no new longs for this long after a trip, market time, and until half of its fall is made good",
    )
    swan_alert: tuple[Rung, ...] = Field(
        ((2.0, 5), (2.5, 15)), max_length=4, description="falls that only block new longs, as [percent, minutes]"
    )
    swan_alert_min: int = Field(10, ge=1, le=240, description="how long an alert blocks new longs, market time")
    swan_extreme: tuple[Rung, ...] = Field(
        ((7.0, 30), (10.0, 60)),
        max_length=4,
        description="falls that trip on one source alone once they last 5 s, as [percent, minutes]",
    )
    swan_extreme_volume: float = Field(
        10.0,
        ge=0,
        le=1_000,
        description="one source alone must trade more than this many usual minutes in one, where the usual is known",
    )
    stale_ms: int = Field(
        3_000, ge=500, le=60_000, description="market data older than this blinds the guards: no entries"
    )
    loss_streak: int = Field(
        10, ge=2, le=50, description="losses in a row of one strategy before it pauses, where loss_streaks has no other"
    )
    loss_streaks: dict[str, Annotated[int, Field(ge=2, le=50)]] = Field(
        {"harpoon": 8, "scalping": 8, "flow": 19, "shark": 15},
        description="by strategy: a healthy one gets there in fewer than 5 % of 100 trades",
    )
    loss_pause_min: int = Field(
        60, ge=5, le=1440, description="how long it pauses, market time; the second pause of a UTC day latches BREAKER"
    )
    orders_a_minute: int = Field(
        60, ge=10, le=200, description="more orders of any kind than this within a minute lock all entries"
    )
    orders_pause_min: int = Field(5, ge=1, le=1440, description="for how long, market time")
    orders_a_day: int = Field(
        1_000, ge=10, le=100_000, description="no entries after so many orders of any kind since 00:00 UTC"
    )
    rejects_in_row: int = Field(
        5, ge=2, le=50, description="so many orders refused one after the other lock their symbol's entries"
    )
    rejects_pause_min: int = Field(60, ge=1, le=1440, description="for how long, market time")
    max_spread_bp: float = Field(8.0, gt=0, le=100, description="no entry over a wider spread")
    exit_pause_min: int = Field(
        5, ge=0, le=1440, description="no entry on a symbol for this long after a trade on it closed, market time"
    )
    stops_window_min: int = Field(
        60, ge=0, le=1440, description="stops that filled count for this long, real time; 0 takes the stop guard off"
    )
    stops_symbol: int = Field(2, ge=1, le=20, description="so many on one symbol pause it")
    stops_side: int = Field(3, ge=1, le=20, description="so many of longs, or of shorts, pause that side")
    stops_account: int = Field(4, ge=1, le=50, description="so many in all pause the account")
    stops_pause_min: int = Field(60, ge=5, le=1440, description="how long the stop guard pauses, market time")
    low_trades: int = Field(
        6, ge=0, le=50, description="trades of a symbol that are looked at; 0 takes the low-profit guard off"
    )
    low_r: float = Field(-3.0, ge=-50, le=0, description="when they made less than this together, the symbol pauses, R")
    low_pause_min: int = Field(720, ge=5, le=10_080, description="how long a low-profit symbol pauses, market time")
    max_funding_bp: float = Field(
        5.0, gt=0, le=100, description="no entry that pays more funding than this, basis points in 8 h"
    )
    funding_quiet_s: int = Field(
        120,
        ge=0,
        le=900,
        description="no entry this near to a funding settlement, before and after, market time; a signal waits it out",
    )
    min_day_volume: float = Field(
        50.0,
        ge=0,
        le=10_000,
        description="no entry on what traded less in 24 h, millions of quote currency, where known; 0 takes it off",
    )
    min_depth: float = Field(
        20.0,
        ge=0,
        le=1_000,
        description="what the thinner side of the book shows within 10 bp of the middle, by the order's size, at least: "
        "a larger order is cut to fit; 0 takes it off",
    )


class MacroConfig(_Section):
    """Where Bitcoin's dominance and the whole market's cap come from. Two sources never share a trend."""

    source: Literal["auto", "coinmarketcap", "coingecko", "off"] = Field(
        "auto", description="auto takes coinmarketcap where there is a key for it, else coingecko, which needs none"
    )
    key: str = Field(
        "",
        pattern=r"^$|" + ACCOUNT_NAME,
        description="name of CoinMarketCap's key in the vault; without it NEXUS_CMC_API_KEY in the environment",
    )
    coinmarketcap_url: str = Field(
        "", pattern=r"^$|^https?://[^\s]+$", description="its address; empty is the source's own, in a demo the venue's"
    )
    coingecko_url: str = Field("", pattern=r"^$|^https?://[^\s]+$", description="the same for coingecko")


class CopilotConfig(_Section):
    """How proposals live."""

    expiry_s: int = Field(120, ge=10, le=3600, description="an untouched proposal expires after this, real time")
    drift_pct: float = Field(
        20.0, gt=0, le=100, description="price may move this part of the stop distance before a card goes STALE, %"
    )
    max_open: int = Field(5, ge=1, le=20, description="open proposals at a time")


class BinanceConfig(_Section):
    """Binance USD-M futures. Empty addresses are the venue's own for the account's kind."""

    symbols: tuple[Symbol, ...] = Field(
        ("BTCUSDT", "ETHUSDT", "SOLUSDT", "ADAUSDT", "DOGEUSDT", "XRPUSDT", "LINKUSDT", "AVAXUSDT"),
        min_length=1,
        max_length=50,
        description="what is watched and traded",
    )
    rest_url: str = Field("", pattern=r"^$|^https?://[^\s]+$", description="REST address, e.g. http://127.0.0.1:8700")
    ws_url: str = Field("", pattern=r"^$|^wss?://[^\s]+$", description="stream address, e.g. ws://127.0.0.1:8700")

    sapi_url: str = Field(
        "", pattern=r"^$|^https?://[^\s]+$", description="address that answers what a key may do (the venue's SAPI)"
    )
    key: str = Field(
        "",
        pattern=r"^$|" + ACCOUNT_NAME,
        description="name of the key in the vault; empty takes the only one of the kind",
    )

    @field_validator("symbols")
    @classmethod
    def _once_each(cls, symbols: tuple[str, ...]) -> tuple[str, ...]:
        twice = sorted({symbol for symbol in symbols if symbols.count(symbol) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed twice")
        return symbols


class RegimeConfig(_Section):
    """Who tells the regime: a model where it fits, and the rule everywhere else."""

    model: str = Field(
        "off",
        min_length=1,
        max_length=500,
        description="off (the rule alone), auto (the one trained on this machine that is in use), shipped (that of the "
        "package, which misses some of its goals), or the path of a model's manifest",
    )
    data: str = Field(
        "",
        max_length=500,
        description='folder that 1h bars are downloaded to and a new model is trained from, where model = "auto"; empty: never',
    )
    retrain_days: int = Field(7, ge=1, le=40, description="days between two trainings; needs regime.data")


class DemoConfig(_Section):
    """The offline practice market."""

    scenario: str = Field("range", description="what the market does")
    seed: int = Field(7, ge=0, description="same seed, same market")
    speed: float = Field(
        1.0, gt=0, le=100, description="market minutes a minute; deadlines and expiry stay on the real clock"
    )
    venue: str = Field(
        "", description="file with the ready line of a `nexus exchange` to trade on, instead of one of our own"
    )


class PaperConfig(_Section):
    """Live prices, simulated money."""

    wallet: float = Field(10_000.0, ge=10, le=1e9, description="USDT that a new paper account begins with")
    latency_ms: int = Field(
        50, ge=0, le=5_000, description="an order takes this long to the simulated venue, and its answer as long back"
    )


class UiConfig(_Section):
    """How the cockpit looks and sounds."""

    theme: Theme = Field(
        "dark", description="dark, light, cvd (blue and orange) or none (no colour at all, as NO_COLOR does)"
    )
    bell: Bell = Field(
        "alarm", description="rings at alarms, or at all that is worth a look; at most every two seconds"
    )
    confirm_pct: float = Field(
        0.5, ge=0, le=10, description="an approval on LIVE whose worst case is above this asks twice, % of equity"
    )
    voice: Voice = Field(
        "plain", description="plain, calm, sergeant, deadpan or mentor: the words around a fact in the events, never it"
    )


class PostgresConfig(_Section):
    """A second memory on a server: the journal's mirror, and the lock that keeps a second machine off the account."""

    dsn: str = Field(
        "",
        max_length=1000,
        description='where, as libpq has it and without the password, e.g. "host=db dbname=nexus user=nexus"; empty: none',
    )
    key: str = Field(
        "",
        pattern=r"^$|" + ACCOUNT_NAME,
        description="name of its password in the vault (`nexus keys add NAME --postgres`); without it PGPASSWORD or PGPASSFILE",
    )
    lock: bool = Field(
        True, description="take the account's lock there: a machine that does not get it protects and does not trade"
    )


_PASSWORD: Final = re.compile(r"password\s*=|://[^/@]*:[^/@]*@", re.IGNORECASE)


class LabConfig(_Section):
    """What backtests and sweeps take where their command line names nothing else."""

    macro: str = Field(
        "",
        max_length=500,
        description="file of dominance and cap by day, for the Shark; a relative one is seen from the directive's folder",
    )
    leader: str = Field(
        "", max_length=500, description="file of bars of shield.swan_symbol, which the Shark follows; as lab.macro"
    )

    def files(self, name: str) -> tuple[Path, ...]:
        """The file of one of the keys; none where it is empty."""
        given = getattr(self, name)
        return (Path(given),) if given else ()


class Directive(_Section):
    """All of nexus.toml."""

    account: AccountConfig = AccountConfig()
    risk: RiskConfig = RiskConfig()
    shield: ShieldConfig = ShieldConfig()
    copilot: CopilotConfig = CopilotConfig()
    macro: MacroConfig = MacroConfig()
    binance: BinanceConfig = BinanceConfig()
    demo: DemoConfig = DemoConfig()
    paper: PaperConfig = PaperConfig()
    regime: RegimeConfig = RegimeConfig()
    ui: UiConfig = UiConfig()
    postgres: PostgresConfig = PostgresConfig()
    lab: LabConfig = LabConfig()
    people: dict[PersonName, PersonConfig] = Field(
        default_factory=dict,
        description='who may what, e.g. [people.ana] role = "owner"; without any, everybody is an owner',
    )
    keys: dict[str, str] = Field(
        default_factory=dict, description='other keys by action, e.g. approve = "y"; the ? page of the cockpit has all'
    )
    strategies: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="parameters by strategy, e.g. [strategies.harpoon] enabled = false"
    )

    @field_validator("people")
    @classmethod
    def _whole(cls, people: dict[str, PersonConfig]) -> dict[str, PersonConfig]:
        return whole(people)


def load(path: Path | None) -> Directive:
    """Read and check a directive; None gives the defaults. Raises ConfigError with one line."""
    if path is None:
        return Directive()
    try:
        raw = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path given to --config") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    try:
        directive = Directive.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_line(error, Directive)}") from error
    own = directive.account.own_strategies
    if own:
        folder = str((path.parent / Path(own).expanduser()).absolute())
        account = directive.account.model_copy(update={"own_strategies": folder})
        directive = directive.model_copy(update={"account": account})
    seen = {key: str((path.parent / Path(at).expanduser()).absolute()) for key, at in directive.lab if at}
    if seen:
        directive = directive.model_copy(update={"lab": directive.lab.model_copy(update=seen)})
    if _PASSWORD.search(directive.postgres.dsn):
        raise ConfigError(
            f"{path}: postgres.dsn holds a password: take it out, use `nexus keys add NAME --postgres` and postgres.key"
        )
    swan = directive.shield.swan_symbol
    if swan not in directive.binance.symbols:
        raise ConfigError(
            f"{path}: shield.swan_symbol = {swan!r}: must be one of binance.symbols, or nobody sees it fall"
        )
    return directive


def _first_line(error: ValidationError, model: type[BaseModel]) -> str:
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"] if part != "[key]")
    if first["type"] == "extra_forbidden":
        known = ", ".join(_keys_at(model, tuple(str(part) for part in first["loc"][:-1])))
        return f"unknown key {key}; known here: {known}"
    if isinstance(first["input"], dict):  # a whole table: what is wrong is in the message
        return f"{key}: {first['msg'].removeprefix('Value error, ')}"
    return f"{key} = {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _keys_at(model: type[BaseModel], path: tuple[str, ...]) -> list[str]:
    parts = iter(path)
    for part in parts:
        field = model.model_fields.get(part)
        kinds = [] if field is None else [field.annotation, *get_args(field.annotation)]
        inner = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not inner:
            return []
        (model,) = inner
        if model is not kinds[0]:
            next(parts, None)  # a table of tables: the name of one of them
    return list(model.model_fields)


def percent_of(pct: float, amount: Decimal) -> Decimal:
    """`pct` percent of `amount`."""
    return amount * exactly(pct) / 100


@lru_cache(maxsize=256, typed=True)  # 1 is 1.0, and their decimals are written in two ways
def exactly(number: float) -> Decimal:
    """A number of the directive as it was written."""
    return Decimal(repr(number))
