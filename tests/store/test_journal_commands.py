"""`nexus journal ...` as a person and as a script meet it."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from journal_data import CHILD_ENV, Life, flat

from nexus_engine.store.commands import main

Out = pytest.CaptureFixture[str]


@pytest.fixture
def state(written: tuple[Path, Life], tmp_path: Path) -> Path:
    """A state folder with one account, main-demo."""
    folder = tmp_path / "main-demo"
    folder.mkdir()
    (folder / "journal.db").write_bytes(written[0].read_bytes())
    return tmp_path


@pytest.fixture
def life(written: tuple[Path, Life]) -> Life:
    return written[1]


def test_verify_says_that_all_is_whole(state: Path, life: Life, capsys: Out) -> None:
    assert main(["verify", "--state", str(state)]) == 0
    assert f"{len(flat(life.turns))} facts" in capsys.readouterr().out
    assert main(["verify", "--state", str(state), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["ok"], answer["state_digest"]) == (True, life.ledger.digest())


def test_verify_of_a_changed_journal_is_a_no(state: Path, capsys: Out) -> None:
    conn = sqlite3.connect(state / "main-demo" / "journal.db", isolation_level=None)
    conn.execute("DELETE FROM journal WHERE seq = 4")
    conn.close()
    assert main(["verify", "--state", str(state)]) == 1
    assert "row 5 (Sealed) does not follow row 3" in capsys.readouterr().out
    assert main(["verify", "--state", str(state), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["first_bad_seq"] == 5


def test_export_writes_a_file_or_stdout(state: Path, tmp_path: Path, capsys: Out) -> None:
    assert main(["export", "--state", str(state)]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("1,BTCUSDT,BUY,harpoon,you,0.030,")
    assert main(["export", "--state", str(state), "--what", "fills", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["what"], len(answer["rows"])) == ("fills", 6)
    out = tmp_path / "orders.parquet"
    asked = ["export", "--state", str(state), "--what", "orders", "--format", "parquet", "--out", str(out)]
    assert main(asked) == 0
    assert capsys.readouterr().out == f"{out}: 6 rows\n"
    assert pl.read_parquet(out)["status"].to_list() == ["FILLED", "CANCELED", "FILLED"] * 2
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"what": "orders", "rows": 6, "out": str(out)}


@pytest.mark.parametrize("ref", ["P1", "p1", "1", "client id"])
def test_why_tells_the_whole_story_in_order(state: Path, life: Life, capsys: Out, ref: str) -> None:
    stop = next(cid for cid, order in life.ledger.orders.items() if order.intent == 1 and order.leg.name == "STOP")
    assert main(["why", stop if ref == "client id" else ref, "--state", str(state)]) == 0
    told = capsys.readouterr().out
    wanted = [
        "signal    harpoon: BUY BTCUSDT at 64000",
        "reason  washed out",
        "rsi 24.5 (limit 30)",
        "regime  RANGE (80% sure)",
        "guard   black_swan: allow",
        "drop 0.3% (limit 4%)",
        "guard   spread: refuse: a ?[31mwide?[0m spread",
        "outcome   proposed",
        "proposal  P1 PENDING: BUY 0.030 BTCUSDT, limit 64050.0, stop 63000, target 65000, worst 31.9 (0.32%)",
        "decision  APPROVED by you: key a",
        "entry: BUY LIMIT 0.030 at 64050.0, by you",
        "BUY 0.010 at 64000.0, fee 0.25600000 USDT",
        "stop: SELL STOP_MARKET 0.030 trigger 63000, by bot",
        "OPEN",
        "exit: SELL MARKET 0.030, by bot",
        "CANCELED: flat",
        "SELL 0.030 at 64500.5",
    ]
    places = [told.find(line) for line in wanted]
    assert -1 not in places, wanted[places.index(-1)]
    assert places == sorted(places)
    assert "ETHUSDT" not in told
    assert "\x1b" not in told


def test_why_for_a_script_is_the_facts_themselves(state: Path, capsys: Out) -> None:
    assert main(["why", "2", "--state", str(state), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["intent"] == 2
    assert {fact["type"] for fact in answer["facts"]} == {
        "SignalSeen", "ProposalMade", "ProposalChanged", "OrderIntended", "OrderChanged", "Filled",
    }  # fmt: skip


def test_why_of_what_never_was_is_a_no(state: Path, capsys: Out) -> None:
    assert main(["why", "P99", "--state", str(state)]) == 1
    assert capsys.readouterr().err == "nexus journal: nothing is known of P99\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "required"),
        (["burn"], "invalid choice: 'burn'"),
        (["verify", "--account", "nobody"], "account nobody has no journal in"),
        (["verify", "--account", "../../etc"], "account '../../etc': 1 to 31 of a-z"),
        (["verify", "--live"], "account main has no journal in"),
        (["export", "--what", "secrets"], "invalid choice: 'secrets'"),
        (["export", "--format", "parquet"], "parquet is not for a terminal; name a file with --out"),
        (
            ["export", "--out", "/nowhere/at/all.csv"],
            "/nowhere/at/all.csv: cannot be written (No such file or directory)",
        ),
        (["why", "yesterday"], "'yesterday' is no id; use P41, 41, an order's client id, S17, a symbol or swan"),
    ],
)
def test_bad_usage_is_one_clear_line(state: Path, capsys: Out, argv: list[str], said: str) -> None:
    asked = [*argv, "--state", str(state)] if len(argv) > 1 else argv
    assert main(asked) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert said in captured.err
    assert captured.err.count("\n") == 1


def test_of_two_journals_of_a_name_one_must_be_named(state: Path, capsys: Out) -> None:
    live = state / "main-live"
    live.mkdir()
    (live / "journal.db").write_bytes((state / "main-demo" / "journal.db").read_bytes())
    assert main(["verify", "--state", str(state)]) == 2
    assert "several journals (main-demo, main-live)" in capsys.readouterr().err
    assert main(["verify", "--state", str(state), "--live"]) == 0


def test_help_is_not_an_error(capsys: Out) -> None:
    assert main(["--help"]) == 0
    assert "verify" in capsys.readouterr().out


def test_a_reader_that_has_enough_is_no_error(state: Path) -> None:
    code = "import sys; from nexus_engine.store.commands import main; sys.exit(main(sys.argv[1:]))"
    read, write = os.pipe()
    os.close(read)
    asked = [sys.executable, "-c", code, "export", "--what", "all", "--state", str(state)]
    done = subprocess.run(asked, stdout=write, stderr=subprocess.PIPE, text=True, env=CHILD_ENV)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["verify", "export", "why"])
def test_every_command_explains_itself(command: str, capsys: Out) -> None:
    assert main([command, "--help"]) == 0
    assert "--account" in capsys.readouterr().out
