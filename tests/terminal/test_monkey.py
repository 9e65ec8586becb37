"""Two minutes of random keys on the demo; `make monkey` plays longer. And the judge itself is judged, and who heals."""

from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from calm_hand import Hand
from demo_house import House
from monkey import ENTRIES, LONG_S, deeds, run, unexplained, unproven

from nexus_engine.model.facts import Noted, OrderIntended, ProposalChanged
from nexus_engine.model.orders import Order
from nexus_engine.model.words import Leg, Level, OrderKind, ProposalStatus, Side

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


@pytest.mark.terminal
def test_a_hand_heals_whatever_holds_and_stops_nothing_where_nothing_does(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        terminal = house.cockpit(columns=120, lines=40)
        hand = Hand(lambda: terminal, terminal.press, Random(1))
        terminal.wait_for("Sentinel", 40.0)
        for keys, shown in (
            ("!", "HALTED"), ("p", "PAUSE"), ("m", "down at once"), ("w", "mode WATCHER"),
            (":", "Menu"), ("strategies\r", "Strategies   takes"), ("1", " off"),
        ):  # fmt: skip
            terminal.press(keys)
            terminal.wait_for(shown)
        for mode in ("PILOT", "COPILOT"):
            assert hand.heal(mode)
            view = house.view()
            assert (view["account"]["mode"], view["account"]["latches"]) == (mode, [])
            assert all(on for _, on, _ in view["strategies"])


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


def test_what_was_done_is_counted_by_what_it_was() -> None:
    notes = [
        Noted(at_ns=1, level=Level.INFO, subject="BTCUSDT", by=by, text=text)
        for by, text in (
            ("you", "closing half of it at market: 1"),
            ("bot", "closing all of it at market: 1"),
            ("you", "flatten: closing 0 positions at market"),
            ("you", "flatten: closing 2 positions at market"),
        )
    ]
    done = deeds([APPROVED, SENT, *notes])
    assert {name for name, count in done.items() if count == 1} == {"entries by bot", "halved", "flattened"}
    assert done.total() == 3


@pytest.mark.parametrize(
    ("seconds", "entries", "slope", "told"),
    [
        (LONG_S, ENTRIES, 0.99, []),
        (LONG_S, ENTRIES - 1, 0.0, ["only 9 entries"]),
        (LONG_S, ENTRIES, 1.0, ["memory grows"]),
        (LONG_S, ENTRIES, float("nan"), ["memory grows"]),
        (LONG_S - 1, 0, 100.0, []),
    ],
)
def test_only_a_long_run_must_have_traded_and_not_grown(
    seconds: float, entries: int, slope: float, told: list[str]
) -> None:
    found = unproven(seconds, entries, slope)
    assert [line.startswith(start) for line, start in zip(found, told, strict=True)] == [True] * len(told)
