"""Labels: what one may be called, and which ones a pattern means."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents.grants.labels import compound_label, is_label, label_matches, label_members, plain_label


@pytest.mark.parametrize("label", ["", "a&b", "&", "PII:*", "a\nb", "a\u200bb", "x" * 257, None, 5])
def test_a_declared_label_is_plain(label: object) -> None:
    """Not empty, no conjunction that nobody checked, no pattern, nothing that cannot be printed."""
    assert plain_label("PII:email") == "PII:email"
    with pytest.raises(ValueError, match="a label has"):
        plain_label(label)  # type: ignore[arg-type]


def test_a_compound_label_has_one_form() -> None:
    """Sorted, each member once, at least two."""
    assert compound_label("financial:acct", "PII:SSN", "PII:SSN") == "PII:SSN&financial:acct"
    assert label_members("PII:SSN&financial:acct") == ("PII:SSN", "financial:acct")
    for members in ((), ("a",), ("a", "a"), ("a", ""), ("a", "b&c")):
        with pytest.raises(ValueError, match="label"):
            compound_label(*members)
    assert is_label("a")
    assert is_label("a&b")
    assert not any(map(is_label, ("b&a", "a&a", "a&", "&", "", 5)))


MATCHES = [
    ("PII:*", "PII:email", True),
    ("PII:*", "PII:", True),
    ("PII:*", "PII", False),
    ("data:*", "data:https://host/a/b", True),
    ("*", "a/b:c&d", True),
    ("*/*", "a/b/c", True),
    ("*:email", "PII:email", True),
    ("*:email", "PII:email:work", False),
    ("a*b*c", "a-b-b-c", True),
    ("a*b*c", "a-c-b", False),
    ("ab*ba", "aba", False),
    ("*b*b", "b", False),
    ("**", "a", True),
    ("a?", "ab", False),
    ("a?", "a?", True),
    ("[ab]", "a", False),
    ("{a,b}", "a", False),
    ("!a", "b", False),
    ("pii:*", "PII:email", False),
    ("a.b", "axb", False),
    ("", "a", False),
]


@pytest.mark.parametrize(("pattern", "label", "means"), MATCHES)
def test_a_star_crosses_everything_and_nothing_else_is_special(pattern: str, label: str, means: bool) -> None:
    """Rules of other systems stop at a slash, and so miss what they were written for."""
    assert label_matches(pattern, label) is means


@given(st.text("ab/:*", max_size=6), st.text("ab/:", max_size=8))
def test_a_pattern_means_what_its_regular_expression_means(pattern: str, label: str) -> None:
    """With ``*`` for any characters and the rest for itself."""
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert label_matches(pattern, label) is (re.fullmatch(expression, label, re.DOTALL) is not None)
