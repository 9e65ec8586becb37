"""Money that is paid in or out is no profit and no drawdown: it is noted, once, whoever tells of it first.

The account's stream tells of a transfer as it happens, and gives it no number; the venue's list numbers what was moved,
also while nobody listened. One of each are the same transfer when amount and time agree.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from nexus_engine.core import accounting
from nexus_engine.model.events import AccountUpdate, VenueSnapshot
from nexus_engine.model.facts import Transferred
from nexus_engine.model.ledger import KEPT_TRANSFERS, Ledger
from nexus_engine.model.orders import ZERO, Transfer
from nexus_engine.model.turn import Turn
from nexus_engine.model.words import Level

LISTED_NS: Final = 600_000_000_000
"""The list and the stream stamp one transfer this far apart at most."""
AHEAD_NS: Final = 10_000_000_000
"""The stream is this late at most for a transfer that the list was first to tell. Shorter: until the next look at the
list the second of two equal ones would be missed."""


def told(turn: Turn, event: AccountUpdate, marks: accounting.Marks) -> None:
    """The stream tells of a transfer; call before the wallet of that event is taken in."""
    amount, known = event.transfer, turn.ledger.transfers
    if event.wallet is None:
        return
    if any(old.venue_ns == event.venue_ns and old.amount == amount for old in known):
        return
    listed = (old for old in known if old.id and old.amount == amount)
    if any(_apart_ns(turn.at_ns, event.venue_ns, old.moved_ns) < AHEAD_NS for old in listed):
        return
    before = event.wallet - amount + accounting.open_pnl(turn.ledger, marks)
    _note(turn, Transferred(at_ns=turn.at_ns, amount=amount, before=before, venue_ns=event.venue_ns))


def listed(turn: Turn, event: VenueSnapshot, marks: accounting.Marks) -> None:
    """The venue lists what was moved; call before its wallet is taken in."""
    ledger = turn.ledger
    fresh = [row for row in _unheard(ledger.transfers, event.transfers) if _matters(ledger, row)]
    if ledger.wallet is None or not fresh:
        return
    equity = accounting.equity(ledger, marks)
    equity -= sum((row.amount for row in fresh if row.at_ns <= ledger.wallet_ns), ZERO)
    for row in fresh:
        fact = Transferred(at_ns=turn.at_ns, amount=row.amount, before=equity, id=row.id, moved_ns=row.at_ns)
        equity += row.amount
        _note(turn, fact)


def _unheard(known: Sequence[Transferred], rows: Iterable[Transfer]) -> list[Transfer]:
    """Rows that nobody has told of, oldest first."""
    ids = {old.id for old in known if old.id}
    open_ones = [old for old in known if not old.id]
    # the list may reach further back than what is remembered: what was forgotten was heard
    since_ns = (known[0].moved_ns or known[0].venue_ns) if len(known) >= KEPT_TRANSFERS else 0
    fresh = []
    for row in sorted(rows, key=lambda row: (row.at_ns, row.id)):
        if row.id in ids or not row.amount:
            continue
        near = [(_apart_ns(old.at_ns, old.venue_ns, row.at_ns), old) for old in open_ones if old.amount == row.amount]
        apart_ns, nearest = min(near, key=lambda one: one[0], default=(LISTED_NS, None))
        if nearest is not None and apart_ns < LISTED_NS:
            open_ones.remove(nearest)
        elif row.at_ns >= since_ns:
            fresh.append(row)
    return fresh


def _apart_ns(heard_ns: int, venue_ns: int, listed_ns: int) -> int:
    """Between what the stream told and the list: by our clock, or by the venue's where we heard it late."""
    return min(abs(heard_ns - listed_ns), abs(venue_ns - listed_ns))


def _matters(ledger: Ledger, row: Transfer) -> bool:
    """Something is counted from an equity that lacks it. What is older than all of these is in them."""
    return (ledger.day >= 0 and ledger.day_ns < row.at_ns) or (ledger.peak > 0 and ledger.peak_ns < row.at_ns)


def _note(turn: Turn, fact: Transferred) -> None:
    turn.record(fact)
    word = "paid in" if fact.amount > 0 else "taken out"
    text = f"{abs(fact.amount):,.2f} {word}: neither profit nor loss, and no drawdown"
    turn.note(Level.INFO, "account", text, "venue")
