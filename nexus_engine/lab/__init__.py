"""The lab: what is done with the past. Commands and child processes; the cockpit never imports it."""
