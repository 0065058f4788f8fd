"""What tells a Prefect server about this project: deployments, blocks, limits."""
