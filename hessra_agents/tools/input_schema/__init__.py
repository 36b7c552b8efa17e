"""input_schema."""
