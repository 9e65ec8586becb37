"""What is written comes back the same, whatever the numbers were."""

import math

from hypothesis import given
from hypothesis import strategies as st

from nexus_engine.model.facts import AnyFact, GuardTripped
from nexus_engine.model.verdicts import Reading, Verdict
from nexus_engine.model.words import Ruling
from nexus_engine.store.codec import Codec

FACTS: Codec[AnyFact] = Codec(AnyFact)
numbers = st.floats(allow_nan=True, allow_infinity=True)


@given(st.lists(numbers), numbers, st.none() | numbers, st.text(st.characters(exclude_categories=["Cs"])))
def test_every_number_comes_back_as_it_was(values: list[float], scale: float, limit: float | None, text: str) -> None:
    verdict = Verdict(guard="g", ruling=Ruling.ALLOW, scale=scale, reason=text, inputs=(Reading("r", 1.0, limit),))
    fact = GuardTripped(at_ns=1, verdict=verdict, evidence=tuple(enumerate(values)))
    back = FACTS.decode(FACTS.encode(fact))
    assert isinstance(back, GuardTripped)
    assert back.verdict.reason == text
    found = [value for _, value in back.evidence] + [back.verdict.scale, back.verdict.inputs[0].limit]
    for was, now in zip([*values, scale, limit], found, strict=True):
        assert now == was or (isinstance(was, float) and isinstance(now, float) and math.isnan(was) and math.isnan(now))
