"""A View is drawn in parts while the engine works: it says one thing, and none is left undone."""

import asyncio
import gc
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_help import ended, started, view_of, wait_until

from nexus_engine.model.commands import Halt
from nexus_engine.model.view import View, ViewRequest
from nexus_engine.runtime import Options, Runtime
from nexus_engine.runtime.account import Account

BREAK = "nexus_engine.runtime.account._BREAK_S"


def test_what_became_of_a_command_is_told_with_what_it_did(demo: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    first = view_of(demo)
    account, loop, ours = demo._account, demo._loop, ViewRequest(events=7)
    assert account is not None and account._engine is not None and loop is not None
    begun, plain = threading.Event(), account._engine.drawing

    def drawing(request: ViewRequest, *, at_ns: int, mono_ns: int) -> Iterator[View]:
        if request == ours:
            begun.set()
        return plain(request, at_ns=at_ns, mono_ns=mono_ns)

    monkeypatch.setattr(account._engine, "drawing", drawing)
    monkeypatch.setattr(BREAK, 0.2)
    drawn = asyncio.run_coroutine_threadsafe(account.view(ours, by="you"), loop)
    assert begun.wait(5.0)
    demo.send(Halt(reason="in the middle of a picture"))
    during = drawn.result(5.0)
    assert during is not None and (during.outcome, during.account.latches) == (first.outcome, ())
    after = view_of(demo)
    assert after.outcome != first.outcome and after.account.latches


def test_a_picture_that_fails_is_told_at_once_and_the_next_ones_come(
    demo: Runtime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    view_of(demo)
    with monkeypatch.context() as broken:

        async def fail(self: Account, request: ViewRequest, *, by: str) -> View:
            raise LookupError("no such row")

        broken.setattr(Account, "view", fail)
        demo.pull(ViewRequest())
        wait_until(lambda: demo.pull(ViewRequest()) and "a picture could not be drawn" in caplog.text)
    view_of(demo)


def test_an_engine_that_ends_in_the_middle_of_pictures_leaves_none_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(BREAK, 0.3)
    runtime = started(Options(state=tmp_path, scenario="calm"))
    runtime.pull(ViewRequest())
    runtime.stop()
    wait_until(lambda: runtime.pull(ViewRequest()) is None or not runtime._thread.is_alive(), 15.0)
    while runtime._thread.is_alive():
        runtime.pull(ViewRequest())
        runtime._thread.join(0.001)
    gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno >= logging.ERROR]
    ended(runtime)
