"""Two minutes of random keys on the demo; `make monkey` plays longer. And the judge itself is judged, and who heals."""

from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from random import Random
from typing import cast

import calm_hand
import monkey
import pytest
from calm_hand import Hand
from demo_house import House, wait_until
from monkey import CALM, HALVES, MUTE, PRESSES, STUCK_S, WILD, Monkey, run
from monkey_judge import ENTRIES, LONG_S, ONCE, SURE, YES, deeds, tracebacks, unexplained, unproven
from msgspec.structs import replace

from nexus_engine.model.facts import (
    Adopted,
    AnyFact,
    Crashed,
    LatchSet,
    Leaving,
    ModeSet,
    Noted,
    OrderIntended,
    PlanChanged,
    ProposalChanged,
    RunEnded,
    RunStarted,
)
from nexus_engine.model.orders import ExitPlan, Order
from nexus_engine.model.words import AccountKind, Latch, Leg, Level, Mode, OrderKind, ProposalStatus, Side

YES_KEYS = "ay\r"
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
    played = run(tmp_path, SEED, SECONDS)
    assert not played.found, "\n".join(played.found)
    assert played.pressed > 200
    assert played.healed


@pytest.mark.terminal
def test_a_hand_heals_whatever_holds_and_stops_nothing_where_nothing_does(tmp_path: Path) -> None:
    with House(tmp_path) as house:
        terminal = house.cockpit(columns=120, lines=40)
        hand = Hand(lambda: terminal, terminal.send, Random(1))
        terminal.wait_for("Sentinel", 40.0)
        for keys, shown in (
            ("!", "HALTED"), ("p", "PAUSE"), ("m", "down at once"), ("w", "mode WATCHER"),
            (":", "Menu"), ("strategies", "▶ strategies"), ("\r", "Strategies   takes"), ("1", " off"),
        ):  # fmt: skip
            terminal.press(keys)
            terminal.wait_for(shown)
        for mode in ("PILOT", "COPILOT"):
            wait_until(partial(hand.heal, mode), 60.0)
            view = house.view()
            assert (view["account"]["mode"], view["account"]["latches"]) == (mode, [])
            assert all(on for _, on, _ in view["strategies"])


def judged(*facts: AnyFact, venue: tuple[str, ...] = (), keys: str = YES_KEYS) -> list[str]:
    """What is found where these keys were pressed all the time."""
    return unexplained(facts, venue, lambda wanted, _: bool(wanted & set(keys)))[1]


def order(number: int, leg: Leg = Leg.ENTRY, intent: int = 1, by: str = "bot") -> OrderIntended:
    return OrderIntended(at_ns=9, order=replace(ENTRY, client_id=f"c-{number}", leg=leg, intent=intent, by=by))


def became(status: ProposalStatus, by: str = "you") -> ProposalChanged:
    return ProposalChanged(at_ns=5, proposal=1, status=status, by=by)


def latch(latch: Latch, on: bool) -> LatchSet:
    return LatchSet(at_ns=4, latch=latch, on=on, by="you")


def mode(mode: Mode) -> ModeSet:
    return ModeSet(at_ns=4, mode=mode, by="you")


LEFT = Leaving(at_ns=8, symbol="BTCUSDT", by="you", intent=1)
MOVED = PlanChanged(at_ns=8, symbol="BTCUSDT", plan=ExitPlan(stop=Decimal(1)), by="you")
ADOPTED = Adopted(
    at_ns=8, symbol="BTCUSDT", qty=Decimal(1), entry=Decimal(1), plan=ExitPlan(stop=Decimal(1)), intent=3, by="you"
)
BEGUN = RunStarted(at_ns=1, account="main", kind=AccountKind.DEMO, instance="x", epoch=1, version="1")
ENDED = RunEnded(at_ns=9)


