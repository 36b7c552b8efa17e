"""Enforce decisions: the guard, the toolbox, and the path of a call from its name to its recorded outcome."""
