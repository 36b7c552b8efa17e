"""Find the checks in the source: each refusal that is raised, each statement that only checks, each step.

A check has a twin if some twin's source lacks it as it stands here: the refusal, or the condition that leads
to it, is another one there.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .twin import Twin

__all__ = ["CHECKED", "Check", "checks", "numbered", "without_twin"]

CHECKED = (
    "verify/verifier.py",
    "verify/attestations.py",
    "verify/charges.py",
    "tokens/admission.py",
    "ledger/transactions.py",
    "ledger/revocations.py",
    "guard/enforcement.py",
    "guard/invocation.py",
    "mcp/authorization/authorizer.py",
    "mcp/authorization/replay_cache.py",
    "mcp/authorization/requests.py",
)
"""Where a call is refused: the verifier, admission, the ledger, the guard's path of a call, and MCP."""

_REFUSAL = re.compile(r"(Denied|MalformedError|outside_profile|_unmet)\(")
_CHECKS = re.compile(r"(await )?([\w.]+\.)?(_?(re)?check\w*|_?validate|authorize|admit|_decide)\(")


class Check(NamedTuple):
    """One check: the function it is in, what leads to it, and the statement."""

    function: str
    condition: str
    statement: str

    def __str__(self) -> str:
        return f"{self.function}: if {self.condition}: {self.statement}"


def checks(source: str) -> Counter[Check]:
    """Return the checks of a module."""
    return Counter(_in(ast.parse(source).body, "", ""))


def without_twin(root: Path, file: str, twins: tuple[Twin, ...]) -> set[Check]:
    """Return the checks of a module that every twin has."""
    source = (root / file).read_text()
    all_of_them = checks(source)
    left = set(all_of_them)
    for twin in twins:
        text = source
        for edit in twin.edits:
            text = edit.made(text) if edit.file == file else text
        if text != source:
            there = checks(text)
            left = {check for check in left if there[check] == all_of_them[check]}
    return left


def numbered(source: str) -> list[int]:
    """Return the numbers of the steps that a module's docstring tells."""
    told = ast.get_docstring(ast.parse(source)) or ""
    return [int(number) for number in re.findall(r"^ *(\d+)\. ", told, re.MULTILINE)]


def _in(body: list[ast.stmt], function: str, condition: str) -> Iterator[Check]:
    before = ""  # what must not have returned, where no condition leads to a refusal
    for one in body:
        text = ast.unparse(one)
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _in(one.body, one.name, "")
        elif isinstance(one, ast.If):
            yield from _in(one.body, function, ast.unparse(one.test))
            yield from _in(one.orelse, function, f"not ({ast.unparse(one.test)})")
        elif isinstance(one, ast.Match):
            for case in one.cases:
                yield from _in(case.body, function, ast.unparse(case.pattern))
        elif isinstance(one, ast.Raise):
            if _REFUSAL.match(text.removeprefix("raise ")):
                yield Check(function, condition or before, text)
        elif isinstance(one, ast.Expr):
            if _CHECKS.match(text):
                yield Check(function, condition, text)
        else:
            for name in ("body", "orelse", "finalbody"):
                yield from _in(getattr(one, name, []), function, condition)
            for handler in getattr(one, "handlers", []):
                yield from _in(handler.body, function, ast.unparse(handler.type) if handler.type else "")
        before = text
