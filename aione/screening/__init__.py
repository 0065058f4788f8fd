"""The services that flows, scans and re-scans share: refresh the universe, run one screening cycle, publish it."""
