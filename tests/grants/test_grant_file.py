"""Grant files: every constraint of `must` can be written, and nothing else is read."""

from __future__ import annotations

import inspect
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents import Grant, PublicKey, approved_by, clear_of, from_result, grant, limit, must
from hessra_agents.grants.grant_file.reader import _READERS, read_conditions, read_grants
from hessra_agents.grants.grant_file.writer import GrantEntry, comment, exact, one_of, write_grants
from hessra_agents.grants.grants import method, prompt, resource
from hessra_agents.grants.joining import join
from hessra_agents.grants.vocabulary.constraints import Constraint
from tests.support.products import branches

SAME = {
    '"anything"': must.exact("anything"),
    "7": must.exact(7),
    "1.5": must.exact(1.5),
    "true": must.exact(True),
    "{ exact = 'fast' }": must.exact("fast"),
    "{ exact = ['a', 1] }": must.exact(["a", 1]),
    "{ exact = { a = 1 } }": must.exact({"a": 1}),
    "{ json = 'null' }": must.exact(None),
    "{ json = '{\"a\": [null, 1e300]}' }": must.exact({"a": [None, 1e300]}),
    "{ one_of = ['a', 'b'] }": must.one_of("a", "b"),
    "{ one_of = [1, 2] }": must.one_of(1, 2),
    "{ one_of = ['a', 1, { json = 'null' }] }": must.one_of("a", 1, None),
    "{ anything = true }": must.anything(),
    "{ optional = { anything = true } }": must.optional(),
    "{ optional = 'x' }": must.optional("x"),
    "{ optional = { at_least = 1, at_most = 9 } }": must.optional(must.at_least(1) & must.at_most(9)),
    "{ omitted = true }": must.omitted(),
    "{ nullable = { at_most = 5 } }": must.nullable(must.at_most(5)),
    "{ optional = { nullable = 'x' } }": must.optional(must.nullable("x")),
    "{ any_of = ['a', { at_most = 5 }, { json = 'null' }] }": (
        must.exact("a") | must.at_most(5) | must.exact(None)
    ),
    "{ any_of = ['a', 'b'], max_length = 5 }": (must.exact("a") | must.exact("b")) & must.max_length(5),
    "{ length = [1, 20] }": must.length(1, 20),
    "{ min_length = 2 }": must.min_length(2),
    "{ non_empty = true }": must.non_empty(),
    "{ under = { root = '/srv', ending = '.csv' } }": must.under("/srv", ending=".csv"),
    "{ directly_in = '/srv' }": must.directly_in("/srv"),
    "{ directly_in = { folder = '/srv', ending = '.csv' } }": must.directly_in("/srv", ending=".csv"),
    "{ relative = true }": must.relative(),
    "{ relative = 'reports' }": must.relative("reports"),
    "{ relative = { ending = '.csv' } }": must.relative(ending=".csv"),
    "{ relative = { under = 'reports', ending = '.csv' } }": must.relative("reports", ending=".csv"),
    "{ url = ['*.acme.com', 'acme.com'] }": must.url("*.acme.com", "acme.com"),
    "{ email = ['*.acme.com'] }": must.email("*.acme.com"),
    "{ ip_url = ['10.0.0.5', '::1'] }": must.ip_url("10.0.0.5", "::1"),
    "{ ip_url = { addresses = ['::1'], scheme = 'http', ports = [80, 8080], under = '/v1' } }": must.ip_url(
        "::1", scheme="http", ports=[80, 8080], under="/v1"
    ),
    "{ starts_with = 'Re: ' }": must.starts_with("Re: "),
    "{ ends_with = '.txt' }": must.ends_with(".txt"),
    "{ under = '/srv/data' }": must.under("/srv/data"),
    "{ between = [1, 100] }": must.between(1, 100),
    "{ at_least = -1 }": must.at_least(-1),
    "{ at_most = 5 }": must.at_most(5),
    "{ between = [0, 99.90] }": must.between(0, 99.9),
    "{ at_least = 0.5 }": must.at_least(Decimal("0.5")),
    "{ at_most = 1.0 }": must.number(high=1),
    "{ at_most = 123456789.123456789 }": must.at_most(Decimal("123456789.123456789")),
    "{ number = { above = 0, high = 500, places = 2 } }": must.number(above=0, high=500, places=2),
    "{ number = { low = 1e3, below = 1_000.5 } }": must.number(1000, below=1000.5),
    "{ date = { not_before = 2026-12-01, before = '2027-01-01' } }": must.date(
        not_before=date(2026, 12, 1), not_after=date(2026, 12, 31)
    ),
    "{ date = {} }": must.date(),
    "{ date = { after = 2026-12-01, not_after = 2026-12-05 } }": must.date(
        not_before="2026-12-02", not_after="2026-12-05"
    ),
    "{ instant = { not_before = 2026-12-01T10:00:00Z, before = '2026-12-01T12:00:00+01:00' } }": must.instant(
        not_before="2026-12-01T10:00:00Z", before="2026-12-01T11:00:00Z"
    ),
    "{ max_length = 2000 }": must.max_length(2000),
    "{ url = ['api.acme.com'] }": must.url("api.acme.com"),
    "{ url = { hosts = ['a.org'], scheme = 'http', ports = [8080], under = '/v1' } }": must.url(
        "a.org", scheme="http", ports=[8080], under="/v1"
    ),
    "{ email = ['acme.com', 'bo@b.org'] }": must.email("acme.com", "bo@b.org"),
    "{ command = { program = '/usr/bin/git' } }": must.command("/usr/bin/git"),
    "{ command = { program = '/bin/ls', words = ['-l', { under = '/srv' }], rest = { max_length = 9 } } }": (
        must.command("/bin/ls", "-l", must.under("/srv"), rest=must.max_length(9))
    ),
    "{ each = { under = '/srv' } }": must.each(must.under("/srv")),
    "{ each = { of = { at_most = 3 }, empty = true } }": must.each(must.at_most(3), empty=True),
    "{ each = { of = 'a', unique = true } }": must.each("a", unique=True),
    "{ each = { fields = { sku = { starts_with = 'b' }, note = { optional = 'x' } } } }": must.each(
        must.fields(sku=must.starts_with("b"), note=must.optional("x"))
    ),
    "{ mapping = {} }": must.mapping(),
    "{ mapping = { keys = { one_of = ['a'] }, values = { at_most = 3 }, at_most = 2 } }": must.mapping(
        keys=must.one_of("a"), values=must.at_most(3), at_most=2
    ),
    "{ subset_of = ['a', 'b'] }": must.subset_of("a", "b"),
    "{ subset_of = { values = [1, 2], empty = true } }": must.subset_of(1, 2, empty=True),
    "{ fields = { force = false, 'odd name' = { at_most = 3 } } }": must.fields(
        {"force": False, "odd name": must.at_most(3)}
    ),
    "{ from_result = { tool = 'find', path = '$[*].id' } }": from_result("find", "$[*].id"),
    "{ from_result = { tool = 'find', path = '$.a', where = { n = 'x', m = { json = 'null' } } } }": (
        from_result("find", "$.a", where={"n": "x", "m": None})
    ),
    "{ from_result = { tool = 'find', path = '$', starts = { '@' = 'y' } } }": (
        from_result("find", "$", starts_with={"@": "y"})
    ),
    "{ from_result = { tool = 'find', path = '$.a', largest = 'n', unique = true, untrusted = true } }": (
        from_result("find", "$.a", largest="n", unique=True, untrusted=True)
    ),
    "{ each = { from_result = { tool = 'find', path = '$[*]', smallest = '@' } } }": must.each(
        from_result("find", "$[*]", smallest="@")
    ),
    "{ matches = '[A-Z]{2}-[0-9]{1,6}' }": must.matches("[A-Z]{2}-[0-9]{1,6}"),
    "{ contains = 'acme' }": must.contains("acme"),
    "{ hex = ['AB12'] }": must.hex("ab12"),
    "{ host = ['Api.acme.com'] }": must.host("api.acme.com"),
    "{ same_as = '/order/owner' }": must.same_as("/order/owner"),
    "{ not_one_of = [1, 2] }": must.not_one_of(1, 2),
    "{ not_one_of = { values = ['a'], free_text = true } }": must.not_one_of("a", free_text=True),
    "{ command_line = { program = '/bin/ls', words = ['-l'], rest = { max_length = 9 } } }": (
        must.command_line("/bin/ls", "-l", rest=must.max_length(9))
    ),
    "{ starts_with = 'a', max_length = 5 }": must.starts_with("a") & must.max_length(5),
}


