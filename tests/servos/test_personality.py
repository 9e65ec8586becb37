"""Voices: the words around a fact, never the fact."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import BTC, SOL, World, virtual

from nexus_engine.model.commands import Halt, Release
from nexus_engine.model.facts import SWAN_LOCK
from nexus_engine.model.people import Voice
from nexus_engine.model.view import EventRow
from nexus_engine.model.words import Latch, Level, Mode
from nexus_engine.runtime.voices import load_voices
from nexus_engine.servos.personality import KINDS, LONGEST, LOUD, PLAIN, VoiceError, kind_of, parse

VOICES: Final = load_voices(name for name in get_args(Voice))
LINES: Final = {
    "start": "reconciled: no difference",
    "proposal": "P{n} BUY {qty} harpoon: fell {pct}% in 5 min; snapped back",
    "filled": "P{n} partly filled {qty} at {price}",
    "stop": "stop {price} confirmed, {ms} ms",
    "won": "P{n} closed: +{money} (+{r} R)",
    "lost": "P{n} closed: -{money} (-{r} R)",
    "refused": "harpoon SELL refused: spread {r} bp over the limit of 8",
    "expired": "P{n} expired: price ran away: {r} R left",
    "naked": "NAKED: no confirmed stop of its size",
    "swan": "BLACK SWAN: {n} longs closing, shorts untouched",
    "halt": "HALT: asked by nexus kill",
    "released": "PROTECT_ONLY released",
}
"""A line of each kind."""
TOKENS: Final = re.compile(r"\d[\d.,]*|\b[A-Z0-9_]{2,}\b|\b(?i:buy|sell|long|short)s?\b|[%$€+]|-(?=\d)")
"""Numbers, symbols and what is written like one, sides, signs."""

numbers = st.decimals(min_value="0.01", max_value=99_999, places=2).map(str)


@st.composite
def rows(draw: st.DrawFn) -> EventRow:
    line = LINES[draw(st.sampled_from(sorted(LINES)))]
    filled = line.format_map(
        {key: draw(numbers) for key in ("qty", "price", "pct", "ms", "money", "r")} | {"n": draw(st.integers(1, 999))}
    )
    return EventRow(
        at_ns=draw(st.integers(1, 2**62)),
        level=draw(st.sampled_from(Level)),
        subject=draw(st.sampled_from([SOL, BTC, "account", "1000PEPEUSDT"])),
        by="bot",
        text=draw(st.one_of(st.just(filled), st.just(f"{filled} 5x LONG"), st.text(max_size=60))),
    )  # fmt: skip


def said(words: str) -> list[str]:
    return [each.group() for each in TOKENS.finditer(words)]


@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
@given(row=rows())
def test_the_fact_is_in_there_as_it_was_and_no_number_symbol_or_side_comes_to_it(voice: Any, row: EventRow) -> None:
    told = voice.dress(row)
    assert (told.text, told.at_ns, told.level, told.subject, told.by) == (
        row.text,
        row.at_ns,
        row.level,
        row.subject,
        row.by,
    )
    assert told.voiced.count(row.text) >= 1 and len(told.voiced) <= len(row.text) + LONGEST
    assert Counter(said(told.voiced)) == Counter(said(row.text))
    assert not any(char.isdigit() for char in told.before + told.after)
    if row.level is Level.ALARM:
        assert told.voiced.startswith(row.text)
    assert voice.dress(row) == told


def everything(voice: Any) -> Iterator[tuple[str, str]]:
    for kind, choice in voice.says.items():
        for words in choice:
            yield kind, f"{words.before} {words.after}".strip()


@pytest.mark.parametrize("voice", VOICES.values(), ids=VOICES)
def test_every_line_of_every_voice_is_words_alone(voice: Any) -> None:
    assert set(voice.says) == set(KINDS) == set(LINES)
    lines = list(everything(voice))
    for kind, words in lines:
        assert not TOKENS.search(words), words
        assert words.isprintable() and "[" not in words
        assert kind not in LOUD or words.startswith("— ")
    for kind in KINDS:
        own = [words for each, words in lines if each == kind]
        assert 6 <= len(own) <= 10 and len(set(own)) == len(own)


def test_a_loss_is_never_mocked_and_an_alarm_never_played_down() -> None:
    sorry = re.compile(
        r"\b(?:loser|fool\w*|stupid|idiot|pathetic|ha|oops|genius|told you|weak|shame|cry\w*|lol)\b", re.IGNORECASE
    )
    fine = re.compile(r"\b(?:fine|safe|relax|no worries|all good|nothing to|covered|protected)\b", re.IGNORECASE)
    for voice in VOICES.values():
        for kind, words in everything(voice):
            assert not sorry.search(words), words
            assert kind not in ("naked", "swan") or not fine.search(words), words


def test_voices_differ_and_one_voice_varies() -> None:
    told = [
        EventRow(at_ns=at, level=Level.GOOD, subject=SOL, by="bot", text="stop 94.20 confirmed, 212 ms")
        for at in range(300)
    ]
    heard = {name: {voice.dress(row).after + voice.dress(row).before for row in told} for name, voice in VOICES.items()}
    for name, words in heard.items():
        assert len(words) == len(VOICES[name].says["stop"])
    assert len(set.union(*heard.values())) == sum(map(len, heard.values()))


@pytest.mark.parametrize("kind", LINES)
def test_no_alarm_of_any_kind_begins_with_a_voice(kind: str) -> None:
    text = LINES[kind].format_map(dict.fromkeys(("n", "qty", "price", "pct", "ms", "money", "r"), 3))
    for voice in VOICES.values():
        for at in range(100):
            row = EventRow(at_ns=at, level=Level.ALARM, subject=SOL, by="bot", text=text)
            assert voice.dress(row).voiced.startswith(text)


def test_plain_has_no_words_and_every_voice_that_may_be_chosen_is_there() -> None:
    assert PLAIN not in VOICES and set(VOICES) | {PLAIN} == set(get_args(Voice))
    assert len(VOICES) >= 4


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ({"won": ["{fact} — up 3 percent."]}, "voice x: won[0]: after {fact} stands"),
        ({"won": ["{fact} — Three cheers."]}, "'Three' could be taken for a number"),
        ({"won": ["{fact} — go long again."]}, "'long' could be taken for"),
        ({"won": ["{fact} — BTC is king."]}, "'BTC' could be taken for"),
        ({"won": ["Never mind this one: {fact}"]}, "'one' could be taken for"),
        ({"won": ["Not {fact}"]}, "before {fact} stands a sentence"),
        ({"won": ["{fact}, or so they say."]}, "after {fact} stands"),
        ({"won": ["{fact} — [red]well[/red]."]}, "after {fact} stands"),
        ({"won": ["no fact at all."]}, "must be a text with {fact} in it once"),
        ({"won": ["{fact} — a. {fact}"]}, "must be a text with {fact} in it once"),
        ({"won": [7]}, "must be a text"),
        ({"won": []}, "must be a list of lines"),
        ({"won": "{fact}"}, "must be a list of lines"),
        ({"naked": ["Look here: {fact}"]}, "an alarm begins with {fact}"),
        ({"wen": ["{fact} — a."]}, "voice x: wen: is no kind of line; known: start, proposal"),
        ({"won": ["{fact} — " + "a" * 80 + "."]}, "characters beside the fact; at most 48"),
    ],
)  # fmt: skip
def test_a_voice_that_could_change_a_fact_is_refused_in_one_line(raw: dict[str, Any], told: str) -> None:
    with pytest.raises(VoiceError) as caught:
        parse("x", raw)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", LINES)
def test_a_line_of_each_kind_is_known(kind: str) -> None:
    level = Level.ALARM if kind in LOUD else Level.INFO
    text = LINES[kind].format_map(dict.fromkeys(("n", "qty", "price", "pct", "ms", "money", "r"), 3))
    assert kind_of(EventRow(at_ns=1, level=level, subject=SOL, by="bot", text=text)) == kind


def test_what_came_to_nothing_is_neither_won_nor_lost() -> None:
    for text in ("P3 closed: +0.00 (+0.0 R)", "P3 closed: -0.00 (-0.0 R)", "approve refused: cy is a viewer; it takes"):
        assert not kind_of(EventRow(at_ns=1, level=Level.WARN, subject=SOL, by="bot", text=text))


@virtual
async def test_the_engines_own_lines_are_known_for_what_they_are() -> None:
    world = await World(mode=Mode.PILOT).start().ready()
    for price in (154.0, 140.0):
        await world.enter()
        world.tape.move(SOL, price)
        await world.until(lambda: not world.ours())
        world.tape.move(SOL, 150.0)
        await world.run(2.0)
    world.command(Halt())
    world.wish()
    await world.run(2.0)
    world.command(Release(latch=Latch.HALT, word="halt"))
    await world.ready()
    await world.enter()
    conditionals = world.venue.account.conditionals
    for algo in list(conditionals.open.values()):
        conditionals.cancel(algo.algo_id, None, 1)
    await world.run(5.0)
    world.tape.move(BTC, 88_000.0)
    await world.until(lambda: SWAN_LOCK in world.ledger.locks, 10.0)
    found = {kind_of(row) for row in world.engine.notebook.rows} | {"expired"}
    assert set(KINDS) <= found


@virtual
async def test_what_decides_and_what_is_kept_stays_plain() -> None:
    world = await World(mode=Mode.PILOT).start().ready()
    await world.enter()
    kept = [row for row in world.engine.notebook.rows if row.before or row.after]
    assert not kept and world.engine.notebook.rows
