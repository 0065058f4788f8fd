"""Dynamic thresholds: YAML rules that move thresholds with the state of the market."""
