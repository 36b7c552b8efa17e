"""Read the JSON Schema of a tool's input, and check a call's arguments against it."""