@pytest.mark.parametrize(
    "facts",
    [
        [APPROVED, SENT],
        [mode(Mode.PILOT), became(ProposalStatus.APPROVED, "bot"), SENT, mode(Mode.WATCHER)],
        *([latch(each, True), latch(each, False), APPROVED, SENT, latch(each, True)] for each in Latch),
        [APPROVED, SENT, became(ProposalStatus.EXECUTED)],
        [APPROVED, SENT, order(2, Leg.STOP), order(3, Leg.TARGET), order(4, Leg.EXIT), order(5, Leg.EXIT, by="you")],
        [ADOPTED, order(2, Leg.STOP, 3)],
        [order(2, Leg.FOREIGN, 7, "you")],
        [BEGUN, ENDED, BEGUN, ENDED],
    ],
)
def test_what_keys_and_rules_explain_is_not_found(facts: list[AnyFact]) -> None:
    assert not judged(*facts, venue=tuple(fact.order.client_id for fact in facts if isinstance(fact, OrderIntended)))


def test_an_exit_that_a_person_wanted_is_repeated_without_a_key_and_no_other_is() -> None:
    other = replace(order(9, intent=2), order=replace(ENTRY, client_id="c-9", intent=2, symbol="ETHUSDT"))
    facts = [APPROVED, SENT, replace(APPROVED, proposal=2), other, LEFT, order(2, Leg.EXIT, by="you")]

    def found(*more: AnyFact) -> list[str]:
        return unexplained([*facts, *more], [], lambda _, at_ns: at_ns in (APPROVED.at_ns, LEFT.at_ns))[1]

    assert not found()
    assert found(order(3, Leg.EXIT, 2, "you")) == ["exit c-3 by you, but no key was pressed"]


@pytest.mark.parametrize(
    ("facts", "keys", "told"),
    [
        ([SENT], YES_KEYS, "without an approval"),
        ([APPROVED, SENT, order(2)], YES_KEYS, "entry c-2 without an approval"),
        *(
            ([APPROVED, became(status), SENT], YES_KEYS, "without an approval")
            for status in (ProposalStatus.REJECTED, ProposalStatus.EXPIRED, ProposalStatus.FAILED)
        ),
        *(([APPROVED, latch(each, True), SENT], YES_KEYS, f"while {each} held") for each in Latch),
        ([mode(Mode.WATCHER), APPROVED, SENT], YES_KEYS, "in WATCHER"),
        ([APPROVED, SENT], "x", "P1 approved by you, but no key was pressed"),
        ([became(ProposalStatus.APPROVED, "bot"), SENT], YES_KEYS, "by bot in COPILOT"),
        ([order(2, Leg.EXIT, 77, "you")], YES_KEYS, "exit c-2 of nothing that was opened"),
        ([order(2, Leg.STOP, 77)], YES_KEYS, "stop c-2 of nothing that was opened"),
        ([APPROVED, SENT, order(2, Leg.EXIT, by="you")], "a", "exit c-2 by you, but no key"),
        ([order(2, Leg.FOREIGN, 7, "you")], "a", "foreign c-2 by you, but no key"),
        ([LEFT], "a", "BTCUSDT left by you, but no key"),
        ([MOVED], "a", "the stop of BTCUSDT moved by you, but no key"),
        ([ADOPTED], "a", "BTCUSDT adopted by you, but no key"),
        ([latch(Latch.HALT, False)], "a", "HALT released by you, but no key"),
        ([BEGUN], YES_KEYS, "the last run did not end"),
        ([BEGUN, Crashed(at_ns=2), BEGUN, ENDED], YES_KEYS, "a run did not end"),
    ],
)
def test_what_nothing_explains_is_found(facts: list[AnyFact], keys: str, told: str) -> None:
    (found,) = judged(*facts, keys=keys)
    assert told in found


def test_what_the_venue_has_and_the_journal_not_is_found() -> None:
    assert judged(venue=("c-2",)) == ["the venue has 'c-2', the journal not"]


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


TRADED = {"entries by you": ENTRIES - 2, "entries by bot": 2, **dict.fromkeys(ONCE, 1)}


