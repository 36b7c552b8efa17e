"""Represent a tool call: its arguments in canonical form, and the facts about them."""
