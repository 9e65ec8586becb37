"""`nexus status` and `nexus kill`, from a second shell."""

import json
import os
import threading
from pathlib import Path

import pytest
from runtime_help import wait_until

from nexus_engine.cli import COMMANDS, run
from nexus_engine.model.paths import StateError, lock_path
from nexus_engine.runtime import Runtime, client, commands
from nexus_engine.runtime.client import ask
from nexus_engine.store.lock import AccountLock


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_is_listed_exists(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = run([name, "--help"])
    except SystemExit as left:
        code = int(left.code or 0)
    assert code == 0
    assert f"usage: nexus {name}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["status", "--nonsense"], ["kill", "--demo", "--live"]])
def test_bad_usage_is_one_line_and_exit_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run(words)
    assert left.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_status_of_nothing_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["status", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "no account runs\n"
    assert run(["status", "--json", "--state", str(tmp_path / "never")]) == 1
    assert json.loads(capsys.readouterr().out) == {"accounts": [], "silent": []}


def test_kill_without_an_engine_leaves_the_latch_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["kill", "--state", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert "main-demo: latch left: halts now if it runs" in told
    assert [path.name for path in (tmp_path / "main-demo").iterdir()] == ["halt"]


def test_kill_where_nothing_can_be_written_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert run(["kill", "--state", str(tmp_path / "file")]) == 2
    assert capsys.readouterr().err.startswith("nexus kill: ")


def test_status_and_kill_reach_a_running_account(demo: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    state = ["--state", str(demo.folder.parent)]
    assert run(["status", *state]) == 0
    line = capsys.readouterr().out
    assert line.startswith("DEMO main  COPILOT ACTIVE  ")
    assert line.count("\n") == 1
    assert run(["kill", *state, "--demo"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("main-demo: halted")
    assert run(["status", "--json", *state]) == 0
    (one,) = json.loads(capsys.readouterr().out)["accounts"]
    assert (one["state"], one["account"]) == ("HALTED", "main")
    assert run(["status", *state, "--account", "other"]) == 1
    ask(demo.folder, {"op": "release", "latch": "HALT", "word": "halt"})
    wait_until(lambda: ask(demo.folder, {"op": "status"})["status"]["state"] == "ACTIVE")


def test_kill_waits_for_an_engine_that_is_slow_to_answer_and_says_that_it_halted(
    demo: Runtime, capsys: pytest.CaptureFixture[str]
) -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        stuck.set()
        go_on.wait(10.0)

    def free() -> None:
        wait_until((demo.folder / "halt").exists)
        go_on.set()

    demo._call(hang)
    assert stuck.wait(10.0)
    freeing = threading.Thread(target=free)
    freeing.start()
    assert run(["kill", "--state", str(demo.folder.parent)]) == 0
    freeing.join()
    left, halted = capsys.readouterr().out.splitlines()
    assert left == "main-demo: latch left: halts now if it runs, else at its start (no answer in 1 s)"
    assert halted == "main-demo: halted; the engine was slow to answer and took the latch"
    wait_until(lambda: ask(demo.folder, {"op": "status"})["status"]["state"] == "HALTED")
    ask(demo.folder, {"op": "release", "latch": "HALT", "word": "halt"})
    wait_until(lambda: ask(demo.folder, {"op": "status"})["status"]["state"] == "ACTIVE")


def test_kill_asks_every_account_whatever_becomes_of_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in "abc":
        (tmp_path / f"{name}-demo").mkdir()
    (tmp_path / "b-demo" / "halt").mkdir()  # no latch can be put there
    assert run(["kill", "--state", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert [line.partition(":")[0] for line in told.out.splitlines()] == ["a-demo", "c-demo"]
    assert told.err.startswith("nexus kill: b-demo: ") and told.err.count("\n") == 1
    assert [sorted(path.name for path in (tmp_path / f"{name}-demo").iterdir()) for name in "abc"] == [["halt"]] * 3


def test_kill_names_the_process_that_hangs_and_is_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_TAKEN_S", 0.1)
    (tmp_path / "main-demo").mkdir()
    lock = AccountLock.acquire(lock_path(tmp_path / "main-demo"))
    try:
        assert run(["kill", "--state", str(tmp_path)]) == 1
    finally:
        lock.release()
    _, hung = capsys.readouterr().out.splitlines()
    assert hung.startswith(f"main-demo: process {os.getpid()} holds the account and has not taken the latch")
    assert (tmp_path / "main-demo" / "halt").exists()


def test_a_socket_that_cannot_have_a_place_leaves_the_latch(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(folder: Path) -> Path:
        raise StateError("no place for a socket")

    monkeypatch.setattr(client, "socket_path", nowhere)
    assert run(["kill", "--state", str(tmp_path)]) == 0
    assert "else at its start (no place for a socket)" in capsys.readouterr().out
