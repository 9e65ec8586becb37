"""Market data as Binance USD-M writes it in REST replies, one function a shape."""

# fmt: off  (a shape reads better in rows of keys than one key a line)
from collections.abc import Container, Iterable

from nexus_engine.sim.bars import Bar
from nexus_engine.sim.limits import ORDER_LIMIT_1M, ORDER_LIMIT_10S, WEIGHT_LIMIT_1M
from nexus_engine.sim.rules import PRICE_BAND_DOWN, PRICE_BAND_UP
from nexus_engine.sim.specs import SymbolSpec
from nexus_engine.sim.wire import MS, Day, FundingPaid, Json, Levels, Scale, Trade, ticker


def exchange_info(scales: Iterable[Scale], now_ms: int, halted: Container[str] = ()) -> Json:
    limits = (
        ("REQUEST_WEIGHT", "MINUTE", 1, WEIGHT_LIMIT_1M),
        ("ORDERS", "MINUTE", 1, ORDER_LIMIT_1M),
        ("ORDERS", "SECOND", 10, ORDER_LIMIT_10S),
    )
    return {
        "timezone": "UTC",
        "serverTime": now_ms,
        "futuresType": "U_MARGINED",
        "rateLimits": [
            {"rateLimitType": kind, "interval": unit, "intervalNum": count, "limit": limit}
            for kind, unit, count, limit in limits
        ],
        "exchangeFilters": [],
        "assets": [{"asset": "USDT", "marginAvailable": True, "autoAssetExchange": "-10000"}],
        "symbols": [_symbol(scale.spec, scale.spec.symbol in halted) for scale in scales],
    }


def _symbol(spec: SymbolSpec, halted: bool) -> Json:
    tick, step = format(spec.tick, "f"), format(spec.step, "f")
    return {
        "symbol": spec.symbol,
        "pair": spec.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": 4133404800000,
        "onboardDate": 1569398400000,
        "status": "SETTLING" if halted else "TRADING",
        "maintMarginPercent": f"{100 * spec.mmr:.4f}",
        "requiredMarginPercent": "5.0000",
        "baseAsset": spec.base,
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": spec.price_precision,
        "quantityPrecision": spec.qty_precision,
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000", "tickSize": tick},
            {
                "filterType": "LOT_SIZE",
                "minQty": format(spec.min_qty, "f"),
                "maxQty": format(spec.max_qty, "f"),
                "stepSize": step,
            },
            {
                "filterType": "MARKET_LOT_SIZE",
                "minQty": format(spec.min_qty, "f"),
                "maxQty": format(spec.market_max_qty, "f"),
                "stepSize": step,
            },
            {"filterType": "MAX_NUM_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": format(spec.min_notional, "f")},
            {
                "filterType": "PERCENT_PRICE",
                "multiplierUp": str(PRICE_BAND_UP),
                "multiplierDown": str(PRICE_BAND_DOWN),
                "multiplierDecimal": "4",
            },
        ],
        "orderTypes": [
            "LIMIT",
            "MARKET",
            "STOP",
            "STOP_MARKET",
            "TAKE_PROFIT",
            "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET",
        ],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    }


def depth(scale: Scale, update_id: int, bids: Levels, asks: Levels, at_ns: int) -> Json:
    at_ms = at_ns // MS
    return {
        "lastUpdateId": update_id,
        "E": at_ms,
        "T": at_ms,
        "bids": scale.levels(bids),
        "asks": scale.levels(asks),
    }


def kline_row(scale: Scale, bar: Bar) -> list[int | str]:
    return [
        bar.open_ns // MS,
        scale.at(bar.open),
        scale.at(bar.high),
        scale.at(bar.low),
        scale.at(bar.close),
        scale.amount(bar.volume),
        bar.close_ns // MS,
        f"{bar.quote_volume:.5f}",
        bar.trades,
        scale.amount(bar.taker_buy_volume),
        f"{bar.taker_buy_quote_volume:.5f}",
        "0",
    ]


def agg_trade_row(scale: Scale, row: Trade) -> Json:
    quantity = scale.qty(row.lots)
    return {
        "a": row.trade_id,
        "p": scale.price(row.price_ticks),
        "q": quantity,
        "nq": quantity,
        "f": row.first_id,
        "l": row.last_id,
        "T": row.at_ns // MS,
        "m": row.buyer_is_maker,
    }


def trade_row(scale: Scale, row: Trade) -> Json:
    quote = row.price_ticks * row.lots / scale.ticks / scale.lots
    return {
        "id": row.trade_id,
        "price": scale.price(row.price_ticks),
        "qty": scale.qty(row.lots),
        "quoteQty": f"{quote:.2f}",
        "time": row.at_ns // MS,
        "isBuyerMaker": row.buyer_is_maker,
        "isRPITrade": False,
    }


def premium_index(symbol: str, mark: float, index: float, rate: float, next_funding_ns: int, at_ns: int) -> Json:
    return {
        "symbol": symbol,
        "markPrice": f"{mark:.8f}",
        "indexPrice": f"{index:.8f}",
        "estimatedSettlePrice": f"{index:.8f}",
        "lastFundingRate": f"{rate:.8f}",
        "interestRate": "0.00010000",
        "nextFundingTime": next_funding_ns // MS,
        "time": at_ns // MS,
    }


def funding_rate(row: FundingPaid) -> Json:
    return {
        "symbol": row.symbol,
        "fundingRate": f"{row.rate:.8f}",
        "fundingTime": row.at_ns // MS,
        "markPrice": f"{row.mark:.8f}",
        "rateType": "Regular",
    }


def funding_info(symbol: str) -> Json:
    return {
        "symbol": symbol,
        "adjustedFundingRateCap": "0.02000000",
        "adjustedFundingRateFloor": "-0.02000000",
        "fundingIntervalHours": 8,
        "disclaimer": False,
    }


def ticker_24h(scale: Scale, day: Day) -> Json:
    event = ticker(scale, day)
    names = {
        "s": "symbol",
        "p": "priceChange",
        "P": "priceChangePercent",
        "w": "weightedAvgPrice",
        "c": "lastPrice",
        "Q": "lastQty",
        "o": "openPrice",
        "h": "highPrice",
        "l": "lowPrice",
        "v": "volume",
        "q": "quoteVolume",
        "O": "openTime",
        "C": "closeTime",
        "F": "firstId",
        "L": "lastId",
        "n": "count",
    }
    return {name: event[key] for key, name in names.items()}


def price_row(scale: Scale, last: float, at_ns: int) -> Json:
    return {"symbol": scale.spec.symbol, "price": scale.at(last), "time": at_ns // MS}


def book_ticker_row(scale: Scale, update_id: int, bid: tuple[int, int], ask: tuple[int, int], at_ns: int) -> Json:
    return {
        "symbol": scale.spec.symbol,
        "bidPrice": scale.price(bid[0]),
        "bidQty": scale.qty(bid[1]),
        "askPrice": scale.price(ask[0]),
        "askQty": scale.qty(ask[1]),
        "time": at_ns // MS,
        "lastUpdateId": update_id,
    }


def open_interest(scale: Scale, quantity: float, at_ns: int) -> Json:
    return {"openInterest": scale.amount(quantity), "symbol": scale.spec.symbol, "time": at_ns // MS}