@pytest.mark.parametrize(
    ("seconds", "done", "slope", "told"),
    [
        (LONG_S, TRADED, 0.99, []),
        (LONG_S, TRADED | {"entries by bot": 1}, 0.0, ["only 9 entries"]),
        (2 * LONG_S, TRADED, 0.0, ["only 10 entries, 20 at least"]),
        *((LONG_S, TRADED | {name: 0}, 0.0, [f"{name}: not once"]) for name in ONCE),
        (LONG_S, TRADED, 1.0, ["memory grows"]),
        (LONG_S, TRADED, float("nan"), ["memory grows"]),
        (LONG_S - 1, dict.fromkeys(TRADED, 0), 100.0, []),
    ],
)
def test_only_a_long_run_must_have_traded_and_not_grown(
    seconds: float, done: dict[str, int], slope: float, told: list[str]
) -> None:
    found = unproven(seconds, done, slope)
    assert [line.startswith(start) for line, start in zip(found, told, strict=True)] == [True] * len(told)


def test_a_past_ends_once_an_engine_has_forgotten_some_of_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monkey, "FULL", {OrderIntended: 1, LatchSet: 0})
    assert not monkey.full([SENT, latch(Latch.HALT, True)])
    assert not monkey.full([SENT, SENT])
    assert monkey.full([SENT, latch(Latch.HALT, True), order(2)])


def test_a_traceback_is_found_in_a_rotated_log_too(tmp_path: Path) -> None:
    for name, text in (("nexus.log", "all is well"), ("nexus.log.1", ""), ("nexus.log.3", "x\nTraceback (most recent")):
        (tmp_path / name).write_text(text)
    assert [found.split("\n")[0] for found in tracebacks(tmp_path)] == ["a traceback in nexus.log.3:"]


# ---- the play itself, on a time that does not pass by itself ---------------------------------------------------------


class HandMade:
    """A cockpit that is no more than what the hand looks for, and the time of whoever plays on it.

    It is terminal, process and house in one; `code` is what it ends with at `q` and `r`, None: never.
    """

    def __init__(self, *, code: int | None = 0) -> None:
        self.now_s = 1_000.0
        self.frozen_s: tuple[tuple[float, float], ...] = ()
        """From when to when, since the start."""
        self.code = code
        self.ended: int | None = None
        self.sent: list[tuple[float, str]] = []
        self.text = self._bare
        self.process = self
        self.folder = Path("nowhere")

    _bare = "DEMO main  COPILOT  Sentinel CALM\nno latch holds"

    def send(self, keys: str) -> None:
        before = self.sent[-1][1] if self.sent else ""
        self.sent.append((self.now_s, keys))
        if any(soon <= self.now_s - 1_000.0 < late for soon, late in self.frozen_s):
            return
        if keys == "r" and "Leave" in self.text:
            self.ended = self.code
        shown = {":": "─ Menu ", "q": "─ Leave Nexus "}
        listed = (before, keys) == ("strategies", "\r")
        self.text = self._bare + ("Strategies   takes" if listed else shown.get(keys, ""))

    def poll(self) -> int | None:
        return self.ended

    def resize(self, columns: int, lines: int) -> None: ...

    def wait_for(self, what: str, within_s: float) -> None: ...

    def close(self) -> None:
        self.ended = -9

    def cockpit(self, **options: int) -> "HandMade":
        self.ended = None
        return self

    def processes(self) -> list[int]:
        return []

    def venue_pid(self) -> int:
        return 0

    def status(self) -> dict[str, int]:
        return {}

    # ---- time --------------------------------------------------------------------------------------------------------

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds + 0.001

    def monotonic(self) -> float:
        return self.now_s

    def time_ns(self) -> int:
        return int(self.now_s * 1e9)


Playing = Callable[[HandMade], Monkey]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Playing:
    def play(made: HandMade) -> Monkey:
        for module in (monkey, calm_hand):
            monkeypatch.setattr(module, "time", made)
        return Monkey(cast("House", made), SEED)

    return play


EVER = float("inf")


