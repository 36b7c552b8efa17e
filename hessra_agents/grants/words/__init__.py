"""Words for what a capability says, as data."""
