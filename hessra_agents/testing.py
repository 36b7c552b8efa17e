"""Test guarded tools: the plain function behind a guarded one, and a toolbox without an authority at hand.

    from hessra_agents.testing import toolbox_for, unguarded

    assert await unguarded(guard, send_email)("ana@acme.com", "hi") == "sent"
    assert await toolbox_for(guard, grant(send_email, to="ana@acme.com")).call(...) == "sent"

Neither weakens the guard. Its trust, ledger and settings stay as they are, so it refuses a token made here;
and both give code in the same process only what it could reach already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import copy
from datetime import timedelta
from types import MethodType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from .authority import Authority
from .grants.conditions import Condition
from .ledger import Ledger

if TYPE_CHECKING:
    from .guard.guard import Guard
    from .guard.toolbox import Toolbox

__all__ = ["toolbox_for", "unguarded"]

F = TypeVar("F", bound=Callable[..., Any])


def unguarded(guard: Guard, tool: F) -> F:
    """Return the plain function that a guarded one stands for, to test what the tool itself does.

    Args:
        guard: the guard that the tool belongs to.
        tool: the guarded function, or a guarded method of an object.

    Raises:
        TypeError: it is a name.
        ValueError: it is not a tool of this guard.
    """
    if isinstance(tool, str):
        raise TypeError(f"unguarded: give the function, not its name {tool!r}")
    registered = guard.tools.get(getattr(tool, "__hessra_tool__", ""))
    if registered is None or registered.function.__qualname__ != getattr(tool, "__qualname__", ""):
        raise ValueError(f"{getattr(tool, '__name__', 'this')!r} is not a guarded tool of this guard")
    function = getattr(registered.function, "__func__", registered.function)
    receiver = getattr(tool, "__self__", None)
    return cast(F, function if receiver is None else MethodType(function, receiver))


def toolbox_for(
    guard: Guard,
    *conditions: Condition,
    subject: str = "agent:test",
    ttl: timedelta = timedelta(hours=1),
    inject: Mapping[str, Any] | None = None,
) -> Toolbox:
    """Return a toolbox of a guard's tools with these grants, limits, approvals and labels.

    The capability comes from an authority of its own and is counted in a ledger in memory, which only this
    toolbox knows. Tools, audience, designations and clock are the guard's. The tools really run.

    Args:
        guard: the guard whose tools are called.
        conditions: what `Authority.issue` takes.
        subject: the agent's name.
        ttl: lifetime from now.
        inject: values for the parameters that tools let the host inject.

    Raises:
        TypeError, ValueError: as `Authority.issue`.
    """
    twin, settings = copy(guard), copy(guard.settings)
    authority = Authority.ephemeral(clock=settings.clock)
    settings.trust, settings.ledger = authority.trust, Ledger.memory(clock=settings.clock)
    twin.settings = settings
    capability = authority.issue(
        subject, *conditions, ttl=ttl, audience=settings.audience, designations=settings.designations
    )
    return twin.toolbox(capability, inject=inject)
