"""A strategy of one's own is run in a process of its own first: one that hangs an engine is not given to it."""

import json
from pathlib import Path

import pytest

from nexus_engine.cortex.factory import Cortex
from nexus_engine.model.config import load
from nexus_engine.runtime import own_check
from nexus_engine.runtime.options import Options, check
from nexus_engine.runtime.own import load_own
from nexus_engine.runtime.own_check import main, problem_of, unknown

EXAMPLE = Path(__file__).parents[2] / "examples" / "strategies" / "pullback.py"
TEXT = EXAMPLE.read_text()
AT = "        slow_before = slow.value\n"


def written(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    return folder / f"{name}.py"


def test_the_example_may_run_and_says_what_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(EXAMPLE), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out).values()
    assert found["problem"] == ""
    assert found["strategies"]["pullback"]["signals"] > 0
    assert found["strategies"]["pullback"]["mean_us"] > 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("while True: pass\n", "did not come back within 2 s, it was in <module>, line 1"),
        (TEXT.replace(AT, AT + "        while bar.close > 0:\n            pass\n"), "it was in on_bar, line "),
        (TEXT.replace(AT, AT + "        1 / 0\n"), "pullback: failed: ZeroDivisionError"),
        (TEXT.replace(AT, AT + "        import os; os._exit(7)\n"), "its process ended with 7"),
        (
            TEXT.replace("        distance = ", "        import random; distance = (1 + random.random()) * "),
            "pullback: the same bars gave other signals the second time",
        ),
        ("def f(:\n", "line 1: SyntaxError"),
        (TEXT.replace("import Counter\n", "import Counter\nprint('{not json')\n", 1), ""),
    ],
    ids=["at once", "on a bar", "raises", "leaves", "chance", "typo", "prints"],
)
def test_what_must_not_run_is_one_line(text: str, words: str, tmp_path: Path) -> None:
    problem = problem_of(
        written(tmp_path, "mine", text), limit_s=2 if "come back" in words or "on_bar" in words else 20
    )
    assert (words in problem) if words else not problem
    assert "\n" not in problem


def test_a_start_runs_nothing_of_what_hangs(tmp_path: Path) -> None:
    folder, root = tmp_path / "own", tmp_path / "state"
    written(folder, "pullback", TEXT)
    written(folder, "forever", "while True:\n    pass\n")
    (tmp_path / "nexus.toml").write_text('[account]\nown_strategies = "own"\nmodes = {pullback = "PILOT"}\n')
    options = Options(directive=load(tmp_path / "nexus.toml"), state=root)
    check(options)  # else it would never return
    assert not (root / "checked").exists()  # nor does it wait for a check: a frame comes first
    own = load_own(str(folder), lambda file: problem_of(file, root, 5.0))
    assert [kind.name for kind in own.kinds] == ["pullback"]
    assert len(list((root / "checked").iterdir())) == 1
    check(options)


def test_with_something_open_only_what_has_passed_before_is_run(tmp_path: Path) -> None:
    folder, root = tmp_path / "own", tmp_path / "state"
    file = written(folder, "pullback", TEXT)
    before = load_own(str(folder), lambda file: unknown(file, root))
    assert before.problems["pullback"].startswith("new or changed") and not before.kinds
    assert problem_of(file, root) == ""
    assert [kind.name for kind in load_own(str(folder), lambda file: unknown(file, root)).kinds] == ["pullback"]
    file.write_text(TEXT + "\n")
    assert load_own(str(folder), lambda file: unknown(file, root)).problems


def test_what_is_refused_is_left_out_with_its_reason_and_the_rest_lives(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    written(folder, "pullback", TEXT)
    written(folder, "forever", "while True:\n    pass\n")
    own = load_own(str(folder), lambda file: "it hangs" if file.stem == "forever" else "")
    assert [kind.name for kind in own.kinds] == ["pullback"]
    assert Cortex({}, own).problems == ["forever.py: it hangs"]


def test_what_has_passed_is_not_asked_again_until_it_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def checked(file: Path, limit_s: float) -> dict[str, str]:
        asked.append(file.read_text())
        return {"problem": "no" if "bad" in file.read_text() else ""}

    monkeypatch.setattr(own_check, "checked", checked)
    root = tmp_path / "state"
    file = written(tmp_path, "mine", "good")
    assert [problem_of(file, root) for _ in range(3)] == ["", "", ""]
    assert asked == ["good"]
    file.write_text("bad")
    assert [problem_of(file, root) for _ in range(2)] == ["no", "no"]
    assert asked == ["good", "bad", "bad"]


def test_a_wrong_command_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mend", "x.py"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
