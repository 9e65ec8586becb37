"""Orders, positions and balances as Binance USD-M writes them: REST replies and user stream events."""

# fmt: off  (a shape reads better in rows of keys than one key a line)
from decimal import Decimal

from nexus_engine.sim.ledger import Margins, SymbolMargin
from nexus_engine.sim.liquidation import is_forced
from nexus_engine.sim.orders import (
    CONDITIONAL_TYPES,
    AccountEvent,
    Algo,
    AlgoEvent,
    ConfigEvent,
    Fill,
    Income,
    MarginCallEvent,
    Order,
    OrderEvent,
    UserEvent,
)
from nexus_engine.sim.specs import SymbolSpec
from nexus_engine.sim.wire import Json, Scale, plain


def side(buy: bool) -> str:
    return "BUY" if buy else "SELL"


def average(scale: Scale, quote: Decimal, lots: int) -> str:
    return plain(quote / (lots * scale.spec.step), 5) if lots else "0.00000"


def order_row(scale: Scale, order: Order) -> Json:
    quote = plain(order.quote, 5)
    return {
        "orderId": order.order_id,
        "symbol": order.symbol,
        "pair": order.symbol,
        "status": order.status,
        "clientOrderId": order.client_id,
        "price": scale.price(order.price_ticks),
        "avgPrice": average(scale, order.quote, order.filled_lots),
        "origQty": scale.qty(order.qty_lots),
        "executedQty": scale.qty(order.filled_lots),
        "cumQty": scale.qty(order.filled_lots),
        "cumQuote": quote,
        "timeInForce": order.tif,
        "type": order.type,
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "side": side(order.side_buy),
        "positionSide": order.position_side,
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": order.type,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def algo_row(scale: Scale, algo: Algo) -> Json:
    trailing = algo.type == "TRAILING_STOP_MARKET"
    return {
        "algoId": algo.algo_id,
        "clientAlgoId": algo.client_id,
        "algoType": "CONDITIONAL",
        "orderType": algo.type,
        "symbol": algo.symbol,
        "side": side(algo.side_buy),
        "positionSide": algo.position_side,
        "timeInForce": algo.tif,
        "quantity": scale.qty(algo.qty_lots),
        "algoStatus": algo.status,
        "actualOrderId": str(algo.order_id) if algo.order_id else "",
        "actualPrice": average(scale, algo.quote, algo.filled_lots),
        "actualQty": scale.qty(algo.filled_lots),
        "actualType": CONDITIONAL_TYPES[algo.type][1] if algo.order_id else "",
        "triggerPrice": scale.price(algo.trigger_ticks),
        "price": scale.price(algo.price_ticks),
        "icebergQuantity": None,
        "tpTriggerPrice": "0.000",
        "tpPrice": "0.000",
        "slTriggerPrice": "0.000",
        "slPrice": "0.000",
        "tpOrderType": "",
        "selfTradePreventionMode": "NONE",
        "workingType": algo.working_type,
        "priceMatch": "NONE",
        "closePosition": algo.close_position,
        "priceProtect": False,
        "reduceOnly": algo.reduce_only,
        "activatePrice": scale.price(algo.activate_ticks) if trailing and algo.activate_ticks else "",
        "callbackRate": str(algo.callback_pct) if trailing else "",
        "createTime": algo.created_ms,
        "updateTime": algo.updated_ms,
        "triggerTime": algo.trigger_ms,
        "goodTillDate": 0,
    }


def algo_cancelled(algo: Algo) -> Json:
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


def user_trade(scale: Scale, fill: Fill) -> Json:
    quantity = scale.qty(fill.lots)
    return {
        "symbol": fill.symbol,
        "pair": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "side": side(fill.side_buy),
        "price": scale.price(fill.price_ticks),
        "qty": quantity,
        "baseQty": quantity,
        "realizedPnl": plain(fill.realised),
        "marginAsset": "USDT",
        "quoteQty": plain(fill.notional),
        "commission": plain(fill.fee),
        "commissionAsset": "USDT",
        "time": fill.at_ms,
        "positionSide": fill.position_side,
        "buyer": fill.side_buy,
        "maker": fill.maker,
    }


def income_row(row: Income) -> Json:
    return {
        "symbol": row.symbol,
        "incomeType": row.kind,
        "income": plain(row.amount),
        "asset": "USDT",
        "info": row.kind,
        "time": row.at_ms,
        "tranId": row.tran_id,
        "tradeId": str(row.trade_id) if row.trade_id else "",
    }


def _asset(state: Margins, now_ms: int) -> Json:
    return {
        "asset": "USDT",
        "walletBalance": plain(state.wallet),
        "unrealizedProfit": plain(state.unrealised),
        "marginBalance": plain(state.wallet + state.unrealised),
        "maintMargin": plain(state.maintenance),
        "initialMargin": plain(state.initial + state.order_initial),
        "positionInitialMargin": plain(state.initial),
        "openOrderInitialMargin": plain(state.order_initial),
        "crossWalletBalance": plain(state.cross_wallet),
        "crossUnPnl": plain(state.cross_unrealised),
        "availableBalance": plain(state.available),
        "maxWithdrawAmount": plain(state.available),
        "marginAvailable": True,
        "updateTime": now_ms,
    }


def balance(state: Margins, now_ms: int) -> list[Json]:
    return [
        {
            "accountAlias": "nexus",
            "asset": "USDT",
            "balance": plain(state.wallet),
            "crossWalletBalance": plain(state.cross_wallet),
            "crossUnPnl": plain(state.cross_unrealised),
            "availableBalance": plain(state.available),
            "maxWithdrawAmount": plain(state.available),
            "marginAvailable": True,
            "updateTime": now_ms,
        }
    ]


def _account_position_v2(row: SymbolMargin) -> Json:
    return {
        "symbol": row.symbol,
        "initialMargin": plain(row.initial + row.order_initial),
        "maintMargin": plain(row.maintenance),
        "unrealizedProfit": plain(row.unrealised),
        "positionInitialMargin": plain(row.initial),
        "openOrderInitialMargin": plain(row.order_initial),
        "leverage": str(row.leverage),
        "isolated": row.isolated,
        "entryPrice": plain(row.entry),
        "breakEvenPrice": plain(row.break_even),
        "maxNotional": str(row.max_notional),
        "bidNotional": plain(row.bid_notional),
        "askNotional": plain(row.ask_notional),
        "positionSide": row.position_side,
        "positionAmt": format(row.amount, "f"),
        "notional": plain(row.notional),
        "isolatedWallet": plain(row.isolated_wallet),
        "updateTime": row.updated_ms,
    }


def _account_position_v3(row: SymbolMargin) -> Json:
    return {
        "symbol": row.symbol,
        "positionSide": row.position_side,
        "positionAmt": format(row.amount, "f"),
        "unrealizedProfit": plain(row.unrealised),
        "isolatedMargin": plain(_isolated_margin(row)),
        "notional": plain(row.notional),
        "isolatedWallet": plain(row.isolated_wallet),
        "initialMargin": plain(row.initial + row.order_initial),
        "maintMargin": plain(row.maintenance),
        "updateTime": row.updated_ms,
    }


def _isolated_margin(row: SymbolMargin) -> Decimal:
    return row.isolated_wallet + row.unrealised if row.isolated else Decimal(0)


def account(state: Margins, version: int, now_ms: int, hedge: bool) -> Json:
    """v2 lists every symbol and its leverage; v3 only what has a position or an order, without them."""
    rows = list(state.symbols.values())
    totals = {
        "totalInitialMargin": plain(state.initial + state.order_initial),
        "totalMaintMargin": plain(state.maintenance),
        "totalWalletBalance": plain(state.wallet),
        "totalUnrealizedProfit": plain(state.unrealised),
        "totalMarginBalance": plain(state.wallet + state.unrealised),
        "totalPositionInitialMargin": plain(state.initial),
        "totalOpenOrderInitialMargin": plain(state.order_initial),
        "totalCrossWalletBalance": plain(state.cross_wallet),
        "totalCrossUnPnl": plain(state.cross_unrealised),
        "availableBalance": plain(state.available),
        "maxWithdrawAmount": plain(state.available),
        "assets": [_asset(state, now_ms)],
    }
    if version == 2:
        return account_config(hedge) | totals | {"positions": [_account_position_v2(row) for row in rows]}
    return totals | {"positions": [_account_position_v3(row) for row in rows if row.lots or row.order_initial]}


def account_config(hedge: bool) -> Json:
    return {
        "feeTier": 0,
        "feeBurn": False,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": hedge,
        "updateTime": 0,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
    }


def position_risk(row: SymbolMargin, version: int) -> Json:
    common = {
        "symbol": row.symbol,
        "positionSide": row.position_side,
        "positionAmt": format(row.amount, "f"),
        "entryPrice": plain(row.entry),
        "breakEvenPrice": plain(row.break_even),
        "markPrice": plain(row.mark),
        "unRealizedProfit": plain(row.unrealised),
        "liquidationPrice": plain(row.liquidation),
        "isolatedMargin": plain(_isolated_margin(row)),
        "notional": plain(row.notional),
        "isolatedWallet": plain(row.isolated_wallet),
        "updateTime": row.updated_ms,
    }
    if version == 2:
        return common | {
            "leverage": str(row.leverage),
            "maxNotionalValue": str(row.max_notional),
            "marginType": "isolated" if row.isolated else "cross",
            "isAutoAddMargin": "false",
        }
    return common | {
        "marginAsset": "USDT",
        "initialMargin": plain(row.initial + row.order_initial),
        "maintMargin": plain(row.maintenance),
        "positionInitialMargin": plain(row.initial),
        "openOrderInitialMargin": plain(row.order_initial),
        "adl": 1 if row.lots else 0,
        "bidNotional": plain(row.bid_notional),
        "askNotional": plain(row.ask_notional),
    }


def symbol_config(spec: SymbolSpec, isolated: bool, leverage: int) -> Json:
    return {
        "symbol": spec.symbol,
        "marginType": "ISOLATED" if isolated else "CROSSED",
        "isAutoAddMargin": False,
        "leverage": leverage,
        "maxNotionalValue": str(spec.max_notional(leverage)),
    }


def leverage_changed(spec: SymbolSpec, leverage: int) -> Json:
    return {"symbol": spec.symbol, "leverage": leverage, "maxNotionalValue": str(spec.max_notional(leverage))}


def leverage_bracket(spec: SymbolSpec) -> Json:
    brackets = [
        {
            "bracket": number,
            "initialLeverage": row.leverage,
            "notionalCap": row.cap,
            "notionalFloor": row.floor,
            "maintMarginRatio": float(row.mmr),
            "cum": float(row.cum),
        }
        for number, row in enumerate(spec.brackets, 1)
    ]
    return {"symbol": spec.symbol, "notionalCoef": 1.0, "brackets": brackets}


def commission_rate(symbol: str, maker: Decimal, taker: Decimal) -> Json:
    return {
        "symbol": symbol,
        "makerCommissionRate": plain(maker, 4),
        "takerCommissionRate": plain(taker, 4),
        "rpiCommissionRate": "0.00005",
    }


# -- user stream ------------------------------------------------------------------------------------------------------


def order_trade_update(scale: Scale, event: OrderEvent) -> Json:
    order, fill, at_ms = event.order, event.fill, event.at_ms
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": at_ms,
        "E": at_ms,
        "o": {
            "s": order.symbol,
            "c": order.client_id,
            "S": side(order.side_buy),
            "o": "LIQUIDATION" if is_forced(order) else order.type,
            "f": order.tif,
            "q": scale.qty(order.qty_lots),
            "p": scale.price(order.price_ticks),
            "ap": average(scale, order.quote, order.filled_lots),
            "sp": "0",
            "x": event.execution,
            "X": order.status,
            "i": order.order_id,
            "l": scale.qty(fill.lots if fill else 0),
            "z": scale.qty(order.filled_lots),
            "L": scale.price(fill.price_ticks) if fill else "0",
            "N": "USDT",
            "n": plain(fill.fee) if fill else "0",
            "T": at_ms,
            "t": fill.trade_id if fill else 0,
            "b": "0",
            "a": "0",
            "m": fill.maker if fill else False,
            "R": order.reduce_only,
            "wt": "CONTRACT_PRICE",
            "ot": order.type,
            "ps": order.position_side,
            "cp": order.close_position,
            "pP": False,
            "si": 0,
            "ss": 0,
            "rp": plain(fill.realised) if fill else "0",
            "V": "NONE",
            "pm": "NONE",
            "gtd": 0,
            "er": "5" if event.execution == "CALCULATED" else "0",
        },
    }


