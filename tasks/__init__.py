"""Prefect tasks: the services of the engine with retries, time limits, cache policy and artifacts; no logic."""
