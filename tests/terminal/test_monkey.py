"""Two minutes of random keys on the demo; `make monkey` plays longer. And the judge itself is judged."""

from decimal import Decimal
from pathlib import Path

import pytest
from monkey import run, unexplained

from nexus_engine.model.facts import OrderIntended, ProposalChanged
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Leg, OrderKind, ProposalStatus, Side

SEED, SECONDS = 7, 120.0
ENTRY = Order(
    client_id="c-1", symbol="BTCUSDT", side=Side.BUY, kind=OrderKind.LIMIT, leg=Leg.ENTRY, intent=1, qty=Decimal(1),
    created_ns=0, changed_ns=0,
)  # fmt: skip
APPROVED = ProposalChanged(at_ns=5, proposal=1, status=ProposalStatus.APPROVED, by="you")
SENT = OrderIntended(at_ns=6, order=ENTRY)


@pytest.mark.terminal
@pytest.mark.timeout(300)
def test_two_minutes_of_random_keys_breaks_nothing_and_sends_nothing_by_itself(tmp_path: Path) -> None:
    monkey = run(tmp_path, SEED, SECONDS)
    assert not monkey.found, "\n".join(monkey.found)
    assert monkey.pressed > 200


def test_what_a_key_approved_is_explained() -> None:
    assert unexplained([APPROVED, SENT], ["c-1"], lambda _: True) == (1, [])


@pytest.mark.parametrize(
    ("facts", "venue", "pressed", "told"),
    [
        ([SENT], ["c-1"], True, "without an approval"),
        ([APPROVED, SENT], ["c-1"], False, "no key was pressed"),
        ([ProposalChanged(at_ns=5, proposal=1, status=ProposalStatus.APPROVED, by="bot"), SENT], [], True, "by bot"),
        ([], ["c-2"], True, "the journal not"),
    ],
)
def test_what_nothing_explains_is_found(
    facts: list[OrderIntended | ProposalChanged], venue: list[str], pressed: bool, told: str
) -> None:
    (found,) = unexplained(facts, venue, lambda _: pressed)[1]
    assert told in found
