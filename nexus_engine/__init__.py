"""The machine: an event engine that trades without a terminal."""

__version__ = "0.1.0"
