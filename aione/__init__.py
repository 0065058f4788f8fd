"""The engine of AiOne_t: a market screener and signal pipeline for Binance USD-M perpetuals.

Everything here runs and is tested without Prefect; `flows` and `tasks` orchestrate it.
"""
