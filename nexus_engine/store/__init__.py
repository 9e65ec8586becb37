"""MEMORY: the journal."""