def granted(constraint: str) -> Grant:
    """The grant of a file with one argument."""
    (found,) = read_grants(f"[[grant]]\ntool = 't'\narguments.x = {constraint}\n")
    return found


@pytest.mark.parametrize("text", SAME)
def test_a_constraint_in_a_file_is_the_one_of_the_same_name(text: str) -> None:
    """The file and the library write the same clauses into a token."""
    expected = grant("t", x=SAME[text])

    assert branches(granted(text), closed=True) == branches(expected, closed=True)


def test_every_constraint_has_a_word() -> None:
    """A new member of `must` without a word in grant files fails here."""
    names = {
        name
        for name, member in inspect.getmembers(must, inspect.isfunction)
        if inspect.signature(member).return_annotation in ("Constraint", Constraint)
    }

    assert names == _READERS.keys() - {"json", "from_result", "any_of"}


def test_each_table_is_one_grant() -> None:
    """One tool may have several, and a tool without arguments is one, too."""
    found = read_grants('[[grant]]\ntool="a"\n[[grant]]\ntool="a"\n[grant.arguments]\nx=1\n')

    assert list(map(str, found)) == ["a()", "a(x: exactly 1)"]


def test_what_else_a_server_offers_is_granted_by_its_kind() -> None:
    """A resource to read, a prompt to get, any other method to call."""
    found = read_grants(
        "[[grant]]\nresource = 'file:///a'\n[[grant]]\nprompt = 'p'\narguments.x = 1\n"
        "[[grant]]\nmethod = 'v/reindex'\narguments.full = true\n"
        "[[grant]]\nresource = 'crm://customers/{id}'\narguments.id = { matches = '[0-9]{1,8}' }"
    )
    template = resource("crm://customers/{id}", id=must.matches("[0-9]{1,8}"))
    expected = (resource("file:///a"), prompt("p", x=1), method("v/reindex", full=True), template)

    assert [(one.resource, one.operation) for one in found] == [
        ("resource:file:///a", "read"),
        ("prompt:p", "get"),
        ("method:v/reindex", "call"),
        ("resource:crm://customers/{id}", "read"),
    ]
    assert join(found, closed=True) == join(expected, closed=True)


