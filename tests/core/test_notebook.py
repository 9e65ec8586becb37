"""The outcome of a command goes on with what the venue makes of it, and with nothing else."""

from nexus_engine.core.notebook import Notebook
from nexus_engine.model.effects import Notify, Record
from nexus_engine.model.facts import SignalSeen
from nexus_engine.model.signals import RegimeView, Signal
from nexus_engine.model.words import Level, Regime, Side

WISH = SignalSeen(
    at_ns=3,
    signal=Signal(
        symbol="ADAUSDT", strategy="flow", side=Side.SELL, price=0.8, limit=0.8, stop_distance=0.01, target=0.7,
        reasons=(), regime=RegimeView(regime=Regime.RANGE, confidence=0.5), risk_pct=0.1, market_ns=3,
    ),
    verdicts=(),
    outcome="refused",
)  # fmt: skip


def told(symbol: str, text: str) -> Notify:
    return Notify(level=Level.INFO, subject=symbol, by="bot", text=text)


def test_what_a_strategy_wished_for_meanwhile_is_no_outcome_of_a_command() -> None:
    for follows in ("ADAUSDT", ""):
        book = Notebook()
        book.answer(1, "ADAUSDT", "you", "closing 2497 at market", follows=follows)
        book.listen([told("ADAUSDT", "exit of P1: BUY 2497 at 0.7961")], 2)
        book.listen([Record(fact=WISH), told("ADAUSDT", "flow SELL refused: P1 is open")], 3)
        assert book.outcome is not None
        assert book.outcome.text == "closing 2497 at market  exit of P1: BUY 2497 at 0.7961"
        assert len(book.rows) == 2
