"""Name the conditions that `issue`, `attenuate` and `delegate` accept, and that a block can require."""

from __future__ import annotations

from .approvals import ApprovalRule
from .exposure import NoExposure
from .grants import Grant
from .limits import Limit

__all__ = ["Condition"]

Condition = Grant | Limit | ApprovalRule | NoExposure
