"""The constraints on arguments that a grant can state: `must`, and what it makes."""
