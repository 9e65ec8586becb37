"""BRAIN: indicators, regime, factory and the strategies."""
