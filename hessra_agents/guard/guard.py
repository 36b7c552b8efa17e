"""Run a tool call if a capability permits it, and only then.

    guard = Guard(authority.trust, audience="mail")

    @guard.tool
    async def send_email(to: str, body: str) -> str: ...

A guarded function that is called without a capability refuses. A call goes through `Guard.call`, with the
capability's token and a proof, or through a `Toolbox`, which holds the capability. `invocation` has the
steps of a call.

A failure inside the guard refuses the call as ``unavailable``; the cause goes to the log ``hessra_agents``.
The tool's own exceptions pass through.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..call.call import Call
from ..errors import Denied
from ..keys.keys import KeyPair
from ..keys.trust import Trust
from ..tokens.capability import Capability
from ..tokens.statements import Approval, Proof
from ..tools.registry import Registry
from ..tools.tool import Tool
from ..verify.permit import Permit
from ..verify.verifier import Possession
from .enforcement import Enforcement, PermittedBlock
from .invocation import Invocation
from .members import decide_any
from .presented import Presented
from .session import Session
from .settings import GuardSettings
from .threads import THREADS
from .toolbox import Toolbox

if TYPE_CHECKING:
    from ..ledger.ledger import Ledger
    from .trust_file import TrustFollower

__all__ = ["Guard"]

F = TypeVar("F", bound=Callable[..., Any])


class Guard:
    """Stands between agents and tools; knows public keys only.

    Protects the registered tools from calls that no capability grants, by agents that reach the tools
    through this guard. Does not protect from a tool that misuses arguments it was allowed to get, nor from
    code in the same process that calls the undecorated function.

    Args:
        trust: the root keys that capabilities must come from.
        audience: this guard's name; a capability must name it.
        ledger: remembers used proofs and approvals, limits and revocations. Without a ledger, calls that
            carry proofs or approvals are refused, since the guard could not detect a replay.
        designations: labels that this guard stands for (``{"tenant": "acme"}``); a capability that names
            one of them with another value is refused.
        require_designations: whether the issuer of a capability must have named each of these labels.
            False also honors capabilities that do not name them, such as tokens whose issuer designates in
            a later block.
        cross_check: whether the Datalog engine decides every call as well, and refuses what it does not
            permit; that doubles the time of a call, about. Without it our own decision stands alone, which
            the tests compare with the engine.
        threads: how many plain functions run at a time; one agent gets at most half of them, and the calls
            that come then wait. Async functions need none.
        clock: returns Unix seconds.
    """

    def __init__(
        self,
        trust: Trust,
        *,
        audience: str,
        ledger: Ledger | None = None,
        designations: Mapping[str, str] | None = None,
        require_designations: bool = True,
        cross_check: bool = False,
        threads: int = THREADS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = GuardSettings(
            trust,
            audience=audience,
            ledger=ledger,
            designations=designations,
            require_designations=require_designations,
            cross_check=cross_check,
            threads=threads,
            clock=clock,
        )
        self._registry = Registry()

    def __repr__(self) -> str:
        return f"Guard(audience={self.audience!r}, tools={sorted(self.tools)})"

    @property
    def audience(self) -> str:
        """The guard's name, which capabilities must name."""
        return self.settings.audience

    @property
    def trust(self) -> Trust:
        """The root keys that capabilities must come from; assign another trust to add or remove keys."""
        return self.settings.trust

    @trust.setter
    def trust(self, trust: Trust) -> None:
        self.settings.trust = trust

    def follow_trust(self, path: str | Path) -> TrustFollower:
        """Keep the trust as a file of trusted keys says, while the block of ``async with`` runs.

        The file is read at once, and again within a second of every change. A change that cannot be used
        leaves the trust as it was, and is logged.

        Raises:
            ValueError: on entering: the file cannot be read, or names no key.
        """
        from .trust_file import TrustFollower  # for programs that run long

        return TrustFollower(self.settings, Path(path).absolute())

    @property
    def ledger(self) -> Ledger:
        """The guard's ledger: revocations, requests for approvals, limits, the log.

        Raises:
            ValueError: the guard keeps no ledger.
        """
        if self.settings.ledger is None:
            raise ValueError("this guard keeps no ledger: Guard(..., ledger=Ledger.open('hessra.db'))")
        return self.settings.ledger

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The registered tools, by name."""
        return self._registry.tools

    @overload
    def tool(self, function: F, /) -> F: ...
    @overload
    def tool(
        self,
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> Callable[[F], F]: ...
    def tool(  # type: ignore[misc]
        self,
        function: Any = None,
        /,
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> Any:
        """Register a function as a tool and return it guarded: a direct call is refused.

        Works for async functions, sync functions (run in a worker thread), async generators and methods.
        Signature, docstring, type hints and `inspect.iscoroutinefunction` stay as they were.

        Args:
            name: the name under which the tool is granted; the function's own name if omitted.
            inject: parameters that the host provides (a context, a database handle): hidden from schema,
                facts and digest, and never settable by the caller.
            exposes_labels: labels of what the tool's results hold, such as ``PII:email``; an agent that
                calls the tool has seen them.
            untrusted: whether strangers can write what the tool returns. This is a label as well, and no
                argument follows its results unless a capability allows that.

        Raises:
            TypeError, ValueError: the function cannot be guarded, or the name is taken.
        """
        if function is not None:
            return self.add(function)
        labels: Any = {"exposes_labels": exposes_labels, "untrusted": untrusted}
        return lambda decorated: self.add(decorated, name=name, inject=inject, **labels)

    def add(
        self,
        function: F,
        *,
        name: str | None = None,
        inject: Iterable[str] = (),
        exposes_labels: Iterable[str] = (),
        untrusted: bool = False,
    ) -> F:
        """Register a function written elsewhere, or a bound method, and return the guarded double.

        See `tool`. The function itself stays as it was. For a decorated method,
        ``guard.add(the_object.method)`` chooses the object on which calls by name run the method; a call of
        another object's method runs on that object.
        """
        labels: Any = {"exposes_labels": exposes_labels, "untrusted": untrusted}
        return cast(F, self._registry.add(function, name=name, inject=inject, **labels))

    def now(self) -> int:
        """Return the time by the guard's clock, in whole Unix seconds."""
        return self.settings.now()

    def read(self, capability: Capability | str | None) -> Capability:
        """Return the capability, its signatures checked against the trust and its content admitted.

        Raises:
            Denied: ``no_capability``, or what `Capability.parse` raises.
        """
        return self.settings.read(capability)

    def check_capability(self, capability: Capability | str | None) -> Capability:
        """Return the capability if the guard honors it now: signatures, content, time, audience, revocation.

        Whether the caller holds its key is not checked: the answer says what to show, and decides no call. A
        ledger that is not open is opened first: in an event loop, open it before by ``await ledger.start()``.

        Raises:
            Denied: the guard does not honor it.
        """
        return self.settings.check_capability(capability)

    def toolbox(
        self,
        *capabilities: Capability | str,
        key: KeyPair | None = None,
        inject: Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> Toolbox:
        """Return what an agent holds: the tools that its capabilities reach.

        Args:
            capabilities: the capability, or its token; or up to eight of them, of which one serves each call:
                the first that permits it and takes nothing from a limit, else the first that permits it.
            key: the holder's key, if a capability has a holder; possession is proved once, here.
            inject: values for the parameters that tools let the host inject.
            session: what the agent has seen; if omitted, a fresh session that has seen nothing. Pass the
                agent's session again to keep the memory of what it was exposed to.

        Raises:
            Denied: a capability cannot be read, is for another guard, or the key is not its holder's.
            ValueError: there is no capability, or more than eight.
        """
        return Toolbox(self.settings, self._registry, capabilities, key=key, inject=inject, session=session)

    async def call(
        self,
        capability: Capability | str | None,
        tool: str,
        arguments: Mapping[str, Any] | str | bytes,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        inject: Mapping[str, Any] | None = None,
        session: Session | None = None,
    ) -> Any:
        """Run one tool call if it is permitted, and return what the tool returns.

        Args:
            capability: the token that came with the call.
            tool: the name of a registered tool.
            arguments: a mapping, or a JSON string from a model.
            proof: the holder's proof of this call; None for a bearer capability.
            approvals: approvals of this call.
            inject: values for the parameters that the host injects.
            session: what the agent has seen, to which this call adds. Without a session, every call that a
                condition on the session binds (`from_result`, `clear_of`) is refused.

        Raises:
            Denied: the call is refused and the tool did not run.
            Exception: any exception of the tool itself.
        """
        presented = Presented.of(capability, proof, approvals)
        invocation = Invocation(
            self.settings,
            self._registry,
            (presented,),
            tool,
            arguments,
            injected=inject or {},
            session=session,
        )
        return await invocation.result()

    def permit(
        self,
        capability: Capability | str | None,
        call: Call,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        validate: Callable[[Call], object] | None = None,
        session: Session | None = None,
    ) -> AbstractAsyncContextManager[Permit]:
        """Decide a call of something that is not a tool of this guard, and that runs inside the block.

            async with guard.permit(token, Call.of("read_file", arguments), proof=proof):
                result = await elsewhere(...)

        After the block the outcome is recorded, also of a call that failed. The block must pass
        ``call.arguments`` on, and nothing else. Before the agent sees a result, the block may give it to
        ``session.record_result``, and the labels of what it holds to ``session.expose``.

        Args:
            capability: the token that came with the call.
            call: canonical; any object and operation. The reading of a URI that a template grants is decided
                as a call of the template: ``permit.call``.
            proof: the holder's proof of this call; None for a bearer capability.
            approvals: approvals of this call.
            validate: checks the call by a schema of its own, once the capability permits the call and
                before anything is used up; raises `Denied`.
            session: what the agent has seen. Without a session, every call that a condition on the session
                binds (`from_result`, `clear_of`) is refused.

        Raises:
            Denied: the call is refused, and the block did not run.
            Exception: any exception of the block.
        """
        presented = Presented.of(capability, proof, approvals)
        return PermittedBlock(Enforcement(self.settings, presented, session), call, validate)

    async def record_denial(
        self, denied: Denied, capability: Capability | str | None, call: Call | None = None
    ) -> None:
        """Have a refusal recorded that was decided before this guard could be asked, such as for its form.

        Args:
            denied: the refusal.
            capability: the token that came with the call, if any did.
            call: what was refused, if that can be said.
        """
        enforcement = Enforcement(self.settings, Presented.of(capability, None, ()), None)
        await enforcement.refuse(denied, "", call)

    def decide(
        self,
        capability: Capability | str | None,
        call: Call,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        session: Session | None = None,
    ) -> Permit:
        """Return the decision alone: nothing is used up, nothing runs, nothing is recorded.

        A proof or an approval that was used before is not detected here. A ledger that is not open is opened
        first: in an event loop, which would wait for it, open it before by ``await ledger.start()``.

        Raises:
            Denied: the call would be refused.
        """
        return decide_any(self.settings, (Presented.of(capability, proof, approvals),), call, session)
