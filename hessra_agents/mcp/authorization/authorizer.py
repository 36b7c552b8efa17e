"""Authorize every request of the protocol, whatever server, transport and era it belongs to.

A request comes with its parameters and with a function that forwards it. If the capability in its ``_meta``
permits it, the request is forwarded, without anything of ours and with exactly the arguments that were
decided on; if not, it is refused with `Denied`.

1. Read the call that the request asks for. A request that needs no capability is forwarded.
2. Take the capability and the proof from the request; if it carries none, the gate's default toolbox serves.
3. Decide, then check the tool's own schema, then use up limits and statements (`Guard.permit`).
4. Give the same proved request, sent again, the answer that it had (`ReplayCache`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ...call.call import Call, digest
from ...call.canonical import Json, MalformedError
from ...errors import Denied, Reason
from ...guard.enforcement import PermittedBlock
from ...guard.guard import Guard
from ...guard.members import MAX_MEMBERS, decide_any, enforcement
from ...guard.presented import Presented
from ...guard.toolbox import Toolbox
from ...tokens.statements import PROOF_WINDOW, Proof
from ..transport.messages import RpcError
from .catalog import Fetch, ToolCatalog
from .denials import DENIAL, envelope
from .listing import NOTHING, Visibility, filtered
from .replay_cache import ReplayCache
from .requests import CAPABILITY, INTRODUCTIONS, NOTIFICATIONS, PROOF, protocol_params, requested_call

if TYPE_CHECKING:
    from .pins import Pins

__all__ = ["Forward", "RequestAuthorizer", "is_error"]

R = TypeVar("R")

_REQUEST = "hessra-agents/mcp-request/1"
_PROGRESS = ("progressToken", "progress_token")

Forward = Callable[[dict[str, Any]], Awaitable[R]]
"""Sends a request on with these parameters, and returns its result."""


class RequestAuthorizer:
    """Decide on the requests to one MCP server.

    Protects the server from requests that no capability names. Does not protect from what the server does
    with a permitted request, nor from requests that reach the server on another way.

    Args:
        guard: decides by its trust, audience and ledger; its own tools do not matter.
        default_toolbox: a toolbox of this guard, whose capabilities serve requests that carry none, for
            clients that cannot send one. Every client that can reach the gate can use it.
        allow_bearer_over_http: accept a capability without a holder over HTTP, where it can be copied.
        pins: the approved definitions and instructions; a tool with any other definition is refused and
            not shown, and neither are other instructions.
        forwarded_meta: keys of a request's ``_meta`` that go on to the server, beside the protocol's own. A
            server may choose by them what runs, and no capability names them.

    Raises:
        ValueError: the toolbox belongs to another guard, which may trust other keys.
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
        if default_toolbox is not None and default_toolbox.settings is not guard.settings:
            raise ValueError("the default toolbox must belong to the same guard")
        self.guard = guard
        self.catalog = ToolCatalog(pins)
        self._forwarded_meta = frozenset(forwarded_meta)
        self._default = default_toolbox
        self._bearer_over_http = allow_bearer_over_http
        self._replay_cache: ReplayCache[Any] = ReplayCache(_size)

    def of_another_session(self) -> RequestAuthorizer:
        """Return this authorizer for a process or a session of the same server whose tools may differ."""
        other = copy.copy(self)
        other.catalog = self.catalog.of_another_session()
        return other

    @property
    def bound(self) -> bool:
        """Return whether requests that carry no capability may be permitted."""
        return self._default is not None

    async def handle(
        self,
        method: str,
        params: Mapping[str, Any] | None,
        forward: Forward[R],
        *,
        fetch: Fetch | None,
        http: bool = False,
    ) -> R:
        """Forward one request if it is permitted, and return its result.

        Args:
            method: as it came over the wire.
            params: as they came over the wire, JSON that was read once.
            forward: sends the request on; called at most once, with parameters that nobody else can change.
            fetch: lists the server's tools; None for a message without an id, which must be a notification.
            http: whether the request came over HTTP.

        Raises:
            Denied: the request is refused and was not forwarded.
            Exception: any exception that ``forward`` raised.
        """
        given = {} if params is None else params
        sent = protocol_params(given, self._forwarded_meta)
        name = given.get("name") if method == "tools/call" else None
        try:
            call = requested_call(method, given)
        except MalformedError as error:
            denied = Denied(Reason.MALFORMED, str(error), tool=name if isinstance(name, str) else "")
            raise await self._recorded(denied, given) from None
        if fetch is None and not method.startswith(NOTIFICATIONS):
            denied = Denied(Reason.MALFORMED, "a request needs an id", tool="" if call is None else call.tool)
            raise await self._recorded(denied, given, call)
        if (ledger := self.guard.settings.ledger) is not None and not ledger.opened:
            try:
                await ledger.ready()  # what is asked without waiting would open it, and hold the event loop
            except Denied as denied:
                if call is not None:
                    raise denied.for_tool(call.tool) from denied.__cause__
        if call is None:
            return await forward(sent)
        decided = _decided(sent, call, call.arguments)
        check = None
        try:
            shown = self._presented(given, http=http)
            if fetch is not None and method == "tools/call":
                if not self.catalog.is_fresh(name):
                    self._decide(shown, call)  # a refused caller does not make us list the tools
                check = await self.catalog.check(name, fetch)
        except Denied as denied:
            raise await self._recorded(denied, given, call) from denied.__cause__
        if isinstance(proof := shown[0].proof, Proof):
            return await self._once(shown, call, proof, check, method, decided, forward)
        return await self._forwarded(shown, call, check, decided, forward)

    def filter_result(
        self, method: str, params: Mapping[str, Any] | None, result: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Return the result of a request in `FILTERED` as the caller may see it.

        A page of a list has what the caller's capability reaches. That takes no proof, because it shows no
        more than the capability itself says. Without a capability, or with one that is refused, the page is
        empty, and its ``_meta`` says why.
        """
        if method in INTRODUCTIONS:
            return self.catalog.introduction(result)
        self.catalog.observe(result.get("tools"))
        try:
            return filtered(method, result, self._visible(params), self.catalog)
        except Denied as denied:
            meta = result.get("_meta")
            told = {**(meta if isinstance(meta, Mapping) else {}), DENIAL: envelope(denied)}
            return {**filtered(method, result, NOTHING, self.catalog), "_meta": told}

    def honors(self, params: Mapping[str, Any] | None) -> bool:
        """Return whether a request that needs no capability carries a good one, or is served by ours."""
        try:
            self._visible(params)
        except Denied:
            return False
        return True

    def _visible(self, params: Mapping[str, Any] | None) -> Visibility:
        return Visibility.of(self.guard, [one.capability for one in self._listing(params or {})])

    def _listing(self, params: Mapping[str, Any]) -> tuple[Presented, ...]:
        """Return what a request that lists presents: one capability, or a list of them, without a proof."""
        meta = params.get("_meta")
        tokens = meta.get(CAPABILITY) if isinstance(meta, Mapping) else None
        if not isinstance(tokens, list):
            return self._presented(params, http=False)
        if not (1 <= len(tokens) <= MAX_MEMBERS and all(isinstance(token, str) for token in tokens)):
            raise Denied(Reason.MALFORMED, f"the capabilities are not a list of 1 to {MAX_MEMBERS} strings")
        return tuple([Presented(token) for token in tokens])

    def _presented(self, params: Mapping[str, Any], *, http: bool) -> tuple[Presented, ...]:
        """Return a request's capability and proof, or the default toolbox's (step 2)."""
        meta = params.get("_meta")
        if meta is not None and not isinstance(meta, Mapping):
            raise Denied(Reason.MALFORMED, "the request's _meta is not an object")
        found = meta or {}
        token, proof = found.get(CAPABILITY), found.get(PROOF)
        if token is None:
            if self._default is None or proof is not None:
                raise Denied(Reason.NO_CAPABILITY)
            return tuple([one.unread() for one in self._default.present()])
        if not isinstance(token, str) or not (proof is None or isinstance(proof, str)):
            raise Denied(Reason.MALFORMED, "the capability or the proof is not a string")
        if http and proof is None and not self._bearer_over_http:
            raise Denied(
                Reason.NOT_HOLDER, "over HTTP a capability needs a holder, and each call the holder's proof"
            )
        return (Presented(token, None if proof is None else Proof.parse(proof)),)

    async def _recorded(self, denied: Denied, params: Mapping[str, Any], call: Call | None = None) -> Denied:
        """Return a refusal, once it is on record: `Guard.permit`, which records others, does not see it."""
        meta = params.get("_meta")
        token = meta.get(CAPABILITY) if isinstance(meta, Mapping) else None
        if token is None and self._default is not None:
            token = self._default.capabilities[0].token
        await self.guard.record_denial(denied, token if isinstance(token, str) else None, call)
        return denied

    def _decide(self, shown: tuple[Presented, ...], call: Call) -> None:
        """Decide, and nothing else; missing approvals are for the permit, which looks in the ledger."""
        try:
            decide_any(self.guard.settings, shown, call, None)
        except Denied as denied:
            if denied.reason is not Reason.NOT_APPROVED:
                raise

    async def _once(
        self,
        shown: tuple[Presented, ...],
        call: Call,
        proof: Proof,
        check: Callable[[Call], None] | None,
        method: str,
        decided: dict[str, Any],
        forward: Forward[R],
    ) -> R:
        """Forward a proved request once (steps 3 and 4)."""
        token = str(shown[0].capability)
        key = _fingerprint(token, proof, method, decided)
        known = self._replay_cache.find(key, self.guard.now())
        if known is not None:
            try:
                self._decide(shown, call)  # the proof must still be good
            except Denied as denied:
                await self.guard.record_denial(denied, token, call)
                raise
            found: R = await known.wait()
            return found
        answer = self._replay_cache.open(key, proof.time + PROOF_WINDOW + 1)
        try:
            result = await self._forwarded(shown, call, check, decided, forward)
            self._replay_cache.keep(key, answer, result)
        except BaseException:
            self._replay_cache.drop(key, answer)
            raise
        return result

    async def _forwarded(
        self,
        shown: tuple[Presented, ...],
        call: Call,
        check: Callable[[Call], None] | None,
        decided: dict[str, Any],
        forward: Forward[R],
    ) -> R:
        """Forward a request if it is permitted (step 3); an answer that is an error is recorded as a failure.

        Decides without a session, because nothing here keeps what the agent has seen.
        """
        try:
            async with PermittedBlock(enforcement(self.guard.settings, shown, None), call, check):
                try:
                    answer = await forward(decided)
                except RpcError as error:
                    if error.abandoned:
                        raise _AbandonedCallError(error) from None
                    raise
                if is_error(answer):
                    raise _ErrorResultError(answer)
                return answer
        except _ErrorResultError as error:
            found: R = error.args[0]
            return found
        except _AbandonedCallError as abandoned:
            raise abandoned.args[0] from None


class _ErrorResultError(Exception):
    """The server answers that it did not do what it was asked to; the argument is the answer."""


class _AbandonedCallError(BaseException):  # no Exception: the call was broken off, it has not failed
    """The client or the proxy stopped waiting: the call counts as cancelled, which gives nothing back."""


def is_error(answer: object) -> bool:
    """Return whether a result, or a message with a result, is an error of the protocol or of the tool."""
    if isinstance(answer, Mapping) and "jsonrpc" in answer:
        return "result" not in answer or is_error(answer["result"])
    if isinstance(answer, Mapping):
        return answer.get("isError") is True
    return getattr(answer, "is_error", None) is True


def _decided(params: dict[str, Any], call: Call, arguments: dict[str, Json]) -> dict[str, Any]:
    """Return the parameters with exactly the arguments that were decided on.

    They are parsed once more from the call's frozen bytes, for all that follows: nobody else has them. Null
    in their place is left out, because the protocol knows only an object there.
    """
    if call.resource.startswith("method:"):
        meta = {"_meta": params["_meta"]} if "_meta" in params else {}
        return {**arguments, **meta}
    if params.get("arguments") is not None:
        return {**params, "arguments": arguments}
    return {name: value for name, value in params.items() if name != "arguments"}


def _fingerprint(token: str, proof: Proof, method: str, params: dict[str, Any]) -> bytes:
    """Return a digest of everything that is forwarded, except the progress token."""
    rest = {key: value for key, value in params.items() if key != "_meta"}
    meta = {key: value for key, value in params.get("_meta", {}).items() if key not in _PROGRESS}
    text = json.dumps([rest, meta], sort_keys=True)
    return digest(_REQUEST, *(part.encode() for part in (token, proof.token, method, text)))


def _size(result: object) -> int:
    try:
        text = result.model_dump_json() if isinstance(result, BaseModel) else json.dumps(result)
    except Exception:  # a result that cannot be measured is not kept
        return 1 << 62
    return len(text)
