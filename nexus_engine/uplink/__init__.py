"""SENSES: feeds and brokers of the venues."""