@pytest.mark.parametrize(
    ("frozen_s", "seconds", "told"),
    [
        (((0.0, EVER),), SECONDS, "could not be healed for 60 s"),
        (((0.0, EVER),), 10.0, "did not leave within 30 s"),
        (((30.0, EVER),), 200.0, "could not be healed for 60 s"),
    ],
)
def test_a_cockpit_that_freezes_is_found(
    on: Playing, frozen_s: tuple[tuple[float, float], ...], seconds: float, told: str
) -> None:
    made = HandMade()
    playing = on(made)
    made.frozen_s = frozen_s
    playing.play(seconds)
    playing.leave()
    assert told in playing.found[0]


def test_a_cockpit_that_answers_again_in_time_is_not_found_however_often_it_was_slow(on: Playing) -> None:
    made = HandMade()
    playing = on(made)
    made.frozen_s = ((10.0, 60.0), (110.0, 160.0), (170.0, 220.0))
    playing.play(300.0)
    playing.leave()
    assert not playing.found
    assert playing.healed


def test_the_minutes_of_the_tour_are_no_time_in_which_it_could_not_be_healed(
    on: Playing, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = HandMade()
    playing = on(made)
    made.frozen_s = ((LONG_S / 6 - 50.0, LONG_S / 6),)
    tour = playing._tour

    def and_slow_after() -> None:
        began_s = made.now_s
        tour()
        assert made.now_s - began_s > STUCK_S
        made.frozen_s = ((made.now_s - 1_000.0, made.now_s - 985.0),)

    monkeypatch.setattr(playing, "_tour", and_slow_after)
    playing.play(LONG_S)
    assert made.frozen_s and not playing.found


def test_an_error_pane_that_is_there_at_the_end_is_found(on: Playing) -> None:
    made = HandMade()
    playing = on(made)
    made.text += "\n cannot be shown: LookupError"
    playing.leave()
    assert "an error pane" in playing.found[0]


def test_in_a_mute_half_no_yes_is_sent_and_the_rest_is(on: Playing) -> None:
    for half, said in ((WILD, True), (CALM, True), (MUTE, False)):
        made = HandMade()
        playing = on(made)
        playing.healed = HALVES.index(half)
        for _ in range(1_000):
            playing.act(leaving=False)
        keys = {keys for _, keys in made.sent if not keys.startswith("\x1b[200~")}
        assert any(YES & set(each) for each in keys) is said
        assert keys >= {PRESSES[name] for name in PRESSES if name not in half.kept}
        assert ("p" in keys) is (half is WILD)


def test_two_minutes_have_a_mute_half(on: Playing) -> None:
    playing = on(HandMade())
    playing.play(SECONDS)
    assert not playing.found
    assert playing.healed > HALVES.index(MUTE)


def test_a_key_explains_what_happens_just_after_it_and_nothing_later(on: Playing) -> None:
    made = HandMade()
    playing = on(made)
    playing.press("a")
    for after_s, keys, explained in ((-0.1, YES, False), (0.0, YES, True), (1.4, YES, True), (1.6, YES, False)):
        assert playing.was_pressed(keys, made.time_ns() + int(after_s * 1e9)) is explained
    assert not playing.was_pressed(SURE, made.time_ns())


@pytest.mark.parametrize(
    ("code", "told"), [(0, []), (1, ["left with 1"]), (-11, ["left with -11"]), (None, ["did not leave within 30 s"])]
)
def test_it_leaves_in_order_at_the_end_or_that_is_found(on: Playing, code: int | None, told: list[str]) -> None:
    playing = on(HandMade(code=code))
    playing.play(20.0)
    playing.leave()
    assert [line.split(" s: ")[1].split(":")[0] for line in playing.found] == told


def test_a_crash_after_the_last_look_is_found_once(on: Playing) -> None:
    made = HandMade()
    playing = on(made)
    made.ended = -11
    playing.leave()
    playing.leave()
    assert [line.split("\n")[0] for line in playing.found] == ["0 s: left with -11:"]
