"""The audit bus: what was decided, when, of which symbol and why."""
