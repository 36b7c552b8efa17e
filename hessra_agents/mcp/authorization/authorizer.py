"""Authorize every request of the protocol, whatever server, transport and era it belongs to.

A request comes with its parameters and with a function that forwards it. It is forwarded if the capability
that it carries in ``_meta`` permits it, without anything of ours and with the very arguments that were
decided on; or it is refused with `Denied`, and is not.

1. What the request asks for (`acts`). A request that needs no capability is forwarded; a list is filtered.
2. The capability and the proof that it carries; or, if it carries none, the one that the gate is bound to.
3. The decision, then the tool's own schema, then what the call uses up (`Guard.permit`).
4. The same proved request again gets the answer that it had (`ReplayCache`).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ...call.call import Call, digest
from ...call.canonical import MalformedError
from ...errors import Denied, Reason
from ...guard.guard import Guard
from ...guard.toolbox import Toolbox
from ...tokens.statements import Proof
from ...verify.permit import Permit
from ...verify.verifier import PROOF_WINDOW
from .catalog import Fetch, ToolCatalog
from .denials import DENIAL, envelope
from .listing import NOTHING, Visibility, filtered
from .replay_cache import ReplayCache
from .requests import CAPABILITY, PROOF, protocol_params, requested_call

if TYPE_CHECKING:
    from .pins import Pins

__all__ = ["Forward", "RequestAuthorizer"]

R = TypeVar("R")

_REQUEST = "hessra-agents/mcp-request/1"
_PROGRESS = ("progressToken", "progress_token")

Forward = Callable[[dict[str, Any]], Awaitable[R]]
"""Sends a request on with these parameters, and returns its result."""


class RequestAuthorizer:
    """Decides on the requests to one MCP server.

    Protects the server from requests that no capability names. Does not protect from what the server does
    with a request that it was allowed to get, nor from requests that reach it on another way.

    Args:
        guard: whose trust, audience and ledger count; its own tools do not matter.
        default_toolbox: the toolbox, of this guard, whose capability serves requests that carry none, for
            clients that cannot send one. Whoever can reach the gate has it.
        allow_bearer_over_http: whether a capability without a holder is taken over HTTP, where it can be
            copied on its way.
        pins: the definitions of tools that were approved; any other is refused and not shown.
        forwarded_meta: keys of a request's ``_meta`` that go on to the server, beside the protocol's own. A
            server may choose by them what runs, and no capability names them.

    Raises:
        ValueError: the toolbox is of another guard, which may trust other keys.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        default_toolbox: Toolbox | None = None,
        allow_bearer_over_http: bool = False,
        pins: Pins | None = None,
        forwarded_meta: Collection[str] = (),
    ) -> None:
        if default_toolbox is not None and default_toolbox._guard is not guard:
            raise ValueError("a gate is bound to a toolbox of its own guard")
        self.guard = guard
        self.catalogue = ToolCatalog(pins)
        self._kept_meta = frozenset(forwarded_meta)
        self._bound = default_toolbox
        self._bearer_over_http = allow_bearer_over_http
        self._repeats: ReplayCache[Any] = ReplayCache(_size)

    @property
    def bound(self) -> bool:
        """Whether requests that carry no capability may be permitted."""
        return self._bound is not None

    async def handle(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        forward: Forward[R],
        *,
        fetch: Fetch,
        http: bool = False,
    ) -> R:
        """Forward one request, if it may be, and return its result.

        Args:
            method, params: as they came over the wire; the parameters of JSON that was read once.
            forward: sends it on; called at most once, with the parameters to send.
            fetch: lists the server's tools.
            http: whether it came over HTTP.

        Raises:
            Denied: the request is refused and was not forwarded.
            Exception: whatever ``forward`` raised.
        """
        given = {} if params is None else params
        name = given.get("name") if method == "tools/call" else None
        try:
            call = requested_call(method, given)
        except MalformedError as error:
            raise Denied(Reason.MALFORMED, str(error), tool=name if isinstance(name, str) else "") from None
        sent = protocol_params(given, self._kept_meta)
        if call is None:
            return await forward(sent)
        decided = _decided(sent, call)
        token, proof = self._presented(given, http=http)
        check = None
        if method == "tools/call":
            if not self.catalogue.is_fresh(name):
                self._decide(token, call, proof)  # who may not call it makes us ask nobody
            check = await self.catalogue.check(name, fetch)
        if proof is None:
            return await _forwarded(self._permit(token, call, None, check), forward, decided)
        return await self._once(token, call, proof, check, method, decided, forward)

    def filter_list(
        self, method: str, params: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A page of a list, as the caller may see it: what its capability reaches.

        It takes no proof: a list shows what the capability itself says, and how it is called. Without a
        capability, or with one that is refused, it is empty, and says why in its ``_meta``.
        """
        self.catalogue.observe(result.get("tools"))
        try:
            return filtered(method, result, self._reach(params), shown=self.catalogue.is_approved)
        except Denied as denied:
            meta = result.get("_meta")
            told = {**(meta if isinstance(meta, Mapping) else {}), DENIAL: envelope(denied)}
            return {**filtered(method, result, NOTHING), "_meta": told}

    def _reach(self, params: Mapping[str, Any] | None) -> Visibility:
        token, _ = self._presented(params or {}, http=False)
        if token is None and self._bound is not None:
            return Visibility.of(self.guard.check_capability(self._bound.capability))
        return Visibility.of(self.guard.check_capability(token))

    def _presented(self, params: Mapping[str, Any], *, http: bool) -> tuple[str | None, Proof | None]:
        """Step 2: the capability and the proof that a request carries; none if the gate is bound."""
        meta = params.get("_meta")
        if meta is not None and not isinstance(meta, Mapping):
            raise Denied(Reason.MALFORMED, "the request's _meta is not an object")
        found = meta or {}
        token, proof = found.get(CAPABILITY), found.get(PROOF)
        if token is None:
            if self._bound is None or proof is not None:
                raise Denied(Reason.NO_CAPABILITY)
            return None, None
        if not isinstance(token, str) or not (proof is None or isinstance(proof, str)):
            raise Denied(Reason.MALFORMED, "the capability or the proof is not a text")
        if http and proof is None and not self._bearer_over_http:
            raise Denied(
                Reason.NOT_HOLDER, "over HTTP a capability needs a holder, and each call the holder's proof"
            )
        return token, None if proof is None else Proof.parse(proof)

    def _permit(
        self, token: str | None, call: Call, proof: Proof | None, validate: Callable[[Call], None] | None
    ) -> AbstractAsyncContextManager[Permit]:
        if token is None and self._bound is not None:
            # without a session: nothing here keeps what the agent has seen, so nothing says that it is clear
            held = self._bound._fresh(), call, self._bound._possession
            return self.guard._permitted(*held, (), validate)
        return self.guard.permit(token, call, proof=proof, validate=validate)

    def _decide(self, token: str | None, call: Call, proof: Proof | None) -> None:
        """The decision alone, but for approvals: the permit finds those in the ledger, or asks for them."""
        try:
            if token is None and self._bound is not None:
                self.guard.decide(self._bound._fresh(), call, proof=self._bound._possession)
            else:
                self.guard.decide(token, call, proof=proof)
        except Denied as denied:
            if denied.reason is not Reason.NOT_APPROVED:
                raise

    async def _once(
        self,
        token: str | None,
        call: Call,
        proof: Proof,
        validate: Callable[[Call], None] | None,
        method: str,
        decided: dict[str, Any],
        forward: Forward[R],
    ) -> R:
        """Steps 3 and 4."""
        key = _fingerprint(token, proof, method, decided)
        known = self._repeats.find(key, self.guard.now())
        if known is not None:
            self._decide(token, call, proof)  # it must still be good
            found: R = await known.wait()
            return found
        answer = self._repeats.open(key, proof.time + PROOF_WINDOW + 1)
        try:
            result = await _forwarded(self._permit(token, call, proof, validate), forward, decided)
            self._repeats.keep(key, answer, result)
        except BaseException:
            self._repeats.drop(key, answer)
            raise
        return result


class _ErrorResultError(Exception):
    """The server answers, and says that it did not do what it was asked to."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self.answer = answer


async def _forwarded(
    permitted: AbstractAsyncContextManager[Permit], forward: Forward[R], params: dict[str, Any]
) -> R:
    """Step 3, and the answer; one that is an error is on record as a failure."""
    try:
        async with permitted:
            answer = await forward(params)
            if _is_error(answer):
                raise _ErrorResultError(answer)
            return answer
    except _ErrorResultError as error:
        found: R = error.answer
        return found


def _is_error(answer: object) -> bool:
    """Whether this result, or message with a result, is an error of the protocol or of the tool."""
    if isinstance(answer, Mapping) and "jsonrpc" in answer:
        return "result" not in answer or _is_error(answer["result"])
    if isinstance(answer, Mapping):
        return answer.get("isError") is True
    return getattr(answer, "is_error", None) is True


def _decided(params: dict[str, Any], call: Call) -> dict[str, Any]:
    """The parameters with the arguments that were decided on, and no others."""
    if call.resource.startswith("method:"):
        meta = {"_meta": params["_meta"]} if "_meta" in params else {}
        return {**call.arguments, **meta}
    if params.get("arguments") is not None:
        return {**params, "arguments": call.arguments}
    return params


def _fingerprint(token: str | None, proof: Proof, method: str, params: dict[str, Any]) -> bytes:
    """The same for the same request: all that is sent on, but for how its progress is told."""
    rest = {key: value for key, value in params.items() if key != "_meta"}
    meta = {key: value for key, value in params.get("_meta", {}).items() if key not in _PROGRESS}
    text = json.dumps([rest, meta], sort_keys=True)
    return digest(_REQUEST, *(part.encode() for part in (token or "", proof.token, method, text)))


def _size(result: object) -> int:
    try:
        text = result.model_dump_json() if isinstance(result, BaseModel) else json.dumps(result)
    except Exception:  # whatever cannot be measured is not kept
        return 1 << 62
    return len(text)
