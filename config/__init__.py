"""Data and models only: every constant of the system, typed and validated; no business logic."""
