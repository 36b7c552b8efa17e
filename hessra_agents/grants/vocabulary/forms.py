"""Say what keeps a string from being a path, a URL or an email address, in words that mend the call.

A string that has no canonical form satisfies no constraint on its form, even where it seems to be what is
granted: ``/srv/data/`` for a path under ``/srv/data``. The words are ours, whatever the string is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from ...call.call import Call
from ...call.canonical import Json
from ...call.facts import fact
from ...call.places import find
from ..clauses import Clause

__all__ = ["faults_of_form"]

_Fault = tuple[str, Callable[[str], object]]


def faults_of_form(clauses: Iterable[Clause], call: Call) -> str:
    """Return what to change in a string at which these clauses fail, behind a comma; else nothing."""
    for clause in clauses:
        nested = clause.key[:1] == "/"
        value = find(call.values, clause.key)[0] if nested else call.values.get(clause.key)
        words = _fault(clause.fact, value)
        if words:
            return f", {words}"
    return ""


def _fault(predicate: str, value: Json) -> str:
    faults = _FAULTS.get(predicate)
    if faults is None or not isinstance(value, str) or fact(value, predicate) is not None:
        return ""
    return next((words for words, is_at_fault in faults if is_at_fault(value)), "in canonical form")


def _has(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


def _is_illegible(text: str) -> bool:
    return not re.sub(r"\s", " ", text).isprintable() or "\n" in text or "\t" in text


_UNUSUAL: list[_Fault] = [
    ("in Unicode's composed form (NFC)", lambda text: not unicodedata.is_normalized("NFC", text)),
    ("without control or invisible characters", _is_illegible),
]
_DOTS: list[_Fault] = [
    ("without '.' and '..' between slashes", _has(r"/\.\.?(?:[/?#]|$)")),
    ("without percent-encoded dots and slashes", _has(r"%(?:25)*(?:2[eEfF]|5[cC]|00)")),
]

_FAULTS: dict[str, list[_Fault]] = {
    "arg_path": [
        ("with a slash in front", lambda text: text[:1] != "/"),
        *_DOTS,
        ("without '//'", lambda text: "//" in text),
        ("without a slash at the end", lambda text: text[-1:] == "/"),
        ("without a backslash", lambda text: "\\" in text),
        ("without '~' at the beginning of a name", lambda text: "/~" in text),
        ("without blanks at the edges of a name", _has(r"/\s|\s/|\s$")),
        *_UNUSUAL,
    ],
    "arg_url": [
        ("with https:// or http:// in front", lambda text: not re.match("https?://", text, re.IGNORECASE)),
        ("with scheme and host in lower case", _has(r"^[^:]*[A-Z]|^[a-z]+://[^/?#]*[A-Z]")),
        ("without a user's name", _has(r"^[a-z]+://[^/?#]*@")),
        ("without '#' and what follows it", lambda text: "#" in text),
        ("with a host by name, not a number", _has(r"^[a-z]+://(?:\[|[0-9.]+(?:[:/?]|$))")),
        ("without xn-- in the host", _has(r"^[a-z]+://[^/?]*xn--")),
        ("without a dot at the end of the host", _has(r"^[a-z]+://[^/?:]*\.(?:[:/?]|$)")),
        *_DOTS,
        ("without '//' in the path", _has(r"^[a-z]+://[^?]*//")),
        ("with percent-encoding in capitals", _has(r"^[^?]*%(?:[0-9a-fA-F][a-f]|[a-f][0-9a-fA-F])")),
        (
            "without percent-encoding of letters, digits and '-._~'",
            _has(r"%(?:2[DE]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5F|7E)"),
        ),
        ("percent-encoded where a character is not allowed", _has(r"[^!-~]|[\[\]<>\"{}|\\^`]")),
    ],
    "arg_email": [
        ("one address alone, without a name or a list", _has(r"[\s,;<>\"()]")),
        ("with one @", lambda text: text.count("@") != 1),
        ("with the domain in lower case", _has(r"@.*[A-Z]")),
        ("without xn-- in the domain", lambda text: "xn--" in text),
        ("with a domain of letters, digits and hyphens", _has(r"@.*[^a-z0-9.-]")),
    ],
}
"""By predicate: what to say, and when; the first that fits is said."""
