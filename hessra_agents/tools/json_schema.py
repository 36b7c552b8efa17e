"""Write tool schemas for models: JSON Schema of the reachable tools, narrowed to what is granted.

A narrowed schema is a hint that spares a model refused calls. It protects nothing: the guard decides. If a
capability has several branches for a tool, an argument is narrowed only by what holds in all of them.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import Any

from ..grants.clauses import Branch, Clause, Pattern, Test, by_argument
from ..grants.describe import describe_clauses
from .tool import Tool

__all__ = ["SHAPES", "narrowed", "wrapped"]

SHAPES = ("openai", "openai-responses", "anthropic", "mcp")


def narrowed(schema: dict[str, Any], resource: str, patterns: Sequence[Pattern]) -> dict[str, Any]:
    """Return a copy of a schema of arguments, closed, and narrowed to what all these patterns grant."""
    schema = copy.deepcopy(schema)
    schema.setdefault("properties", {})
    opened = schema.get("additionalProperties", False)
    schema["additionalProperties"] = False
    for pattern in patterns:
        branches = [branch for branch in pattern if branch.resource == resource]
        if opened is not False:  # the schema allows any name: list the granted names
            for name in set[str]().union(*(_listed(branch) or () for branch in branches)):
                schema["properties"].setdefault(name, {} if opened is True else copy.deepcopy(opened))
        if branches:
            _narrow(schema, branches)
    for name, field in schema["properties"].items():
        _describe(field, [p for p in patterns if any(b.resource == resource for b in p)], resource, name)
        if name in schema.get("required", ()):
            field.pop("default", None)  # the function has one, and the capability wants to see the value
    if not schema.get("required"):
        schema.pop("required", None)
    return schema


def wrapped(provider: str, tool: Tool, parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the definition of a tool in the shape of a provider's API.

    Raises:
        ValueError: the provider is not one of `SHAPES`.
    """
    about = {"name": tool.name, "description": tool.description}
    if provider == "openai":
        return {"type": "function", "function": {**about, "parameters": parameters}}
    if provider == "openai-responses":
        return {"type": "function", **about, "parameters": parameters, "strict": False}
    if provider == "anthropic":
        return {**about, "input_schema": parameters}
    if provider == "mcp":
        return {**about, "inputSchema": parameters}
    raise ValueError(f"unknown provider; choose from {', '.join(SHAPES)}")


def _narrow(schema: dict[str, Any], branches: list[Branch]) -> None:
    properties, required = schema["properties"], set(schema.get("required", ()))
    closed = [_listed(branch) for branch in branches]
    if all(names is not None for names in closed):
        listed = set[str]().union(*(names or () for names in closed))
        for name in properties.keys() - listed:
            del properties[name]
    required |= set.intersection(*(_required(branch) for branch in branches))
    for name in properties:
        keywords = [_keywords(branch, name) for branch in branches]
        options = [option for option in keywords if option is not None]
        if options and all(option == options[0] for option in options[1:]):
            _join(properties[name], options[0])
        elif options and all(option.keys() <= {"const", "enum"} and option for option in options):
            values = [v for option in options for v in option.get("enum", [option.get("const")])]
            _join(properties[name], {"enum": list(dict.fromkeys(values))})
    schema["required"] = [name for name in properties if name in required]


def _describe(field: dict[str, Any], patterns: list[Pattern], resource: str, name: str) -> None:
    """Describe in words what no keyword expresses: addresses, URLs, commands, elements, results."""
    words: dict[str, None] = {}
    for pattern in patterns:
        ways = [by_argument(b.clauses).get(name, []) for b in pattern if b.resource == resource]
        if any(clause.fact in _WORDED for way in ways for clause in way):
            words[" or ".join(dict.fromkeys(describe_clauses(way) for way in ways if way))] = None
    if words:
        own = [field["description"]] if isinstance(field.get("description"), str) else []
        field["description"] = "; ".join([*own, *words])
    if field.get("type") == "array" and "maxLength" in field:
        field["maxItems"] = field.pop("maxLength")


_WORDED = {
    "arg_url",
    "arg_email",
    "arg_argv",
    "arg_scalar",
    "arg_paths",
    "arg_urls",
    "arg_emails",
    "arg_lens",
    "result_of",
    "results_of",
}


def _listed(branch: Branch) -> set[str] | None:
    """Return the argument names that may occur in a branch, or None if it allows any."""
    if not branch.closes:
        return None
    tests = [t for c in branch.clauses if c.fact == "arg_names" for t in c.tests]
    sets = [set(map(str, t.operand)) for t in tests if t.op == "in" and isinstance(t.operand, frozenset)]
    return set.intersection(*sets) - {str(t.operand) for t in tests if t.op == "lacks"}


def _required(branch: Branch) -> set[str]:
    by_name = {
        str(t.operand) for c in branch.clauses if c.fact == "arg_names" for t in c.tests if t.op == "has"
    }
    return by_name | {
        c.key for c in branch.clauses if c.key and not c.key.startswith("/") and c.fact != "arg_fields"
    }


def _keywords(branch: Branch, name: str) -> dict[str, Any] | None:
    """Return the JSON Schema keywords for one argument; None if the branch rules the argument out."""
    for clause in branch.clauses:
        if clause.fact == "arg_names" and any(t.op == "lacks" and t.operand == name for t in clause.tests):
            return None
    keywords: dict[str, Any] = {}
    for clause in branch.clauses:
        if clause.key == name:
            _join(keywords, _clause(clause))
    return keywords


def _clause(clause: Clause) -> dict[str, Any]:
    if clause.fact == "arg_null":
        return {"const": None} if clause.equal is True else {}
    if clause.equal is not None:
        return {"const": clause.equal} if clause.fact in ("arg_str", "arg_int", "arg_bool") else {}
    keywords: dict[str, Any] = {}
    for test in clause.tests:
        _join(keywords, _test(clause.fact, test))
    return keywords


def _test(fact: str, test: Test) -> dict[str, Any]:
    operand: Any = test.operand
    if fact in ("arg_str", "arg_int") and test.op == "in":
        return {"enum": sorted(operand)}
    if fact == "arg_int" and test.op in ("at_least", "at_most"):
        return {"minimum" if test.op == "at_least" else "maximum": operand}
    if fact == "arg_str" and test.op in ("starts", "ends"):
        text = re.escape(operand)
        return {"pattern": f"^{text}" if test.op == "starts" else f"{text}$"}
    if fact == "arg_path" and test.op == "starts" and operand[:1] == "/" and operand[-1:] == "/":
        return {"pattern": "^" + re.escape(operand.rstrip("/")) + "(/|$)"}
    if fact == "arg_len" and test.op == "at_most":
        return {"maxLength": operand}
    if fact in ("arg_strs", "arg_ints") and test.op == "in":
        return {"items": {"enum": sorted(operand)}}
    return {}


def _join(into: dict[str, Any], more: dict[str, Any]) -> None:
    """Require both: what one keyword cannot express goes to ``allOf``."""
    for keyword, value in more.items():
        if keyword not in into:
            into[keyword] = value
        elif keyword in ("maximum", "maxLength"):
            into[keyword] = min(into[keyword], value)
        elif keyword == "minimum":
            into[keyword] = max(into[keyword], value)
        elif keyword == "enum":
            into[keyword] = [choice for choice in into[keyword] if choice in value]
        elif into[keyword] != value:
            into.setdefault("allOf", []).append({keyword: value})
