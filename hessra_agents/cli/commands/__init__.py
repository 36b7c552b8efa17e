"""The commands, a module for each few that belong together."""