def trade_lite(scale: Scale, order: Order, fill: Fill) -> Json:
    return {
        "e": "TRADE_LITE",
        "E": fill.at_ms,
        "T": fill.at_ms,
        "s": order.symbol,
        "q": scale.qty(order.qty_lots),
        "p": scale.price(order.price_ticks),
        "m": fill.maker,
        "c": order.client_id,
        "S": side(order.side_buy),
        "L": scale.price(fill.price_ticks),
        "l": scale.qty(fill.lots),
        "t": fill.trade_id,
        "i": order.order_id,
    }


def account_update(event: AccountEvent) -> Json:
    state = event.position
    return {
        "e": "ACCOUNT_UPDATE",
        "T": event.at_ms,
        "E": event.at_ms,
        "a": {
            "m": event.reason,
            "B": [{"a": "USDT", "wb": plain(event.wallet), "cw": plain(event.cross_wallet), "bc": plain(event.change)}],
            "P": [
                {
                    "s": state.symbol,
                    "pa": format(state.amount, "f"),
                    "ep": plain(state.entry),
                    "bep": plain(state.break_even),
                    "cr": plain(state.realised),
                    "up": plain(state.unrealised),
                    "mt": "isolated" if state.isolated else "cross",
                    "iw": plain(state.isolated_wallet),
                    "ps": state.position_side,
                }
            ],
        },
    }


