"""The demo's market: a loopback venue in a child process, which dies with us however we end."""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from typing import Final

import msgspec

import nexus_engine
from nexus_engine.model.config import DemoConfig
from nexus_engine.runtime.options import StartError

log = logging.getLogger(__name__)

_READY_S: Final = 15.0
_STOP_S: Final = 2.0
_BACKOFF_S: Final = (0.2, 5.0)
_PACKAGES: Final = str(Path(nexus_engine.__file__).parents[1])


class Ready(msgspec.Struct, frozen=True):
    """The line that a venue prints when it can be traded on. Its key opens a practice account, no more."""

    rest: str
    ws: str
    api_key: str
    api_secret: str
    pid: int
    account: str = ""


def read_ready(path: Path) -> Ready:
    """The ready line of a venue that lives on its own. Raises StartError."""
    try:
        return msgspec.json.decode(path.expanduser().read_bytes(), type=Ready)
    except OSError as error:
        raise StartError(f"demo.venue {path}: cannot be read ({error.strerror})") from error
    except msgspec.DecodeError as error:
        raise StartError(f"demo.venue {path}: is not the ready line of a `nexus exchange` ({error})") from error


class DemoVenue:
    """Starts the venue, starts it again when it dies, and ends it. Its books live in `folder`."""

    def __init__(self, demo: DemoConfig, folder: Path, replay: Path | None) -> None:
        self._market = (
            ["--replay", str(replay)] if replay else ["--scenario", demo.scenario, "--seed", str(demo.seed)]
        ) + ["--speed", f"{demo.speed:g}"]
        self._folder = folder
        self._process: Process | None = None
        self._alive_fd = -1
        self._log = folder.parent / "venue.log"
        self.problem = ""
        self.fresh = False
        """It had no books to go on with: its account is a new one."""

    async def start(self, port: int = 0) -> Ready:
        """Spawn it and wait for its line. Raises StartError with its last words."""
        # The venue sees the end of this pipe when we end, even by kill -9. It has a session of its own, because a
        # closed terminal must not take the market from an engine that goes on without one.
        read_fd, self._alive_fd = os.pipe()
        with self._log.open("wb") as complaints:
            try:
                self._process = process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "nexus_engine.cli", "exchange", "--port", str(port), *self._market),
                    *("--state", str(self._folder), "--parent-fd", str(read_fd)),
                    env=os.environ | {"PYTHONPATH": os.pathsep.join((_PACKAGES, os.environ.get("PYTHONPATH", "")))},
                    pass_fds=(read_fd,),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=PIPE,
                    stderr=complaints,
                    start_new_session=True,
                )
            finally:
                os.close(read_fd)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_READY_S):
                line = await process.stdout.readline()
            if line:
                ready = msgspec.json.decode(line, type=Ready)
                self.fresh = ready.account == "new"
                return ready
            problem = self._last_words()
        except (TimeoutError, msgspec.DecodeError) as error:
            problem = f"no ready line within {_READY_S:.0f} s" if isinstance(error, TimeoutError) else str(error)
        await self.stop()
        raise StartError(f"the demo venue did not start: {problem}")

    async def keep(self, port: int) -> None:
        """Start it again whenever it ends, on the same port and with the same books."""
        delay_s = _BACKOFF_S[0]
        while True:
            if self._process is not None:
                code = await self._process.wait()
                log.warning("the demo venue ended with %s", code)
                self._hang_up()
            self.problem = "the demo venue ended; starting it again"
            await asyncio.sleep(delay_s)
            try:
                await self.start(port)
            except StartError as error:
                self.problem = str(error)
                delay_s = min(delay_s * 2, _BACKOFF_S[1])
            else:
                self.problem = ""
                delay_s = _BACKOFF_S[0]

    async def stop(self) -> None:
        """End it: by asking, then by force. Idempotent."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._hang_up()

    def _last_words(self) -> str:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _hang_up(self) -> None:
        if self._alive_fd >= 0:
            os.close(self._alive_fd)
            self._alive_fd = -1
