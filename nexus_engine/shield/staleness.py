"""Guards that cannot see are BLIND, and blind means no entries."""

from nexus_engine.model.signals import Quote


def unseen(symbol: str, quote: Quote | None, limit_ms: int) -> str:
    """Why nothing may be decided on this quote; empty when it is whole and young enough."""
    if quote is None or quote.age_ms is None:
        return f"{symbol}: no market data yet"
    if quote.age_ms > limit_ms:
        return f"{symbol}: market data is {quote.age_ms / 1000:.1f} s old, limit {limit_ms / 1000:.1f} s"
    if not quote.valid:
        return f"{symbol}: the book is being rebuilt"
    if not 0.0 < quote.bid < quote.ask < float("inf"):
        return f"{symbol}: no sane bid and ask"
    return ""
