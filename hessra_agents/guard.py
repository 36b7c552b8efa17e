"""The guard: runs a tool call if a capability permits it, and only then.

    guard = Guard(authority.trust, audience="mail")

    @guard.tool
    async def send_email(to: str, body: str) -> str: ...

A guarded function that is called without a capability is refused. A call goes through `Guard.call`, with
the capability as text and the proof beside it, or through a `Toolbox`, which holds the capability.

The path of a call:

1. The arguments are made canonical, once; `verify` decides on that form (pure).
2. They are validated, from the very same bytes, against the function's own types.
3. The ledger takes what the call uses up.
4. The tool runs with a value built from the bytes that were decided on.
5. The ledger records the outcome, shielded from cancellation.

Whatever fails inside the guard refuses the call as ``unavailable``; the cause goes to the log
``hessra_agents``. The tool's own exceptions pass through.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache, partial
from typing import Any, ParamSpec, TypeVar

import anyio

from .call import Call
from .canonical import Malformed
from .clauses import Pattern
from .decide.permit import Permit
from .decide.verifier import Possession, check_place, verify
from .errors import Denied, Reason
from .ledger.protocol import Ledger, Outcome
from .registry import Registry
from .running import Run
from .tokens.capability import Capability
from .tokens.keys import KeyPair
from .tokens.profile import ANCHOR, RESERVED
from .tokens.statements import Approval, Proof
from .tokens.trust import Trust
from .toolbox import Toolbox

__all__ = ["Guard"]

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])

_log = logging.getLogger("hessra_agents")

MOST_KNOWN = 256
"""Capabilities whose signatures a guard has checked and keeps. What was read is kept, never a decision."""


class Guard(Registry):
    """Stands between agents and tools; knows public keys only.

    Protects the registered tools from calls that no capability names, by agents that reach them through
    this guard. Does not protect from a tool that misuses arguments it was allowed to get, nor from code
    in the same process that calls the undecorated function.

    Args:
        trust: the root keys that capabilities must come from.
        audience: this guard's name; a capability must name it.
        ledger: remembers used proofs and approvals. Without one, calls that carry them are refused, since
            the guard could not tell a replay.
        designations: labels that this guard stands for (``{"tenant": "acme"}``); a capability that names
            one of them with another value is refused.
        require: whether a capability's issuer must have named each of these labels, too. False honours
            those that are for any value, such as tokens whose issuer designates in a later block.
        clock: Unix seconds.
    """

    def __init__(
        self,
        trust: Trust,
        *,
        audience: str,
        ledger: Ledger | None = None,
        designations: Mapping[str, str] | None = None,
        require: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not isinstance(trust, Trust):
            raise TypeError("trust is a Trust, such as authority.trust or Trust.load('trust.json')")
        if not audience or not isinstance(audience, str):
            raise ValueError("a guard needs an audience: the name that capabilities must give for it")
        reserved = {ANCHOR, *RESERVED} & (designations or {}).keys()
        if reserved:
            raise ValueError(f"the label {min(reserved)!r} is reserved")
        super().__init__()
        self.trust = trust
        self.audience = audience
        self._ledger = ledger
        self._designations = dict(designations or {})
        self._require = require
        self._clock = clock

    def __repr__(self) -> str:
        return f"Guard(audience={self.audience!r}, tools={sorted(self._tools)})"

    @property
    def trust(self) -> Trust:
        """The root keys that capabilities must come from; set another to add or remove some."""
        return self._trust

    @trust.setter
    def trust(self, trust: Trust) -> None:
        self._trust = trust
        self._parse = lru_cache(MOST_KNOWN)(lambda text: Capability.parse(text, trust))

    def now(self) -> int:
        """The guard's clock, in whole Unix seconds."""
        return int(self._clock())

    def toolbox(
        self,
        capability: Capability | str,
        *,
        key: KeyPair | None = None,
        inject: Mapping[str, Any] | None = None,
        name: str | None = None,
    ) -> Toolbox:
        """What an agent holds: the tools that its capability reaches.

        Args:
            capability: or its text.
            key: the holder's, if the capability has a holder; it is proved once, here.
            inject: values for the parameters that tools let the host inject.
            name: the agent's name; the capability's subject if left out.

        Raises:
            Denied: the capability cannot be read, is for another guard, or the key is not its holder's.
        """
        found = self.read(capability)
        check_place(found, self.audience, self._designations, require=self._require)
        if found.holder is not None and key is None:
            raise Denied(Reason.NOT_HOLDER, "this capability has a holder: pass its key")
        possession = Possession.show(found, key) if key is not None and found.holder is not None else None
        return Toolbox(self, found, key, possession, dict(inject or {}), name or found.subject)

    def read(self, capability: Capability | str | None) -> Capability:
        """The capability, verified against this guard's trust and admitted.

        A `Capability` object is read again from its text: another trust may have made it.

        Raises:
            Denied: ``no_capability``, or what `Capability.parse` raises.
        """
        if capability is None or capability == "":
            raise Denied(Reason.NO_CAPABILITY)
        text = capability.token if isinstance(capability, Capability) else capability
        if type(text) is not str:
            raise Denied(Reason.MALFORMED, "a capability is a text")
        try:
            return self._parse(text)
        except Denied:
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def call(
        self,
        capability: Capability | str | None,
        tool: str,
        arguments: Mapping[str, Any] | str | bytes,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        inject: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run one tool call if it is permitted, and return what the tool returns.

        Args:
            capability: its text, as it came with the call.
            tool: the name of a registered tool.
            arguments: a mapping, or JSON text as a model wrote it.
            proof: the holder's proof of this call; none for a bearer capability.
            approvals: approvals of this call.
            inject: values for the parameters that the host injects.

        Raises:
            Denied: the call is refused and the tool did not run.
            Exception: whatever the tool itself raised.
        """
        # an object is read again from its text: another trust may have made it
        text = capability.token if isinstance(capability, Capability) else capability
        async with self._running(text, tool, arguments, proof, approvals, inject or {}) as run:
            return await run.result()

    @asynccontextmanager
    async def permit(
        self,
        capability: Capability | str | None,
        call: Call,
        *,
        proof: Proof | Possession | str | None = None,
        approvals: Iterable[Approval | str] = (),
        check: Callable[[Call], object] | None = None,
    ) -> AsyncIterator[Permit]:
        """Decide a call of something that is no tool of this guard, and that runs inside of the block.

            async with guard.permit(token, Call.of("read_file", arguments), proof=proof):
                result = await elsewhere(...)

        After the block its outcome is recorded, shielded from cancellation. What is called must get
        ``call.arguments`` and nothing else.

        Args:
            capability: its text, as it came with the call.
            call: canonical; any object and operation.
            proof: the holder's proof of this call; none for a bearer capability.
            approvals: approvals of this call.
            check: what the call's own schema says, asked once the capability permits it and before
                anything is used up; raises `Denied`.

        Raises:
            Denied: the call is refused, and the block did not run.
            Exception: whatever the block raised.
        """
        with self._closed(call.tool):
            text = capability.token if isinstance(capability, Capability) else capability
            permit = self._decide(self.read(text), call, (), proof, approvals)
            if check is not None:
                check(call)
            await self._spend(permit)
        async with self._recorded(permit):
            yield permit

    @asynccontextmanager
    async def _running(
        self,
        capability: Capability | str | None,
        name: str,
        arguments: Mapping[str, Any] | str | bytes,
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
        injected: Mapping[str, Any],
        receiver: Any = None,
    ) -> AsyncIterator[Run]:
        """Decide one call; inside, it may run; after it, its outcome is recorded.

        A `Capability` object is one that this guard has read, as a toolbox's was.
        """
        with self._closed(name if isinstance(name, str) else ""):
            found = capability if isinstance(capability, Capability) else self.read(capability)
            tool = self._tools.get(name) if type(name) is str else None
            if tool is None:
                raise Denied(Reason.WRONG_TOOL, "there is no such tool")
            call = Call.of(name, arguments)
            permit = self._decide(found, call, tool.bounds, proof, approvals)
            values = tool.read(call)
            positional, named = tool.arguments(values, injected)
            if tool.method and receiver is None:
                raise Denied(
                    Reason.UNAVAILABLE, "a method needs its object: guard.add(the_object.method), or bind it"
                )
            await self._spend(permit)
        # a bound method that was added has its object already
        first = [receiver] if tool.method else []
        async with self._recorded(permit):
            yield Run(tool, partial(tool.function, *first, *positional, **named))

    @contextmanager
    def _closed(self, name: str) -> Iterator[None]:
        """Steps 1 to 3: whatever goes wrong in here is a refusal."""
        try:
            yield
        except Denied as denied:
            raise denied.for_tool(name) from denied.__cause__
        except Malformed as error:
            raise Denied(Reason.MALFORMED, str(error), tool=name) from None
        except Exception as error:
            raise self._failed(error).for_tool(name) from error

    def _decide(
        self,
        capability: Capability,
        call: Call,
        bounds: tuple[Pattern, ...],
        proof: Proof | Possession | str | None,
        approvals: Iterable[Approval | str],
    ) -> Permit:
        if isinstance(approvals, str) or not isinstance(approvals, Iterable):
            raise Denied(Reason.MALFORMED, "the approvals are not a list")
        return verify(
            capability,
            call,
            now=self.now(),
            audience=self.audience,
            proof=Proof.parse(proof) if isinstance(proof, str) else proof,
            approvals=[Approval.parse(one) if isinstance(one, str) else one for one in approvals],
            designations=self._designations,
            require=self._require,
            bounds=bounds,
        )

    async def _spend(self, permit: Permit) -> None:
        """Step 3."""
        if self._ledger is not None:
            await self._ledger.admit(permit)
        elif permit.spends:
            raise Denied(Reason.UNAVAILABLE, "this guard keeps no ledger, so it takes no proofs or approvals")

    @asynccontextmanager
    async def _recorded(self, permit: Permit) -> AsyncIterator[None]:
        """Steps 4 and 5."""
        outcome = Outcome.CANCELLED
        try:
            yield
            outcome = Outcome.DONE
        except Exception as error:
            outcome = Outcome.FAILED
            if isinstance(error, Denied):
                error.from_tool = True
            raise
        finally:
            if self._ledger is not None:
                with anyio.CancelScope(shield=True):
                    await self._record(permit, outcome)

    async def _record(self, permit: Permit, outcome: Outcome) -> None:
        try:
            assert self._ledger is not None
            await self._ledger.record(permit, outcome)
        except Exception:
            # the tool has run; to hide its result now would not undo it
            _log.exception("the outcome of a call could not be recorded")

    def _failed(self, error: Exception) -> Denied:
        _log.error("the guard failed, so it refused a call", exc_info=error)
        return Denied(Reason.UNAVAILABLE)
