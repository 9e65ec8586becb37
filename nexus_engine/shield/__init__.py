"""DEFENCE: the Sentinel Protocol."""
