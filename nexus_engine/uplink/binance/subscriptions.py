"""Streams on a connection that lives: what falls silent alone is subscribed anew, without the others noticing.

The venue accepts a subscription that it then does not serve, and drops single streams of a connection.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from nexus_engine.model.ports import Clock
from nexus_engine.uplink.stream import Stream

QUIET_S: Final = 5.0
LONGEST_S: Final = 60.0
"""A symbol that is not traded is silent too: it is asked for more and more rarely."""
LOOK_S: Final = 0.5
_ANSWERS: Final = (b'{"result":', b'{"id":')


class Subscriptions:
    """`names` of a symbol are its streams; `anew` is told of each symbol that is subscribed again, before it is."""

    def __init__(
        self,
        stream: Stream,
        symbols: Iterable[str],
        names: Callable[[str], Sequence[str]],
        clock: Clock,
        anew: Callable[[str], None],
    ) -> None:
        self._stream = stream
        self._symbols = tuple(symbols)
        self._names = names
        self._clock = clock
        self._anew = anew
        self._heard: dict[str, int] = {}
        self._patience_ns: dict[str, int] = {}
        self._asked = 0

    def path(self) -> str:
        """All of them, as an address wants them."""
        return "/".join(name for symbol in self._symbols for name in self._names(symbol))

    def opened(self) -> None:
        """A connection begins: everybody has the same time to be heard."""
        now = self._clock.mono_ns()
        self._heard = dict.fromkeys(self._symbols, now)
        self._patience_ns.clear()

    def heard(self, symbol: str, mono_ns: int) -> None:
        """A message of the kind that always comes."""
        self._heard[symbol] = mono_ns

    def ended(self) -> None:
        """No connection: nobody is expected."""
        self._heard.clear()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            silent = self.silent()
            for symbol in silent:
                self._anew(symbol)
            if silent:
                await self.subscribe(silent)

    def silent(self) -> list[str]:
        """Who has not been heard for too long; the next time it may be twice as long."""
        now, found = self._clock.mono_ns(), []
        for symbol, heard in self._heard.items():
            patience_ns = self._patience_ns.get(symbol, int(QUIET_S * 1e9))
            if now - heard > patience_ns:
                found.append(symbol)
                self._heard[symbol] = now
                self._patience_ns[symbol] = min(2 * patience_ns, int(LONGEST_S * 1e9))
        return found

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """End their streams and begin them again: in two messages, for the venue takes no more than ten a second."""
        names = [name for symbol in symbols for name in self._names(symbol)]
        for method in ("UNSUBSCRIBE", "SUBSCRIBE"):
            self._asked += 1
            asked = {"method": method, "params": names, "id": self._asked}
            await self._stream.send(json.dumps(asked))


def is_answer(data: bytes) -> bool:
    """The venue's word on a SUBSCRIBE."""
    return data.startswith(_ANSWERS)
