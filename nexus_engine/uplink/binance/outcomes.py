"""What a reply of the venue, or its absence, says about a request: done, refused, or nobody knows.

Sources: the venue's error code page and "General Info" (HTTP return codes).
"""

from typing import Final

from nexus_engine.model.words import Outcome

ABSENT_ORDER: Final = -2013
UNKNOWN_ORDER: Final = -2011
DUPLICATE_ID: Final = -4116
CLOCK: Final = -1021
LISTEN_KEY_GONE: Final = -1125
RATE_LIMIT: Final = -1003
THROTTLED: Final = -1008
ALREADY_SO: Final = frozenset({-4046, -4059, -4171})
"""Asked to set what is set already."""
KEY_REFUSED: Final = frozenset({-1002, -1022, -2014, -2015, -2017})

POSITION_MODE_DIFFERS: Final = -4061
RULES_CHANGED: Final = frozenset(
    {-1013, -1111, -1121, -4001, -4002, -4003, -4004, -4005, -4013, -4014, -4023, -4140, -4141, -4164}
)
"""An order does not fit the symbol's rules as we knew them, or the symbol is closed: the rules are read anew."""

_FAILED_CODES: Final = frozenset({RATE_LIMIT, THROTTLED, -1015, -1016})
"""Too many requests, throttled, too many orders, shutting down: turned away before the matching engine, whatever the
HTTP status is."""
_UNKNOWN_CODES: Final = frozenset({-1000, -1006, -1007})
"""The venue itself does not know: unknown error, unexpected response, back-end timeout."""
_FAILED_503: Final = ("service unavailable", "internal error")
"""Texts of a 503 that mean a certain failure; "Unknown error…" and any other may have been executed."""


class RestError(Exception):
    """A request that brought no result. REFUSED: it was certainly not executed. UNKNOWN: it may have been.

    `code` and `text` are the venue's where it spoke, `status` its HTTP status (0: no reply); `retry_after_s` is how
    long it, or our own budget, wants silence. Neither text nor traceback holds a key or a signature.
    """

    def __init__(self, outcome: Outcome, *, status: int = 0, code: int = 0, text: str = "", retry_after_s: float = 0.0):
        super().__init__(text)
        self.outcome = outcome
        self.status = status
        self.code = code
        self.text = text
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        return f"{self.text} ({self.code or self.status})" if self.code or self.status else self.text


def classify(status: int, code: int, text: str) -> Outcome:
    """The outcome of a request that the venue answered with anything but a good result."""
    if code in _FAILED_CODES:
        return Outcome.REFUSED
    if code in _UNKNOWN_CODES or status == 408:
        return Outcome.UNKNOWN
    if status == 503 and text.lower().lstrip().startswith(_FAILED_503):
        return Outcome.REFUSED
    return Outcome.REFUSED if 400 <= status < 500 else Outcome.UNKNOWN
