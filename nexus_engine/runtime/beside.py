"""What runs beside the engine on its loop, and what of it has failed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

log = logging.getLogger(__name__)

AGAIN_S: Final = 1.0

R = TypeVar("R")


class Beside:
    """Holds every task, so that all end with the account."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.failures: dict[str, str] = {}
        """By name what is wrong, in one line."""

    def hold(self, work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
        """Run it until it ends or the account does. What fails in it is for who gave it to mind."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run something for ever; begin again when it fails, and say so."""
        self.hold(self._keep(name, work))

    async def close(self) -> None:
        """End all of it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
                log.error("%s ended", name)
            # Supervision boundary: none of these may take the account down with it.
            except Exception:
                log.exception("%s failed", name)
            self.failures[name] = f"{name} failed and was started again; see the log"
            await asyncio.sleep(AGAIN_S)
