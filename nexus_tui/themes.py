"""The faces of Nexus. Colour never says anything that the text beside it does not say."""

from typing import Final

from textual.theme import BUILTIN_THEMES, Theme

DARK: Final = Theme(
    name="nexus-dark",
    dark=True,
    primary="#7aa2c8",
    secondary="#9aa7b8",
    accent="#e0b458",
    foreground="#c8d0da",
    background="#0e1318",
    surface="#0e1318",
    panel="#18202a",
    success="#6cc08b",
    warning="#e0b458",
    error="#e37174",
    variables={
        "quiet": "#8291a0",
        "line": "#34414e",
        "pick": "#1d2936",
        "bid": "#6cc08b",
        "ask": "#e0797c",
        "bid-bar": "#35664a",
        "ask-bar": "#7a4245",
    },
)

LIGHT: Final = Theme(
    name="nexus-light",
    dark=False,
    primary="#24578a",
    secondary="#52606d",
    accent="#8a5a00",
    foreground="#1d252d",
    background="#f7f8f6",
    surface="#f7f8f6",
    panel="#e9ece8",
    success="#16703c",
    warning="#8a5a00",
    error="#b3262b",
    variables={
        "quiet": "#5d6872",
        "line": "#b8c0c6",
        "pick": "#dfe8ef",
        "bid": "#16703c",
        "ask": "#b3262b",
        "bid-bar": "#86bd9b",
        "ask-bar": "#dc9396",
    },
)

CVD: Final = Theme(
    name="nexus-cvd",
    dark=True,
    primary="#8ab4e8",
    secondary="#9aa7b8",
    accent="#f0e442",
    foreground="#d0d6dd",
    background="#0e1318",
    surface="#0e1318",
    panel="#18202a",
    success="#56b4e9",
    warning="#f0e442",
    error="#e69f00",
    variables={
        "quiet": "#8795a2",
        "line": "#34414e",
        "pick": "#1d2936",
        "bid": "#56b4e9",
        "ask": "#e69f00",
        "bid-bar": "#2c5f7c",
        "ask-bar": "#7d5a0c",
    },
)
"""Blue and orange (the Okabe-Ito palette) in the place of green and red."""

SIXTEEN: Final = Theme(
    name="nexus-16",
    ansi=True,
    primary="ansi_cyan",
    accent="ansi_yellow",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_bright_red",
    variables=BUILTIN_THEMES["ansi-dark"].variables
    | {
        "quiet": "ansi_default",
        "line": "ansi_bright_black",
        "pick": "ansi_default",
        "bid": "ansi_green",
        "ask": "ansi_bright_red",
        "bid-bar": "ansi_green",
        "ask-bar": "ansi_red",
    },
)
"""Dark, where a terminal has sixteen colours: its own ones by name. The nearest to ours would all be white."""

THEMES: Final = (DARK, LIGHT, CVD)
BY_NAME: Final = {theme.name.removeprefix("nexus-"): theme.name for theme in THEMES}
"""The words of [ui] theme; `none` is no colour at all."""
NO_COLOUR: Final = "ansi-dark"
"""Textual's theme of the terminal's own colours: with NO_COLOR it is the one that really has none."""

ANSI_VARIABLES: Final = {
    "quiet": "ansi_default",
    "line": "ansi_default",
    "pick": "ansi_default",
    "bid": "ansi_default",
    "ask": "ansi_default",
    "bid-bar": "ansi_default",
    "ask-bar": "ansi_default",
}
