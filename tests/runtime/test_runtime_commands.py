"""`nexus status` and `nexus kill`, from a second shell."""

import json
import threading
from pathlib import Path

import pytest
from runtime_help import wait_until

from nexus_engine.cli import COMMANDS, run
from nexus_engine.runtime import Runtime
from nexus_engine.runtime.client import ask


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
    assert "main-demo: no engine answered" in told
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
    assert capsys.readouterr().out.startswith("main-demo: halted")
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
    assert capsys.readouterr().out == "main-demo: halted; the engine was slow to answer and took the latch\n"
    wait_until(lambda: ask(demo.folder, {"op": "status"})["status"]["state"] == "HALTED")
    ask(demo.folder, {"op": "release", "latch": "HALT", "word": "halt"})
    wait_until(lambda: ask(demo.folder, {"op": "status"})["status"]["state"] == "ACTIVE")
