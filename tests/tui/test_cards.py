"""What a card says of the way out."""

from decimal import Decimal

import pytest
from msgspec.structs import replace
from tui_driving import cockpit
from tui_views import card, view

from nexus_engine.model.orders import ExitPlan, Partial
from nexus_tui.widgets.proposals import targets

D = Decimal
PLAN = ExitPlan(stop=D("150.10"), target=D("144.40"), partials=(Partial(D("146.30"), 0.5), Partial(D("145.35"), 0.25)))


def test_a_card_names_every_target_and_leaves_out_parts_before_prices() -> None:
    assert targets(PLAN, 2, 60) == "targets 146.30 (50%) 145.35 (25%) 144.40"
    assert targets(PLAN, 2, 39) == "targets 146.30 145.35 144.40"
    assert targets(PLAN, 2, 27) == "to 146.30 145.35 144.40"
    assert targets(PLAN, 2, 18) == "target 146.30 +2"


def test_one_target_none_and_only_parts() -> None:
    assert targets(replace(PLAN, partials=()), 2, 60) == "target 144.40"
    assert targets(ExitPlan(stop=D(1)), 2, 60) == "no target"
    assert targets(replace(PLAN, target=None), 2, 60) == "targets 146.30 (50%) 145.35 (25%)"


@pytest.mark.parametrize(("size", "shown"), [((120, 40), "146.30 (50%)"), ((80, 24), "target 146.30 +2")])
async def test_the_cockpit_shows_them(size: tuple[int, int], shown: str) -> None:
    plain = card()
    held = replace(plain, proposal=replace(plain.proposal, plan=PLAN))
    async with cockpit(view(proposals=(held,)), size=size) as driven:
        assert shown in driven.text