def algo_update(scale: Scale, event: AlgoEvent) -> Json:
    algo = event.algo
    body: Json = {
        "caid": algo.client_id,
        "aid": algo.algo_id,
        "at": "CONDITIONAL",
        "o": algo.type,
        "s": algo.symbol,
        "S": side(algo.side_buy),
        "ps": algo.position_side,
        "f": algo.tif,
        "q": scale.qty(algo.qty_lots),
        "X": algo.status,
        "ai": str(algo.order_id) if algo.order_id else "",
        "tp": scale.price(algo.trigger_ticks),
        "p": scale.price(algo.price_ticks),
        "V": "NONE",
        "wt": algo.working_type,
        "pm": "NONE",
        "cp": algo.close_position,
        "pP": False,
        "R": algo.reduce_only,
        "tt": algo.trigger_ms,
        "gtd": 0,
    }
    if algo.order_id:
        body |= {
            "act": CONDITIONAL_TYPES[algo.type][1],
            "ap": average(scale, algo.quote, algo.filled_lots),
            "aq": scale.qty(algo.filled_lots),
        }
    if algo.reason:
        body["rm"] = algo.reason
    if algo.type == "TRAILING_STOP_MARKET":
        body["ia"] = bool(algo.best_ticks)
    return {"e": "ALGO_UPDATE", "T": event.at_ms, "E": event.at_ms, "o": body}


