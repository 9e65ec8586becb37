"""The regime model of an account that runs: found at the start, taken anew when another is in use, trained weekly.

Training is a process of its own behind everything else: it can neither stop the engine nor be in its way. What it
leaves in the state folder is taken over within a minute, whoever trained it.
"""

import asyncio
import logging
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nexus_engine.model.config import Directive
from nexus_engine.model.events import RegimeModelChanged

if TYPE_CHECKING:
    from nexus_engine.cortex.regime_model import RegimeModel

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
HISTORY_DAYS: Final = 1_250
"""Three years to learn from, and what the longest window needs before them."""
LONGEST_S: Final = 6 * 3600.0
NICE: Final = 10
_HOME: Final = Path(__file__).resolve().parents[2]

Offer = Callable[["RegimeModel | None", str], None]


def changed(model: "RegimeModel | None", problem: str, *, at_ns: int, mono_ns: int) -> RegimeModelChanged:
    """What the engine is told of a model that it is to use, or of why there is none."""
    from nexus_engine.cortex.regime_model import STALE_DAYS

    name = sha256 = ""
    if model is not None:
        name, sha256 = model.name, model.manifest.npz_sha256
        until = datetime.fromtimestamp(model.manifest.data_end_ns / 1e9, UTC) + timedelta(days=STALE_DAYS)
        problem = f" until {until:%Y-%m-%d}"
        if until < datetime.now(UTC):
            problem = (
                f", too old since {until:%Y-%m-%d}: by rule; `nexus regime train` makes a new one, for model = auto"
            )
    return RegimeModelChanged(at_ns=at_ns, mono_ns=mono_ns, name=name, sha256=sha256, reason=problem)


class Keeper:
    """Offers the model that is to be used: (model, "") or (None, why there is none)."""

    def __init__(self, directive: Directive, root: Path, offer: Offer, *, look_s: float = LOOK_S) -> None:
        self._config = directive.regime
        self._symbols = tuple(dict.fromkeys((directive.shield.swan_symbol, *directive.binance.symbols)))
        self._root = root
        self._data = str(Path(self._config.data).absolute())
        self._offer = offer
        self._look_s = look_s
        self._seen = ""
        self._tried: datetime | None = None

    async def first(self) -> None:
        """Offer what there is. A model that cannot be read is said, and is none."""
        if self._config.data and self._config.model != "auto":
            self._offer(
                None, f'regime.model is "{self._config.model}", so none is trained from regime.data: "auto" does'
            )
        model, problem = await asyncio.to_thread(self._found)
        if model is not None or problem:
            self._offer(model, problem)

    async def keep(self) -> None:
        """For ever, of `auto`: look for another model, and train one when it is time."""
        while True:
            await asyncio.sleep(self._look_s)
            if self._config.model != "auto":
                continue
            if await asyncio.to_thread(self._named) != self._seen:
                await self.first()
            if not self._config.data:
                continue
            now = datetime.now(UTC)
            due = await asyncio.to_thread(self._due, now)
            if due:
                self._tried = now
                await self.train()

    async def train(self) -> bool:
        """Bring the bars up to date and train; whether a model passed the gate. Its own words go to the log."""
        start = datetime.now(UTC) - timedelta(days=HISTORY_DAYS)
        data = self._data
        download = ["download", "klines", "--intervals", "1h", "--symbols", ",".join(self._symbols)]
        if await self._run([*download, "--from", f"{start:%Y-%m}-01", "--out", data]) != 0:
            return False
        return await self._run(["regime", "train", "--data", data, "--state", str(self._root)]) == 0

    def _due(self, now: datetime) -> bool:
        """A model that was trained, or tried, lately is not trained again."""
        from nexus_engine.runtime.regime import models_dir

        known = [path.stat().st_mtime for path in models_dir(self._root).glob("*.json")]
        last = max([*known, self._tried.timestamp() if self._tried else 0.0])
        return now.timestamp() - last >= self._config.retrain_days * 86_400

    def _found(self) -> "tuple[RegimeModel | None, str]":
        # it brings numpy, which the first frame does not wait for
        from nexus_engine.cortex.regime_model import ModelError
        from nexus_engine.runtime.regime import find_model

        self._seen = self._named()
        try:
            model = find_model(self._root, self._config.model)
        except ModelError as error:
            return None, str(error)
        none = model is None and self._config.model == "auto"
        return model, "no model has been trained here and passed its gate" if none else ""

    def _named(self) -> str:
        from nexus_engine.runtime.regime import current_path, models_dir

        path = current_path(models_dir(self._root))
        return str(path) if path else ""

    async def _run(self, words: Sequence[str]) -> int:
        process = await asyncio.create_subprocess_exec(
            # not by a function between fork and exec: this process has threads, and one of them may hold a lock then
            *("nice", "-n", str(NICE), sys.executable, "-m", "nexus_engine.cli", *words),
            cwd=_HOME,
            stdin=DEVNULL,
            stdout=DEVNULL,
            stderr=PIPE,
        )
        try:
            async with asyncio.timeout(LONGEST_S):
                _, told = await process.communicate()
        except TimeoutError:
            log.warning("nexus %s took over %.0f h and was ended", words[0], LONGEST_S / 3600)
            return 1
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        last = told.decode(errors="replace").strip().rpartition("\n")[2][:300]
        log.info("nexus %s %s: %s %s", words[0], words[1], process.returncode, last)
        return process.returncode or 0
