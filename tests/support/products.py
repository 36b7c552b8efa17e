"""Read grants and capabilities as one list of branches: the definition that choices shorten."""

from __future__ import annotations

from hessra_agents.grants.clauses import Branch, Pattern
from hessra_agents.grants.grants import Grant
from hessra_agents.grants.vocabulary.constraints import combine, gathered
from hessra_agents.tokens.admission import Block
from hessra_agents.tokens.capability import Capability

__all__ = ["branches", "patterns_of"]


def branches(made: Grant, *, closed: bool) -> Pattern:
    """Return every way to satisfy a grant."""
    return tuple(Branch(made.resource, gathered(way)) for way in combine(*made.parts(closed=closed)))


def patterns_of(told: Capability | Block) -> list[Pattern]:
    """Return what all calls must match, for each object that the first block or the block itself names."""
    if isinstance(told, Capability):
        return [pattern for _, resource, _ in told.blocks[0].rights for pattern in told.about(resource)]
    objects = {resource for _, resource, _ in told.rights} or told.objects or ()
    return [pattern for resource in sorted(objects) for pattern in told.about(resource)]