ANA, BO = (PublicKey.parse(f"ed25519/{digit * 64}") for digit in "ab")  # they are in the ids of tests
CONDITIONS = {
    "[[limit]]\ncalls = 5": limit(calls=5),
    "[[limit]]\ncalls = 3\nper = '1h30m'\nof = ['pay', 'read']\nrefund = true": limit(
        calls=3, per=timedelta(minutes=90), tools=["pay", "read"], refund=True
    ),
    "[[limit]]\nsum_of = 'amount'\nat_most = 5000\nper = '1d'\nrefund = false": limit(
        sum_of="amount", at_most=5000, per=timedelta(days=1)
    ),
    "[[limit]]\nsum_of = 'amount'\nat_most = 5000.00": limit(sum_of="amount", at_most=5000, places=2),
    "[[limit]]\nsum_of = 'amount'\nat_most = 5000\nplaces = 2": limit(
        sum_of="amount", at_most=Decimal("5000.00")
    ),
    "[[limit]]\nsum_of = '/order/amount'\nat_most = 1": limit(sum_of="/order/amount", at_most=1),
    "[[limit]]\ncalls = 5\nbudget = 'team:eu'": limit(calls=5, budget="team:eu"),
    f"[[approval]]\nkeys = ['{ANA}']": approved_by(ANA),
    f"[[approval]]\nkeys = ['{ANA}', '{BO}']\nneed = 2\nof = ['pay']": approved_by(
        ANA, BO, need=2, tools="pay"
    ),
    f"[[approval]]\nkeys = ['{ANA}']\nunless = {{ cents = {{ at_most = 9999 }} }}": approved_by(
        ANA, unless={"cents": must.at_most(9999)}
    ),
    "[[clear]]\nlabels = ['PII:*']": clear_of("PII:*"),
    "[[clear]]\nlabels = ['a', 'untrusted']\nof = ['pay']": clear_of("a", "untrusted", tools="pay"),
}


