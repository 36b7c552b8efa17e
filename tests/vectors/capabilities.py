"""Vectors of capabilities: a token, a call and what must be said of it; run by `make`."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hessra_agents import Call, Capability, grant, must
from hessra_agents.grants.grants import Grant, method, prompt
from tests.vectors import (
    choices,
    constrained,
    followed,
    keyed,
    limited,
    marked,
    refused,
    run,
    selected,
    vocabulary,
)
from tests.vectors.frozen import Frozen
from tests.vectors.material import AUTHORITY, HOUR, NOW, bearer, root_block
from tests.vectors.run import Row

__all__ = ["Capabilities", "freeze"]


class Capabilities(Frozen):
    """The file of capabilities."""

    def __init__(self, name: str, *, again: bool) -> None:
        super().__init__(name, again=again)

    def read(self, name: str) -> Capability:
        """A token of this file."""
        token = self.file["tokens"][name]
        return Capability.parse(token["token"], run.trust_of(self.file, token))

    def case(
        self,
        name: str,
        token: str,
        arguments: object,
        verdict: str = "permitted",
        *,
        engine: str = "",
        differs: str = "",
        tool: str = "t",
        prove: Callable[[Call], Row] | None = None,
        approve: Callable[[Call], list[Row]] | None = None,
        now: int = NOW,
        audience: str = "mail",
        takes: list[tuple[int, str]] | None = None,
        session: Row | None = None,
        **more: Any,
    ) -> None:
        """A call under a token of this file; see `Frozen.add`.

        ``takes`` is what it takes of which kinds of limits; ``session`` is what was seen, if anybody knows.
        """
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        case: Row = {"name": name, "token": token, "now": now, "audience": audience, "tool": tool}
        case |= {"session": session} if session is not None else {}

        def completed(case: Row) -> Row:
            call = run.call_of(case)
            case["digest"] = call.digest.hex()
            if prove:
                case["proof"] = prove(call)
            if approve:
                case["approvals"] = approve(call)
            if takes is not None:
                case["limits"] = run.limits(self.read(token), call)
                assert [(one["amount"], one["kind"]) for one in case["limits"]] == takes, name
            if session is not None:
                case["told"] = run.told(self.read(token), call, session)
            return case | {"authorizer": run.source(self.file, case)}

        self.add(case | {"arguments": text, **more}, completed, verdict, engine=engine, differs=differs)


def freeze(*, again: bool = False) -> tuple[Frozen, Frozen]:
    """Add to capabilities.json and capabilities-2.json what is not frozen yet."""
    second = Capabilities("capabilities-2", again=again)
    second.file["trust"]["authorities"] = {"root": AUTHORITY}
    for group in (choices.cases, vocabulary.cases, marked.cases):
        group(second)
    second.write()
    file = Capabilities("capabilities", again=again)
    own = (_names, constrained.cases, _optional, _attenuation, _places)
    for group in (*own, keyed.cases, refused.cases, limited.cases, followed.cases, selected.cases):
        group(file)
    file.write()
    return file, second


def _names(file: Capabilities) -> None:
    """Tools and argument names."""
    two = bearer(grant("t", a="1", b=must.anything()), grant("none"))
    file.token("two tools", "t(a: exactly '1', b: anything) and none()", lambda: two)
    file.case("every argument is named", "two tools", {"a": "1", "b": None})
    file.case("a tool without arguments", "two tools", {}, tool="none")
    file.case("an argument to a tool without any", "two tools", {"a": "1"}, "unnamed_argument", tool="none")
    file.case("an unnamed argument", "two tools", {"a": "1", "b": 2, "c": 3}, "unnamed_argument")
    file.case("a missing bound argument", "two tools", {"b": 2}, "missing_argument")
    file.case("a missing free argument", "two tools", {"a": "1"}, "missing_argument")
    file.case("another tool", "two tools", {"a": "1", "b": 2}, "not_granted", tool="u")
    file.case("another operation", "two tools", {}, "not_granted", tool="none", operation="read")
    file.case("a resource of a tool's name", "two tools", {}, "not_granted", tool="none", kind="prompt")
    file.token(
        "awkward names",
        "names and values that need care in a source text",
        lambda: bearer(
            grant('to"ol\\', {"user-id": 'say "hi"\\\n', "ключ": must.one_of("é", "\U0001f600"), "a~b c": 1})
        ),
    )
    odd = {"user-id": 'say "hi"\\\n', "ключ": "\U0001f600", "a~b c": 1}
    file.case("quotes, back slashes and letters of every script", "awkward names", odd, tool='to"ol\\')
    file.case("not normalised", "awkward names", odd | {"ключ": "e\u0301"}, "constraint", tool='to"ol\\')
    file.token(
        "no pattern",
        "a right and no check of arguments",
        lambda: root_block(
            'right("agent:desk", "tool:t", "invoke");'
            "check if resource($r), operation($o), right($s, $r, $o);"
            'check if time($t), $t < 1800003600; check if designation("anchor", "mail");'
        ),
    )
    file.case("no pattern, no arguments", "no pattern", {})
    file.case(
        "no pattern, an argument",
        "no pattern",
        {"x": 1},
        "unnamed_argument",
        engine="allow",
        differs="a first block without a pattern for a tool permits only the call without arguments",
    )
    file.token(
        "an operation",
        "a tool that may be read, and a resource",
        lambda: bearer(Grant("tool:t", "read", ()), Grant("resource:file:///a", "read", ())),
    )
    file.case("another operation than invoke", "an operation", {}, operation="read")
    file.case("invoke, where read is granted", "an operation", {}, "not_granted")
    file.case("a resource", "an operation", {}, tool="file:///a", kind="resource", operation="read")
    file.case(
        "a resource, another operation", "an operation", {}, "not_granted", tool="file:///a", kind="resource"
    )
    file.token(
        "objects of MCP",
        "a prompt and a method, each with its arguments",
        lambda: bearer(prompt("hello", name="bo"), method("acme/reindex", depth=must.at_most(3))),
    )
    hello: dict[str, Any] = {"tool": "hello", "kind": "prompt", "operation": "get"}
    reindex: dict[str, Any] = {"tool": "acme/reindex", "kind": "method", "operation": "call"}
    file.case("a prompt", "objects of MCP", {"name": "bo"}, **hello)
    file.case("a prompt, another argument", "objects of MCP", {"name": "eve"}, "constraint", **hello)
    file.case("a method", "objects of MCP", {"depth": 3}, **reindex)
    file.case("a method, too much", "objects of MCP", {"depth": 4}, "constraint", **reindex)
    file.case(
        "a method, called as a tool", "objects of MCP", {"depth": 3}, "not_granted", tool="acme/reindex"
    )


def _optional(file: Capabilities) -> None:
    """Arguments that may be left out."""
    file.token(
        "optional",
        "t(a: exactly 'x', b: may be left out or 'y', c: may be left out or anything)",
        lambda: bearer(grant("t", a="x", b=must.optional("y"), c=must.optional())),
    )
    file.case("both left out", "optional", {"a": "x"})
    file.case("one given", "optional", {"a": "x", "b": "y"})
    file.case("the free one given", "optional", {"a": "x", "c": [None]})
    file.case("both given", "optional", {"a": "x", "b": "y", "c": 1})
    file.case("given, and not allowed", "optional", {"a": "x", "b": "z"}, "constraint")
    file.case("given as null", "optional", {"a": "x", "b": None}, "constraint")
    file.case("only the optional one", "optional", {"b": "y"}, "missing_argument")
    six = {f"o{i}": must.optional(i) for i in range(6)}
    file.token("six optional", "t, each of six may be left out", lambda: bearer(grant("t", six)))
    file.case("none of six", "six optional", {})
    file.case("all of six", "six optional", {f"o{i}": i for i in range(6)})
    file.case("one of six is wrong", "six optional", {"o0": 0, "o5": 4}, "constraint")
    file.token(
        "two grants",
        "t(a: 'x', b: 'y') or t(a: 'z')",
        lambda: bearer(grant("t", a="x", b="y"), grant("t", a="z")),
    )
    file.case("the first grant", "two grants", {"a": "x", "b": "y"})
    file.case("the second grant", "two grants", {"a": "z"})
    file.case("grants do not mix", "two grants", {"a": "z", "b": "y"}, "unnamed_argument")


def _attenuation(file: Capabilities) -> None:
    """Blocks that anyone adds."""
    wide = bearer(
        grant(
            "t", to=must.email("acme.com"), body=must.max_length(10), cc=must.optional(must.email("acme.com"))
        ),
        grant("u", x=must.anything()),
    )
    file.token("wide", "t(to, body, cc may be left out) and u(x)", lambda: wide)
    wide = file.read("wide")
    file.token(
        "narrowed",
        "only t, to ana; body and cc as before",
        lambda: wide.attenuate(grant("t", to="ana@acme.com"), now=NOW),
    )
    mail = {"to": "ana@acme.com", "body": "hi"}
    file.case("before it was narrowed", "wide", mail | {"to": "bo@acme.com"})
    file.case("narrowed, allowed", "narrowed", mail)
    file.case("narrowed, the argument that it names", "narrowed", mail | {"to": "bo@acme.com"}, "constraint")
    file.case("narrowed, an earlier bound", "narrowed", mail | {"body": "12345678901"}, "constraint")
    file.case("narrowed, an optional argument", "narrowed", mail | {"cc": "bo@acme.com"})
    file.case("narrowed, a name that was never there", "narrowed", mail | {"x": 1}, "unnamed_argument")
    file.case("narrowed, a tool that it drops", "narrowed", {"x": 1}, "not_granted", tool="u")
    file.token(
        "narrowed thrice",
        "t to acme.com, then to ana, then without cc",
        lambda: (
            file.read("narrowed")
            .attenuate(grant("t", body=must.one_of("hi", "a longer text")), now=NOW)
            .attenuate(grant("t", cc=must.optional("ana@acme.com")), now=NOW)
        ),
    )
    file.case("narrowed thrice, allowed", "narrowed thrice", mail | {"cc": "ana@acme.com"})
    file.case(
        "narrowed thrice, a block that would widen",
        "narrowed thrice",
        mail | {"body": "a longer text"},
        "constraint",
    )
    file.case(
        "narrowed thrice, the last block", "narrowed thrice", mail | {"cc": "bo@acme.com"}, "constraint"
    )
    file.token(
        "widened",
        "t with '1', then t with '1' or '2', and u",
        lambda: bearer(grant("t", x="1")).attenuate(
            grant("t", x=must.one_of("1", "2")), grant("u", x=must.anything()), now=NOW
        ),
    )
    file.case("an added block does not widen a value", "widened", {"x": "2"}, "constraint")
    file.case("an added block does not add a tool", "widened", {"x": "2"}, "not_granted", tool="u")
    file.token("shorter", "wide, for a minute", lambda: wide.attenuate(ttl=timedelta(minutes=1), now=NOW))
    file.case("the last second", "shorter", mail, now=NOW + 59)
    file.case("the copy has expired", "shorter", mail, "expired", now=NOW + 60)
    file.case("the original has not", "wide", mail, now=NOW + 3599)
    file.case("the original has expired", "wide", mail, "expired", now=NOW + 3600)
    file.token(
        "longer", "wide, with an added block of two hours", lambda: wide.attenuate(ttl=2 * HOUR, now=NOW)
    )
    file.case("an added block does not prolong", "longer", mail, "expired", now=NOW + 3600)


def _places(file: Capabilities) -> None:
    """Audiences and other designations."""
    file.token("for mail", "t(), for the guard mail", lambda: bearer(grant("t")))
    file.case("the right guard", "for mail", {})
    file.case("another guard", "for mail", {}, "wrong_audience", audience="files")
    file.case("no prefix of a name", "for mail", {}, "wrong_audience", audience="mail:eu")
    file.token("for nobody", "t(), for no guard", lambda: bearer(grant("t"), audience=None))
    file.case(
        "no audience",
        "for nobody",
        {},
        "wrong_audience",
        engine="allow",
        differs="a guard refuses a capability that does not name it",
    )
    file.token(
        "for mail, later",
        "t(), for no guard, then for mail",
        lambda: file.read("for nobody").attenuate(audience="mail", now=NOW),
    )
    file.case(
        "an audience that was added",
        "for mail, later",
        {},
        "wrong_audience",
        engine="allow",
        differs="whom only a later block names its holder chose",
    )
    file.token(
        "for two",
        "t(), for mail, then for files",
        lambda: file.read("for mail").attenuate(audience="files", now=NOW),
    )
    file.case("two audiences at the first", "for two", {}, "wrong_audience")
    file.case("two audiences at the second", "for two", {}, "wrong_audience", audience="files")
    file.token(
        "for a tenant", "t(), for tenant acme", lambda: bearer(grant("t"), designations={"tenant": "acme"})
    )
    file.case("the right tenant", "for a tenant", {}, designations={"tenant": "acme"})
    file.case("another tenant", "for a tenant", {}, "wrong_audience", designations={"tenant": "evil"})
    file.case("a guard of no tenant", "for a tenant", {}, "wrong_audience")
    file.case(
        "a tenant's guard, and a capability for any",
        "for mail",
        {},
        "wrong_audience",
        engine="allow",
        differs="every designation that a guard stands for must be named by the capability",
        designations={"tenant": "acme"},
    )
    file.token("later", "t(), from a time on", lambda: bearer(grant("t"), not_before=NOW + 60))
    file.case("not yet", "later", {}, "not_yet_valid", now=NOW + 29)
    file.case("within a clock's difference", "later", {}, now=NOW + 30, moment=NOW + 60)
    file.case("from then on", "later", {}, now=NOW + 60)
