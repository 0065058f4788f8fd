"""What keeps a system that runs for months small: retention, trims, rotation, an archive of closed days, and sizes.

| module | what it keeps in order |
|---|---|
| `runs` | which flow runs are old, stuck or late (decisions alone: `tasks.housekeeping_runs` talks to Prefect) |
| `prefect_settings` | what the embedded Prefect server is told of its own retention |
| `sqlite_file` | Prefect's SQLite file: how much of it is used, its write-ahead log, its compaction |
| `streams`, `trade_trim` | lengths of the Redis streams; trade events leave only after their archive was read back |
| `redis_care` | what Redis keeps of symbols that are gone; its append-only file |
| `logs` | rotation of files that running processes hold open |
| `tables`, `days` | trades, audit and cycles of closed days as Parquet |
| `bars_check` | whether the bar archive holds yesterday |
| `sizes` | bytes of each part, their growth and their bounds |
"""
