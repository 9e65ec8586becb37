"""HANDS: orders, stops, proposals, sizing."""
