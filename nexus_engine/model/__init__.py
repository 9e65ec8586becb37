"""WORDS: the vocabulary that every zone shares."""
