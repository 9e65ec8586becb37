"""A command of Nexus as a child process: its progress line by line, then the one object that it says."""

import asyncio
import contextlib
import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import nexus_engine
from nexus_tui.safe import plain

_PACKAGES: Final = str(Path(nexus_engine.__file__).parents[1])
_LONGEST_LINE: Final = 1 << 22
_WIDTH: Final = 70
_END_S: Final = 2.0


class ChildFailed(Exception):
    """It has said no object; the message is the line that it said instead, safe to show."""


async def run(words: Sequence[str], hear: Callable[[float], None], *, patient: bool = False) -> dict[str, Any]:
    """Run `nexus WORDS --json`; `hear` gets how far it is (0..1). It ends with who waits for it. Raises ChildFailed.

    `patient`: it gets what of the machine nobody else wants.
    """
    nice = shutil.which("nice") if patient else None
    try:
        child = await asyncio.create_subprocess_exec(
            *((nice, "-n", "19") if nice else ()),
            *(sys.executable, "-m", "nexus_engine.cli", *words, "--json"),
            env=os.environ | {"PYTHONPATH": os.pathsep.join((_PACKAGES, os.environ.get("PYTHONPATH", "")))},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            limit=_LONGEST_LINE,
            start_new_session=True,
        )
    except OSError as error:
        raise ChildFailed(f"cannot be started: {error.strerror}") from None
    try:
        told, last = await asyncio.gather(_answer(child), _follow(child, hear))
    finally:
        await _end(child)
    try:
        found = json.loads(told)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ChildFailed(last or f"nexus {plain(words[0], 20)} has said nothing")
    return found


async def _answer(child: Process) -> bytes:
    assert child.stdout is not None
    return await child.stdout.read()


async def _follow(child: Process, hear: Callable[[float], None]) -> str:
    """The last line that was no progress."""
    assert child.stderr is not None
    last = ""
    async for line in child.stderr:
        try:
            share = float(json.loads(line)["share"])
        except (ValueError, KeyError, TypeError):
            last = plain(line.decode("utf-8", "replace").strip(), _WIDTH) or last
        else:
            hear(share)
    return last


async def _end(child: Process) -> None:
    if child.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(_END_S):
            await child.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
