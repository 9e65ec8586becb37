"""HEART: one event in, effects out."""
