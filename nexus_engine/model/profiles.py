"""Named presets of [risk]: where its keys start."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal

Profile = Literal["careful", "standard", "bold"]

PROFILES: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "careful": {
            "trade_risk_pct": 0.25,
            "open_risk_pct": 1.0,
            "symbol_exposure_pct": 25.0,
            "account_exposure_pct": 50.0,
            "leverage": 2,
            "day_loss_pct": 1.5,
        },
        "standard": {},
        "bold": {
            "trade_risk_pct": 1.0,
            "open_risk_pct": 5.0,
            "symbol_exposure_pct": 100.0,
            "account_exposure_pct": 200.0,
            "leverage": 5,
            "day_loss_pct": 5.0,
        },
    }
)
"""`standard` is the defaults themselves. Each risks less than the next in every key."""


def preset(given: Mapping[str, Any]) -> dict[str, Any]:
    """What the profile named in a [risk] table stands for; nothing for a name that is none, which is refused later."""
    profile = given.get("profile")
    return dict(PROFILES.get(profile, {})) if isinstance(profile, str) else {}
