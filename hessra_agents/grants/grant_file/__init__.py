"""Read and write grants, limits, approvals and labels as a TOML file."""