@pytest.mark.parametrize("text", CONDITIONS)
def test_limits_and_approvals_are_those_of_the_library(text: str) -> None:
    """Alone, for an attenuation, or beside grants."""
    assert read_conditions(text) == (CONDITIONS[text],)
    assert read_conditions(f"{text}\n[[grant]]\ntool = 'pay'") == (grant("pay"), CONDITIONS[text])
    with pytest.raises(
        ValueError, match="the file: has limits, approvals or labels: only grants are allowed here"
    ):
        read_grants(f"{text}\n[[grant]]\ntool = 'pay'")


WRONG_CONDITIONS = {
    "[limit]\ncalls = 5": "the file: limit: begin each table with [[limit]]",
    "approval = 5": "the file: approval: begin each table with [[approval]]",
    "limit = []": "the file: has no grant",
    "[[limits]]\ncalls = 5": "the file: unknown field 'limits', did you mean 'limit'?",
    "[[limit]]": "limit 1: a limit needs calls=, or sum_of= with at_most=",
    "[[limit]]\ncalls = 1\n[[limit]]\ncalls = 0": "limit 2: a limit must be an integer of at least 1",
    "[[limit]]\ncalls = '5'": "limit 1: calls: must be an integer",
    "[[limit]]\ncalls = true": "limit 1: calls: must be an integer",
    "[[limit]]\ncalls = 5.0": "limit 1: calls: must be an integer",
    "[[limit]]\ncalls = 5\nat_most = 5": "limit 1: a limit needs calls=, or sum_of= with at_most=",
    "[[limit]]\nsum_of = 5\nat_most = 5": "limit 1: sum_of: must be a string",
    "[[limit]]\nsum_of = 'a'\nat_most = '5.00'": "limit 1: at_most: must be a number",
    "[[limit]]\nsum_of = 'a'\nat_most = 5\nplaces = 2.0": "limit 1: places: must be an integer",
    "[[limit]]\nsum_of = 'a'\nat_most = 5\nplaces = 10": "limit 1: places must be an integer from 0 to 9",
    "[[limit]]\nsum_of = 'a'\nat_most = 5.001\nplaces = 2": "limit 1: at_most must have at most 2 decimal",
    "[[limit]]\nsum_of = 'a'\nat_most = 5e3": "limit 1: say how many decimal places",
    "[[limit]]\nsum_of = 'a'\nat_most = inf": "limit 1: at_most must be a finite number",
    "[[limit]]\ncalls = 5\nplaces = 2": "limit 1: places are those of a sum",
    "[[limit]]\nsum_of = '/a'\nat_most = 5": "limit 1: sum_of must be an argument's name, or a pointer",
    "[[limit]]\ncalls = 5\nper = 60": "limit 1: per: must be a string",
    "[[limit]]\ncalls = 5\nper = '60'": "limit 1: per: not a duration",
    "[[limit]]\ncalls = 5\nper = '0s'": "limit 1: a window must be of whole seconds",
    "[[limit]]\ncalls = 5\nof = 'pay'": "limit 1: of: must be a list",
    "[[limit]]\ncalls = 5\nof = []": "limit 1: name at least one tool",
    "[[limit]]\ncalls = 5\nof = [7]": "limit 1: of: must be a string",
    "[[limit]]\ncalls = 5\nrefund = 1": "limit 1: refund: must be true or false",
    "[[limit]]\ncalls = 5\nbudget = 5": "limit 1: budget: must be a string",
    "[[limit]]\ncalls = 5\nbudget = 'a b'": "limit 1: a budget's name is 1 to 64 of",
    "[[limit]]\ncall = 5": "limit 1: unknown field 'call', did you mean 'calls'?",
    "[[approval]]": "approval 1: keys: must be a list",
    f"[[approval]]\nkeys = ['{ANA}']\nunless = 5": "approval 1: unless: must be a table",
    f"[[approval]]\nkeys = ['{ANA}']\nunless = {{}}": "approval 1: unless must name an argument",
    f"[[approval]]\nkeys = ['{ANA}']\nunless = {{ a = {{ at_mst = 1 }} }}": "approval 1: unless: a: unknown",
    "[[approval]]\nkeys = []": "approval 1: give 1 to 16 keys of approvers",
    "[[approval]]\nkeys = ['ana']": "approval 1: keys: ",
    f"[[approval]]\nkeys = ['secp256r1/02{'a' * 64}']": "approval 1: keys: ",
    f"[[approval]]\nkeys = '{ANA}'": "approval 1: keys: must be a list",
    f"[[approval]]\nkeys = ['{ANA}', '{ANA}']": "approval 1: give 1 to 16 keys of approvers, all different",
    f"[[approval]]\nkeys = ['{ANA}']\nneed = 2": "approval 1: need must be the number of approvals, 1 to 1",
    f"[[approval]]\nkeys = ['{ANA}']\nneed = '1'": "approval 1: need: must be an integer",
    f"[[approval]]\nkey = ['{ANA}']": "approval 1: unknown field 'key', did you mean 'keys'?",
    "[[clear]]": "clear 1: labels: must be a list",
    "[[clear]]\nlabels = []": "clear 1: give at least one label",
    "[[clear]]\nlabels = 'PII:*'": "clear 1: labels: must be a list",
    "[[clear]]\nlabels = ['']": "clear 1: ",
    "[[clear]]\nlabels = ['a']\nof = 'pay'": "clear 1: of: must be a list",
    "[[clear]]\nlabel = ['a']": "clear 1: unknown field 'label', did you mean 'labels'?",
}


