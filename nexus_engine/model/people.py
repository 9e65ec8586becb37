"""Who may do what to an account, and what each likes.

A role is looked up by name at the moment a command enters the engine, so nobody carries one, and nothing hands one out.
"""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from nexus_engine.model import commands as c
from nexus_engine.model.words import Mode, Role

HERE: Final = "you"
"""Whoever sits at this machine and gave no name."""
MACHINE: Final = frozenset({HERE, "bot", "carrier", "doctor", "nobody", "sentinel", "shield", "uplink", "venue"})
"""Names that the log uses for the machine itself."""

PersonName = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_-]{0,30}$")]
Theme = Literal["dark", "light", "cvd", "none"]
Bell = Literal["off", "alarm", "all"]
Voice = Literal["plain", "calm", "sergeant", "deadpan", "mentor"]


class PersonConfig(BaseModel):
    """One person. What is not said of theme, bell and voice is as in [ui]."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    role: Role = Field(
        Role.VIEWER, description="viewer looks and HALTs; trader decides cards, closes and moves; owner also loosens"
    )
    chat_ids: tuple[int, ...] = Field((), max_length=8, description="Telegram chats that are this person")
    theme: Theme | None = Field(None, description="colours of this person's cockpit; not given: as in [ui]")
    bell: Bell | None = Field(None, description="when it rings for this person; not given: as in [ui]")
    voice: Voice | None = Field(None, description="who talks to this person in the events; not given: as in [ui]")


def whole(people: dict[str, PersonConfig]) -> dict[str, PersonConfig]:
    """The people as they are. Raises ValueError where an account would have nobody, or a chat two persons."""
    taken: dict[int, str] = {}
    for name, person in people.items():
        if name in MACHINE:
            raise ValueError(f"{name} is what the log calls the machine; choose another name")
        for chat in person.chat_ids:
            if chat in taken:
                raise ValueError(f"chat {chat} is {taken[chat]} and {name}; a chat is one person")
            taken[chat] = name
    if people and not any(person.role is Role.OWNER for person in people.values()):
        raise ValueError('nobody is an owner, so nobody could resume; give one of them role = "owner"')
    return people


_NEEDS: Final[Mapping[type[c.Command], tuple[Role, str]]] = {
    c.Halt: (Role.VIEWER, "HALT"),
    c.Approve: (Role.TRADER, "approve"),
    c.Reject: (Role.TRADER, "reject"),
    c.Edit: (Role.TRADER, "edit"),
    c.ClosePosition: (Role.TRADER, "close"),
    c.Flatten: (Role.TRADER, "flatten"),
    c.MoveStop: (Role.TRADER, "moving a stop"),
    c.Rearm: (Role.TRADER, "re-arm"),
    c.Hold: (Role.TRADER, "hold"),
    c.Pause: (Role.TRADER, "pause"),
    c.SetMode: (Role.TRADER, "mode down"),
    c.Release: (Role.OWNER, "resume"),
    c.RearmSwan: (Role.OWNER, "re-arming longs"),
    c.Unlock: (Role.OWNER, "unlock"),
    c.Adopt: (Role.OWNER, "adopt"),
    c.CloseForeign: (Role.OWNER, "closing what is foreign"),
    c.Switch: (Role.TRADER, "switching a strategy off"),
}


def needs(command: c.Command, mode: Mode) -> tuple[Role, str]:
    """(the least role that may, the command in a word), while the account's mode is `mode`. What is not known here
    takes an owner."""
    if isinstance(command, c.SetMode) and command.mode.rank > mode.rank:
        return Role.OWNER, "mode up"
    if isinstance(command, c.Flatten) and command.foreign:
        return Role.OWNER, "flatten with what is foreign"
    if isinstance(command, c.Switch) and command.on:
        return Role.OWNER, "switching a strategy on"
    return _NEEDS.get(type(command), (Role.OWNER, type(command).__name__))


class People:
    """The people of one account. Without any, everybody is an owner: one person at one terminal needs no list."""

    def __init__(self, people: Mapping[str, PersonConfig]) -> None:
        self._people = people

    def __bool__(self) -> bool:
        return bool(self._people)

    def role(self, by: str) -> Role:
        """Who is not listed is a viewer."""
        if not self._people:
            return Role.OWNER
        person = self._people.get(by)
        return Role.VIEWER if person is None else person.role

    def voice(self, by: str) -> Voice | None:
        """The voice that a person asked for; None: as in [ui]."""
        person = self._people.get(by)
        return None if person is None else person.voice

    def in_chat(self, chat_id: int) -> str:
        """Who writes from a chat; empty when nobody does."""
        return next((name for name, person in self._people.items() if chat_id in person.chat_ids), "")

    def refusal(self, command: c.Command, by: str, mode: Mode) -> str:
        """Why a person may not, in one line; empty when they may."""
        role, word = needs(command, mode)
        return self.below(role, by, word)

    def below(self, role: Role, by: str, word: str) -> str:
        """Why `word` is refused to a person, where it takes at least `role`; empty when it is not."""
        held = self.role(by)
        if held.rank >= role.rank:
            return ""
        who = by[:31] or "nobody"
        is_what = f"is a {held}" if by in self._people else "is not in [people]"
        return f"{word} refused: {who} {is_what}; it takes {'an' if role is Role.OWNER else 'a'} {role}"
