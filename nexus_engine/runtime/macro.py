"""Who tells an account dominance and the whole market's cap."""

from typing import TYPE_CHECKING

from nexus_engine.model.config import Directive
from nexus_engine.model.macro import MacroPast
from nexus_engine.model.ports import Clock
from nexus_engine.model.secret import Secret
from nexus_engine.model.words import AccountKind
from nexus_engine.runtime.uplinks import Address

if TYPE_CHECKING:
    from nexus_engine.uplink.cmc import MacroFeed


def macro_feed(
    directive: Directive, where: Address, key: Secret | None, past: MacroPast, clock: Clock
) -> "MacroFeed | None":
    """The feed that the directive asks for; None where it is off. The demo's venue tells them too, to whom has its
    key; `key` is CoinMarketCap's, and `past` what the journal knows already."""
    from nexus_engine.uplink.cmc import CMC, GECKO, NO_KEY, MacroFeed

    config, demo = directive.macro, directive.account.kind is AccountKind.DEMO
    key = where.api_key if demo else key or NO_KEY
    source = (CMC if key else GECKO) if config.source == "auto" else config.source
    if source == "off":
        return None
    url = config.coinmarketcap_url if source == CMC else config.coingecko_url
    if demo:
        # never a key of the practice venue to anybody else, nor its market's past mixed with the real one
        url = where.rest_url
    known_ns = past.rows[-1].venue_ns if past.source == source and past.rows else 0
    return MacroFeed(source, clock, url=url, key=key, known_ns=known_ns)
