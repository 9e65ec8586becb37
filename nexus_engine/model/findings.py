"""What a check found: the lines of `nexus doctor` and `nexus keys check`, and what keeps a live account locked."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Grade(StrEnum):
    """How a check ended. WARN is also what could not be asked."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line: what was checked, how it is, and what to do about it (empty when nothing)."""

    check: str
    grade: Grade
    text: str
    todo: str = ""


def good(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check=check, grade=Grade.OK, text=text)


def warn(check: str, text: str, todo: str = "") -> Finding:
    """It works, and could be better; or it could not be asked."""
    return Finding(check=check, grade=Grade.WARN, text=text, todo=todo)


def bad(check: str, text: str, todo: str) -> Finding:
    """It does not work, or must not be used like this."""
    return Finding(check=check, grade=Grade.BAD, text=text, todo=todo)


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The first BAD one, None when there is none."""
    return next((finding for finding in findings if finding.grade is Grade.BAD), None)


def lines(findings: Iterable[Finding]) -> list[str]:
    """As a person reads them: one line each, what to do behind an arrow."""
    rows = list(findings)
    width = max((len(row.check) for row in rows), default=0)
    return [f"{row.grade:4}  {row.check:{width}}  {row.text}" + (f"  → {row.todo}" if row.todo else "") for row in rows]
