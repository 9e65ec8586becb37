"""The engine's thread: one account, one loop, and the few calls that cross over to it."""

import asyncio
import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from nexus_engine.model.commands import AnyCommand
from nexus_engine.model.paths import account_dir, lock_path, state_root
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.runtime.options import Options, StartError
from nexus_engine.runtime.priority import short_turns
from nexus_engine.runtime.supervisor import Supervisor
from nexus_engine.store.lock import AccountLock

if TYPE_CHECKING:
    from nexus_engine.runtime.account import Account
    from nexus_engine.runtime.uplinks import Connect

log = logging.getLogger(__name__)

_VIEW_S: Final = 0.1
_LOOK_S: Final = 0.5
_SWITCH_S: Final = 0.00005
"""The cockpit gives the interpreter back within this, so a tick is decided in under a millisecond beside it."""


class Runtime:
    """One account's engine on a thread of its own. All methods may be called from any thread and none of them blocks,
    except `join`.
    """

    def __init__(self, options: Options, connect: "Connect | None" = None) -> None:
        """Take the account. Raises StateError, or AccountBusy when another process has it."""
        self.options = options
        self.folder = account_dir(state_root(options.state), options.account, options.kind)
        self._lock = AccountLock.acquire(lock_path(self.folder))
        self._connect = connect
        self._after: threading.Event | None = None
        self.progress = "starting"
        """What the start is doing; empty once it runs."""
        self.failed = ""
        """Why it could not start or go on, in one line; empty when it could."""
        self.unflat = ""
        """What a flatten on the way out did not get closed, in one line; there when it has ended."""
        self.supervisor: Supervisor | None = None
        """Hears that the engine lives; set before `start`."""
        self.ready = threading.Event()
        self.stats: dict[str, float] = {}
        """Rates of the whole run, there when it has ended."""
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._account: Account | None = None
        self._stopping = ""
        self._view: View | None = None
        self._request = ViewRequest()
        self._asked = False
        self._drawing: asyncio.Task[None] | None = None
        self.over = False
        """Nothing is drawn any more: the loop closes, and would leave it undone."""
        self._built_s = 0.0

    def start(self, after: threading.Event | None = None) -> None:
        """Start the thread; `progress`, `ready` and `failed` tell how it goes. Its heavy imports wait for `after`, so
        that a cockpit paints its first frame first.
        """
        self._after = after
        # Made here, so that what is asked before the thread runs waits in it.
        self._loop = asyncio.new_event_loop()
        self._thread.start()

    def pull(self, request: ViewRequest) -> View | None:
        """The newest View, None before the first; asks for the next one, at most ten a second."""
        self._request = request
        if not self._asked:
            self._asked = True
            self._call(self._build)
        return self._view

    @property
    def asked(self) -> str:
        """The user's own strategy that the engine waits for at this moment; mostly nobody."""
        account = self._account
        return "" if account is None else account.asked

    def send(self, command: AnyCommand, by: str = "", surface: str = "cockpit") -> None:
        """Hand over a person's wish; without a name, of the one who sits here. Its outcome is in the next View."""
        self._call(self._command, command, by or self.options.person, surface)

    def stop(self, how: str = "quit") -> None:
        """Leave in order, stops resting; `flatten` closes everything first. Idempotent."""
        self._stopping = how
        self._call(self._stop)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for the end; True when it has come."""
        if timeout is not None:
            self._thread.join(timeout)
        else:
            # Python runs signal handlers in the main thread, which only wakes for signals that the kernel gave to it.
            while self._thread.is_alive():
                self._thread.join(_LOOK_S)
        return not self._thread.is_alive()

    # ---- on the engine's thread --------------------------------------------------------------------------------------

    def _main(self) -> None:
        sys.setswitchinterval(_SWITCH_S)
        short_turns()
        try:
            # Imported here, so that the first frame does not wait for what only an engine needs.
            from nexus_engine.runtime.account import Account

            self._account = Account(
                self.options,
                self.folder,
                self._say,
                after=self._after,
                connect=self._connect,
                beat=None if self.supervisor is None else self.supervisor.beat,
            )
            loop = self._loop
            assert loop is not None
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(self._live(self._account))
        except asyncio.CancelledError:
            pass  # stopped before it ran
        # Supervision boundary: whatever ends an engine is said on the screen, never lost with the thread.
        except Exception as error:
            log.exception("the engine ended")
            self.failed = str(error) if _is_told(error) else f"the engine ended: {type(error).__name__}; see the log"
        finally:
            self.progress = ""
            if self.supervisor is not None:
                self.supervisor.stopping(self.failed)
            self._lock.release()

    async def _live(self, account: "Account") -> None:
        try:
            if not self._stopping:
                await account.run()
        finally:
            self.over = True
            self.stats, self.unflat = account.stats(), account.unflat or self.unflat

    def _say(self, progress: str) -> None:
        self.progress = progress
        if self.supervisor is not None:
            self.supervisor.status(progress or "runs")
        if not progress:
            self.ready.set()

    def _call(self, work: Callable[..., None], *args: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: it is over
                self._loop.call_soon_threadsafe(work, *args)

    def _command(self, command: AnyCommand, by: str, surface: str) -> None:
        assert self._account is not None
        refusal = self._account.command(command, by=by, surface=surface)
        if refusal:
            log.warning("%s not taken: %s", type(command).__name__, refusal)

    def _stop(self) -> None:
        assert self._account is not None
        by = self.options.person if self._stopping == "flatten" else ""
        refusal = self._account.stop(self._stopping, by=by)
        if refusal:  # whoever asks here goes away: it leaves all the same
            log.warning("flatten not taken: %s", refusal)
            self.unflat = f"nothing was closed: {refusal}"
            self._account.stop("quit", by="")

    def _build(self) -> None:
        if self.over:
            return
        loop = asyncio.get_running_loop()
        if (early_s := self._built_s + _VIEW_S - loop.time()) > 0:
            loop.call_later(early_s, self._build)
            return
        assert self._account is not None
        self._built_s = loop.time()
        self._drawing = loop.create_task(self._draw(self._account), name="view")

    async def _draw(self, account: "Account") -> None:
        try:
            self._view = await account.view(self._request, by=self.options.person)
        # Supervision boundary: a picture that fails is one that is not shown, and the next is tried.
        except Exception:
            log.exception("a picture could not be drawn")
        finally:
            self._asked = False


def _is_told(error: Exception) -> bool:
    """The error was made to be read by a person."""
    from nexus_engine.model.config import ConfigError
    from nexus_engine.model.paths import StateError
    from nexus_engine.model.ports import JournalError
    from nexus_engine.store.recording import RecordingError

    return isinstance(error, StartError | ConfigError | StateError | JournalError | RecordingError)