def account_config_update(event: ConfigEvent) -> Json:
    return {
        "e": "ACCOUNT_CONFIG_UPDATE",
        "T": event.at_ms,
        "E": event.at_ms,
        "ac": {"s": event.symbol, "l": event.leverage},
    }


def margin_call(event: MarginCallEvent) -> Json:
    return {
        "e": "MARGIN_CALL",
        "E": event.at_ms,
        "cw": plain(event.cross_wallet),
        "p": [
            {
                "s": state.symbol,
                "ps": state.position_side,
                "pa": format(state.amount, "f"),
                "mt": "ISOLATED" if state.isolated else "CROSSED",
                "iw": plain(state.isolated_wallet),
                "mp": plain(mark),
                "up": plain(state.unrealised),
                "mm": plain(maintenance),
            }
            for state, mark, maintenance in event.positions
        ],
    }


def listen_key_expired(listen_key: str, at_ms: int) -> Json:
    return {"e": "listenKeyExpired", "E": at_ms, "listenKey": listen_key}


def user_events(scales: dict[str, Scale], event: UserEvent) -> list[Json]:
    """The messages of one event, in the order the venue sends them."""
    match event:
        case OrderEvent(order=order, fill=fill):
            full = order_trade_update(scales[order.symbol], event)
            return [trade_lite(scales[order.symbol], order, fill), full] if fill else [full]
        case AccountEvent():
            return [account_update(event)]
        case AlgoEvent(algo=algo):
            return [algo_update(scales[algo.symbol], event)]
        case MarginCallEvent():
            return [margin_call(event)]
        case ConfigEvent():
            return [account_config_update(event)]
