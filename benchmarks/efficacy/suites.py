"""The four suites, by name."""

from __future__ import annotations

from . import banking, slack, travel, workspace

__all__ = ["SUITES"]

SUITES = {one.SUITE.name: one.SUITE for one in (banking, slack, travel, workspace)}