@pytest.mark.parametrize("text", WRONG_CONDITIONS, ids=range(len(WRONG_CONDITIONS)))
def test_a_mistake_in_a_condition_names_its_place(text: str) -> None:
    """A limit that was not understood is never omitted."""
    with pytest.raises(ValueError) as caught:
        read_conditions(text)

    assert str(caught.value).startswith(WRONG_CONDITIONS[text])


FOLLOWS = "[[grant]]\ntool = 't'\narguments.x = {{ from_result = {{ {} }} }}"
WRONG = {
    "": "the file: has no grant",
    "grant = []": "the file: has no grant",
    "grants = []": "the file: unknown field 'grants', did you mean 'grant'?",
    "[[grant": "this is not TOML",
    "\ufeff[[grant]]": "the file begins with a byte order mark",
    "[[grant]]": "grant 1: must have exactly one of tool, resource, prompt, method",
    "[[grant]]\ntool = 't'\nprompt = 'p'": "grant 1: must have exactly one of tool, resource, prompt, method",
    "[[grant]]\ntool = 7": "grant 1: tool: must be a string",
    "[[grant]]\nresource = ''": "grant 1: resource: must be a string of 1 to 256 characters",
    "[[grant]]\nresource = 'a:b'\narguments.x = 1": "grant 1 (a:b): a constraint for each variable",
    "[[grant]]\nresource = 'a:{b}'": "grant 1 (a:{b}): a constraint for each variable",
    "[[grant]]\nresource = 'a://*'": "grant 1 (a://*): a URI with '*' matches no other",
    "[[grant]]\nprompts = 'p'": "grant 1: unknown field 'prompts', did you mean 'prompt'?",
    "[[grant]]\nprompt = 'p'\narguments.x = []": "grant 1 (p): x: a list alone is unclear",
    FOLLOWS.format("tool = 'f'"): "grant 1 (t): x.from_result.path: must be a string",
    FOLLOWS.format("path = '$'"): "grant 1 (t): x.from_result.tool: must be a string",
    FOLLOWS.format("tool = 'f', path = '$[?@.a]'"): "grant 1 (t): x.from_result: a path consists of names",
    FOLLOWS.format("tool = 'f', path = '$.a', were = { n = 1 }"): (
        "grant 1 (t): x.from_result: unknown field 'were', did you mean 'where'?"
    ),
    FOLLOWS.format(
        "tool = 'f', path = '$.a', where = { n = [1] }"
    ): "grant 1 (t): x.from_result: where compares",
    FOLLOWS.format(
        "tool = 'f', path = '$.a', starts = { n = 1 }"
    ): "grant 1 (t): x.from_result.starts.n: must be a string",
    FOLLOWS.format(
        "tool = 'f', path = '$.a', where = 5"
    ): "grant 1 (t): x.from_result.where: must be a table",
    FOLLOWS.format(
        "tool = 'f', path = '$.a', unique = 1"
    ): "grant 1 (t): x.from_result.unique: must be true or false",
    "[[grant]]\ntool = ''": "grant 1: tool: must be a string of 1 to 256 characters",
    "[grant]\ntool = 't'": "the file: grant: begin each table with [[grant]]",
    "[[grant]]\ntool = 't'\ntools = 1": "grant 1: unknown field 'tools', did you mean 'tool'?",
    "[[grant]]\ntool = 't'\narguments = 3": "grant 1 (t): arguments: must be a table",
    "[[grant]]\ntool='a'\n[[grant]]\ntool='b'\narguments.'/x'=1": "grant 2 (b): an argument's name",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_in_a_file_names_its_place(text: str) -> None:
    """What is not known is an error, never ignored."""
    with pytest.raises(ValueError) as caught:
        read_grants(text)

    assert str(caught.value).startswith(WRONG[text])


WRONG_CONSTRAINTS = {
    "{ matches = 'a+' }": "x.matches: must.matches takes at most",
    "{ hex = 'ab' }": "x.hex: must be a list",
    "{ same_as = 1 }": "x.same_as: must be a string",
    "{ not_one_of = { values = [1], free = true } }": "x.not_one_of: unknown field 'free', did you mean",
    "{ command_line = { program = '/bin/ls', words = ['a b'] } }": "x.command_line: must.command_line takes",
    "['a']": "x: a list alone is unclear: write { one_of = [...] } or { exact = [...] }",
    "{ CHOOSE = 'a string' }": "x: not decided yet: write a constraint in place of CHOOSE",
    "{ optional = { CHOOSE = 'a string' } }": "x.optional: not decided yet",
    "{}": "x: an empty table: write { anything = true } for any value",
    "{ emial = ['a.org'] }": "x: unknown constraint 'emial', did you mean 'email'?",
    "{ zzz = 1 }": "x: unknown constraint 'zzz'; choose from any_of, anything",
    "2026-01-01": "x: a date or a time must be written as a string, in quotes",
    "{ exact = { at = [12:00:00] } }": "x.exact: a date or a time",
    "nan": "x: a constraint cannot hold this value",
    "{ anything = false }": "x.anything: must be written anything = true",
    "{ optional = { anything = 1 } }": "x.optional.anything: must be written anything = true",
    "{ optional = { optional = 1 } }": "x.optional: must.optional takes what a value must be",
    "{ optional = 1, at_most = 3 }": "x: optional must stand alone",
    "{ between = [1] }": "x.between: must be two numbers",
    "{ between = 1 }": "x.between: must be a list",
    "{ between = [1.5, 1] }": "x.between: there is no such value: a number from 1.5 to 1",
    "{ between = [0, nan] }": "x.between: high must be a finite number",
    "{ number = 5 }": "x.number: must be a table",
    "{ number = { low = '5' } }": "x.number.low: must be a number",
    "{ number = { low = 1, places = true } }": "x.number.places: must be an integer",
    "{ number = { least = 1 } }": "x.number: unknown field 'least'",
    "{ number = { low = 0.0000000001 } }": "x.number: low must have at most 9 decimal places",
    "{ date = 2026-12-01 }": "x.date: must be a table",
    "{ date = { before = 2026-12-01T10:00:00Z } }": "x.date: must.date takes dates",
    "{ date = { before = '2026-02-30' } }": "x.date: must.date takes dates",
    "{ date = { before = [2026] } }": "x.date: must.date takes dates",
    "{ instant = { before = 2026-12-01 } }": "x.instant: must.instant takes datetimes with a time zone",
    "{ instant = { before = 2026-12-01T10:00:00 } }": "x.instant: must.instant takes datetimes",
    "{ instant = { before = 10:00:00 } }": "x.instant: must.instant takes datetimes",
    "{ between = [9, 1] }": "x.between: must.between: low is above high",
    "{ between = [1, '9'] }": "x.between: must be a number",
    "{ at_least = true }": "x.at_least: must be a number",
    "{ starts_with = '' }": "x.starts_with: the prefix must be a string",
    "{ under = 'srv' }": "x.under: a folder must be a canonical absolute path",
    "{ under = { ending = '.csv' } }": "x.under.root: must be a string",
    "{ under = { root = '/srv', depth = 1 } }": "x.under: unknown field 'depth'",
    "{ directly_in = ['/srv'] }": "x.directly_in.folder: must be a string",
    "{ relative = false }": "x.relative.under: must be a string",
    "{ relative = {} }": "x.relative: an empty table: write relative = true",
    "{ relative = '../a' }": "x.relative: must.relative takes a canonical relative path",
    "{ omitted = false }": "x.omitted: must be written omitted = true",
    "{ omitted = true, max_length = 3 }": "x: omitted must stand alone",
    "{ nullable = 'a', max_length = 3 }": "x: nullable must stand alone: write { nullable = { ... } }",
    "{ nullable = {} }": "x.nullable: an empty table",
    "{ any_of = ['a'] }": "x.any_of: must be a list of two constraints or more",
    "{ any_of = 'a' }": "x.any_of: must be a list",
    "{ any_of = ['a', { optional = 'b' }] }": "x.any_of: an optional argument cannot be joined with '|'",
    "{ any_of = ['a', { zzz = 1 }] }": "x.any_of.2: unknown constraint 'zzz'",
    "{ length = 5 }": "x.length: must be two integers",
    "{ length = [5, 1] }": "x.length: must.length: low is above high",
    "{ non_empty = 1 }": "x.non_empty: must be written non_empty = true",
    "{ ip_url = { hosts = ['::1'] } }": "x.ip_url: unknown field 'hosts'",
    "{ ip_url = ['a.org'] }": "x.ip_url: a URL takes hosts in their canonical form",
    "{ one_of = 'a' }": "x.one_of: must be a list",
    "{ one_of = [] }": "x.one_of: must.one_of takes at least one value",
    "{ one_of = [['a']] }": "x.one_of: must.one_of takes at least one value",
    "{ json = '{' }": "x.json: not JSON text",
    "{ json = 1 }": "x.json: must be a string",
    "{ email = 'acme.com' }": "x.email: must be a list",
    "{ email = [5] }": "x.email: must be a string",
    "{ email = ['ACME'] }": "x.email: must.email takes",
    "{ url = 'a.org' }": "x.url.hosts: must be a list",
    "{ url = { host = ['a.org'] } }": "x.url: unknown field 'host', did you mean 'hosts'?",
    "{ url = { hosts = ['a.org'], ports = ['80'] } }": "x.url.ports: must be an integer",
    "{ url = { hosts = ['a.org'], ports = 80 } }": "x.url.ports: must be a list",
    "{ each = { optional = 1 } }": "x.each: what every element must be is neither optional nor a choice",
    "{ each = { of = 1, unique = 'yes' } }": "x.each.unique: must be true or false",
    "{ mapping = { keys = 'a', at_most = '3' } }": "x.mapping.at_most: must be an integer",
    "{ mapping = { at_most = -1 } }": "x.mapping: must.mapping does not take a negative number",
    "{ mapping = { key = 'a' } }": "x.mapping: unknown field 'key', did you mean 'keys'?",
    "{ mapping = { values = { optional = 1 } } }": "x.mapping: what every element must be is neither",
    "{ mapping = { values = [1] } }": "x.mapping.values: a list alone is unclear",
    "{ each = { of = 1, or = 2 } }": "x.each: unknown field 'or'",
    "{ each = { of = 1, empty = 1 } }": "x.each.empty: must be true or false",
    "{ each = ['a'] }": "x.each: a list alone is unclear",
    "{ fields = { a = { b = 1 } } }": "x.fields.a: unknown constraint 'b'",
    "{ fields = { 'odd name' = [] } }": "x.fields.'odd name': a list alone is unclear",
    "{ fields = 'a' }": "x.fields: must be a table",
    "{ command = { words = [] } }": "x.command.program: must be a string",
    "{ command = { program = 'git' } }": "x.command: must.command takes the canonical absolute path",
    "{ command = '/bin/ls' }": "x.command: must be a table",
}


@pytest.mark.parametrize("text", WRONG_CONSTRAINTS)
def test_a_mistake_in_a_constraint_names_its_place(text: str) -> None:
    """Grant, tool, argument, and the way down to the fault."""
    with pytest.raises(ValueError) as caught:
        granted(text)

    assert str(caught.value).startswith(f"grant 1 (t): {WRONG_CONSTRAINTS[text]}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 100_000, "x = " + "{a=" * 50_000, "#" * (1 << 18) + "#", "x = " + "9" * 5_000],
    ids=["nested lists", "nested tables", "too long", "too many digits"],
)
def test_a_file_that_is_too_much_is_refused(text: str) -> None:
    """Neither depth nor length nor digits bring the reader down."""
    with pytest.raises(ValueError):
        read_grants(text)


@given(st.one_of(st.text(), st.text(alphabet="[]{}=.,'\"\n grantoluxe_019-")))
def test_whatever_a_file_says_it_is_grants_or_a_value_error(text: str) -> None:
    """The reader is total."""
    with suppress(ValueError):
        assert read_grants(text)


texts = st.text(st.characters(exclude_categories=["Cs"]))
json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
names = texts.filter(lambda name: name and name[0] != "/")


@given(names, st.dictionaries(names, json, max_size=4), texts)
def test_what_is_written_is_what_is_read(name: str, arguments: dict[str, Any], words: str) -> None:
    """Names and values of any kind; notes, whatever they say, stay in their comment."""
    entry = GrantEntry(
        "tool",
        name,
        {one: exact(value) for one, value in arguments.items()},
        about=words,
        notes=dict.fromkeys(arguments, words),
        omitted={f"{words}, not granted": words},
    )

    (found,) = read_grants(write_grants([entry], head=[words]))

    assert branches(found, closed=True) == branches(grant(name, arguments), closed=True)


@given(st.lists(json.filter(lambda value: not isinstance(value, (list, dict))), min_size=1, max_size=5))
def test_a_choice_is_read_as_it_is_written(values: list[Any]) -> None:
    """Null and numbers among them."""
    (found,) = read_grants(write_grants([GrantEntry("prompt", "p", {"x": one_of(values)})]))

    assert branches(found, closed=True) == branches(prompt("p", x=must.one_of(*values)), closed=True)


@pytest.mark.parametrize(
    "words", ["a\ntool = 'b'", "a\r[[grant]]", "a\u2028b", "a\x1b[2J", "\u202egrant", "\x00"]
)
def test_a_comment_is_one_line_of_what_can_be_seen(words: str) -> None:
    """Nothing ends it, hides in it, or moves a terminal's cursor."""
    assert comment(words).isprintable()
    assert comment("x" * 10_000).endswith("x (and 9500 more characters)")


def test_a_grant_file_is_written_to_be_read() -> None:
    """This is how it looks."""
    entry = GrantEntry(
        "tool",
        "read file",
        {"path": {"under": "/srv"}, "odd name": one_of(["a", None])},
        about="what it does",
        notes={"path": "wider than what was seen"},
        omitted={"all": True},
    )

    assert write_grants([entry], head=["from a session"]) == (
        "# from a session\n"
        '\n[[grant]]\n# what it does\ntool = "read file"\n[grant.arguments]\n'
        "# wider than what was seen\n"
        'path = { under = "/srv" }\n'
        '"odd name" = { one_of = ["a", { json = "null" }] }\n'
        "# all = true\n"
    )
