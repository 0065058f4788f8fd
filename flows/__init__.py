"""Prefect flows: everything that has a cadence. Each reads as a sentence; the work is in `tasks` and `aione`."""
