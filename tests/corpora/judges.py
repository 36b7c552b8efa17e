"""Judge each corpus: how many of its cases there are, what the guard makes of them, and what contradicts.

A judge returns a `Verdict`. Its ``contradictions`` are cases in which the guard does what the corpus rules
out; the suite holds them to be empty. What is refused beyond that is counted, and said in the table.
"""

from __future__ import annotations

import json
import posixpath
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]
from jsonschema.exceptions import UnknownType  # type: ignore[import-untyped]
from referencing.exceptions import Unresolvable

from hessra_agents import Authority, Denied, Guard, PublicKey, grant, must
from hessra_agents.call.call import Call
from hessra_agents.call.canonical import MalformedError, parse
from hessra_agents.call.formats import path, url
from hessra_agents.grants.clauses import Pattern
from hessra_agents.grants.provenance import Selector
from hessra_agents.tools.input_schema.input_schema import InputSchema
from tests.support.bounded import Unbounded, bounded
from tests.support.products import branches

from .archives import CORPORA

__all__ = ["JUDGES", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What became of the cases of one corpus.

    ``held`` is the law in words, and ``found`` the counts in words.
    """

    cases: int
    held: str
    found: str
    contradictions: list[str]


def json_texts() -> Verdict:
    """Read every text of the suite as the arguments of a call are read."""
    seen: Counter[tuple[str, bool]] = Counter()
    refused: list[str] = []
    contradictions: list[str] = []
    for name, text in CORPORA["json-test-suite"].files(".json", "test_parsing/"):
        title = name.rpartition("/")[2]
        try:
            parse(text)
            read = True
        except MalformedError:
            read = False
        seen[title[0], read] += 1
        if title[0] == "y" and not read:
            refused.append(title)
        if title[0] == "n" and read:
            contradictions.append(title)
    # an object that has a name twice is valid JSON with two readings
    contradictions += [title for title in refused if not title.startswith("y_object_duplicated_key")]
    found = (
        f"{seen['n', False]} of {seen['n', False] + seen['n', True]} invalid texts refused; "
        f"{seen['y', True]} of {seen['y', True] + seen['y', False]} valid ones read, the other "
        f"{len(refused)} have a name twice; {seen['i', True]} of {seen['i', True] + seen['i', False]} that "
        "parsers may treat either way are read"
    )
    return Verdict(seen.total(), "no invalid text is read", found, contradictions)


def json_paths() -> Verdict:
    """Follow every query of the suite that is a path of names, indices and ``[*]``."""
    tests = CORPORA["jsonpath-compliance"].json("cts.json")["tests"]
    seen: Counter[str] = Counter()
    contradictions = []
    for test in tests:
        try:
            selector = Selector(test["selector"])
        except ValueError:
            seen["invalid" if test.get("invalid_selector") else "outside"] += 1
            continue
        seen["read"] += 1
        # an object's members have no order, so some queries have several results
        results = test["results"] if "results" in test else [test.get("result")]
        if test.get("invalid_selector") or selector.values(test["document"]) not in results:
            contradictions.append(test["name"])
    found = (
        f"{seen['read']} queries are in the profile and select what they should; "
        f"{seen['invalid']} invalid ones refused; {seen['outside']} with slices, filters, functions "
        "or descendants refused as outside of it"
    )
    return Verdict(len(tests), "no invalid query is read, no result differs", found, contradictions)


def urls() -> Verdict:
    """Compare what a URL is to the guard with what it is to a browser."""
    cases = [c for c in CORPORA["wpt-urls"].json("url/tests/urltestdata.json") if isinstance(c, dict)]
    read, contradictions = 0, []
    for case in cases:
        fact = url(case["input"])
        if fact is None:
            continue
        read += 1
        if case.get("failure"):
            contradictions.append(case["input"])
            continue
        port = case["port"] or {"http:": "80", "https:": "443"}.get(case["protocol"], "")
        origin = f"{case['protocol']}//{case['hostname']}:{port}"
        if fact != (origin, case["pathname"].removesuffix("/") + "/"):
            contradictions.append(case["input"])
    found = f"{read} are canonical, with the origin and path that browsers see; the others satisfy nothing"
    return Verdict(len(cases), "no URL has another origin or path than in a browser", found, contradictions)


def traversal() -> Verdict:
    """Hang every string below an allowed folder, and read it as tools do: raw, decoded once or twice."""
    strings = {
        line
        for _, text in CORPORA["path-traversal"].files(".txt")
        for line in text.decode("latin-1").splitlines()
    }
    passed, contradictions = 0, []
    for string in sorted(strings):
        for given in (f"/data/{string}", f"/data{string}", f"/data/{string}etc/passwd", string):
            fact = path(given)
            if fact is not None and fact.startswith("/data/"):
                passed += 1
                contradictions += [f"{given!r} as {text!r}" for text in _readings(given) if _leaves(text)]
        location = f"/data/{string}"
        fact_of_url = url(f"https://docs.example.com{location}")
        if fact_of_url is not None and fact_of_url[1].startswith("/data/"):
            passed += 1
            served = location.partition("?")[0]
            contradictions += [f"URL {served!r} as {text!r}" for text in _readings(served) if _leaves(text)]
    found = (
        f"in five places each; {passed:,} spellings pass, and none of them leaves the folder when it is read "
        "raw, decoded once or twice, with or without compatibility forms (NFKC), with `\\` as a separator"
    )
    return Verdict(len(strings), "no string leaves the folder", found, contradictions)


def _readings(text: str) -> Iterator[str]:
    for _ in range(3):
        yield text
        yield unicodedata.normalize("NFKC", text)
        text = unquote(text, errors="replace")


def _leaves(text: str) -> bool:
    """Whether a reader ends outside of ``/data``: C programs stop at NUL, others take both slashes."""
    walked = posixpath.normpath(text.partition("\0")[0].replace("\\", "/"))
    return not f"{walked}/".startswith("/data/")


def signatures() -> Verdict:
    """Check every signature of the suite, as proofs, approvals and checkpoints are checked."""
    groups = CORPORA["wycheproof-ed25519"].json("testvectors_v1/ed25519_test.json")["testGroups"]
    seen: Counter[str] = Counter()
    contradictions = []
    for group in groups:
        key = PublicKey(bytes.fromhex(group["publicKey"]["pk"]))
        for test in group["tests"]:
            good = key.signed(bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"]))
            seen[test["result"]] += 1
            if good != (test["result"] == "valid"):
                contradictions.append(f"test {test['tcId']}")
    found = (
        f"{seen['valid']} valid ones hold, {seen['invalid']} invalid ones do not. The rule is RFC 8032 with "
        "canonical encodings; keys of small order, for which anyone can sign, are no keys"
    )
    return Verdict(seen.total(), "each signature is judged as the suite says", found, contradictions)


UNCHECKED = frozenset(
    {"pattern", "patternProperties", "format", "unevaluatedItems", "unevaluatedProperties"}
    | {"contentEncoding", "contentMediaType", "contentSchema"}
)
"""Keywords that our reader leaves to the server: see `hessra_agents.tools.input_schema`."""


def schemas() -> Verdict:
    """Take each schema of drafts 7 and 2020-12 for that of an argument, narrow it, and ask what it admits."""
    suite = CORPORA["json-schema-test-suite"]
    drafts = {"draft7": Draft7Validator, "draft2020-12": Draft202012Validator}
    seen: Counter[str] = Counter()
    unread: Counter[str] = Counter()
    contradictions = []
    for draft, validator in drafts.items():
        for name, text in suite.files(".json", f"tests/{draft}/"):
            for group in json.loads(text):
                tool = _tool(group["schema"])
                title = f"{name}: {group['description']}"
                try:
                    own = InputSchema.of(tool)
                except Denied:
                    seen["refused"] += 1
                    unread[Path(name).stem] += 1
                    continue
                seen["read"] += 1
                given = [test["data"] for test in group["tests"]]
                for pattern in _granted(given):
                    shown = validator(own.narrowed([pattern], "tool:t"))
                    contradictions += [
                        f"{title}: {value!r} by the narrowed schema"
                        for value in given
                        if _admits(shown, value) and not _admits(validator(tool), value)
                    ]
                words = _words(group["schema"])
                for test in group["tests"]:
                    admitted = _passes(own, test["data"])
                    seen[f"{'admitted' if admitted else 'kept out'} {test['valid']}"] += 1
                    if admitted and not test["valid"] and not words & UNCHECKED:
                        contradictions.append(f"{title}: {test['description']}")
    found = (
        f"{seen['read']} schemas are read and {seen['refused']} are not, by file: "
        f"{', '.join(f'{file} {count}' for file, count in unread.most_common())}. Of their "
        f"values {seen['admitted True']:,} of "
        f"{seen['admitted True'] + seen['kept out True']:,} valid ones pass, and {seen['kept out False']:,} "
        f"of {seen['kept out False'] + seen['admitted False']:,} invalid ones are refused; the other "
        f"{seen['admitted False']:,} are invalid only by `pattern`, `format`, `content…` or `unevaluated…`, "
        "which are left to the server"
    )
    held = "what a narrowed schema admits, the original admits"
    return Verdict(seen["read"] + seen["refused"], held, found, contradictions)


def _tool(schema: Any) -> dict[str, Any]:
    """Return a tool's input schema with one argument of this schema; what it refers to comes along."""
    tool: dict[str, Any] = {"type": "object", "required": ["x"]}
    if isinstance(schema, dict):
        tool |= {word: schema[word] for word in ("$schema", "$defs", "definitions") if word in schema}
        schema = {word: value for word, value in schema.items() if word != "$schema"}
    return {**tool, "properties": {"x": schema}}


def _granted(values: list[Any]) -> Iterator[Pattern]:
    """Yield what a grant may say of the argument: anything, nothing, one of the values, a text, a number."""
    constraints = [
        must.anything(),
        must.optional(),
        must.starts_with("f"),
        must.between(1, 3),
        must.max_length(2),
    ]
    constraints += [must.exact(value) for value in values[:3]]
    for constraint in constraints:
        yield branches(grant("t", x=constraint), closed=True)


def _admits(validator: Any, value: Any) -> bool:
    try:
        return bool(validator.is_valid({"x": value}))
    except (Unresolvable, UnknownType, re.error):
        return False


def _passes(own: InputSchema, value: Any) -> bool:
    try:
        own.check(Call.of("t", {"x": value}))
    except (Denied, MalformedError):
        return False
    return True


def _words(schema: Any) -> set[str]:
    """Return every name that a schema uses anywhere."""
    if isinstance(schema, dict):
        return set(schema).union(*map(_words, schema.values()))
    return set[str]().union(*map(_words, schema)) if isinstance(schema, list) else set()


NEIGHBORS = 20
"""Expected calls of other questions that each capability is asked for."""


def function_calls() -> Verdict:
    """Issue for each question a capability of the calls that it expects; try those, and its neighbors'."""
    authority = Authority.ephemeral()
    guard = Guard(authority.trust, audience="calls")
    questions = permitted = refused = 0
    contradictions: list[str] = []
    others: list[Call] = []
    for name, text in CORPORA["function-calls"].files(".json", "bfcl_eval/data/possible_answer/"):
        for question in map(json.loads, text.splitlines()):
            if not all(isinstance(call, dict) for call in question["ground_truth"]):
                continue  # a text that a simulation runs
            questions += 1
            calls = [_expected(call) for call in question["ground_truth"]]
            grants = [
                grant(call.tool, {key: must.exact(value) for key, value in call.arguments.items()})
                for call in calls
            ]
            token = authority.issue("agent:q", *grants, ttl=timedelta(minutes=5), audience="calls").token
            own = {(call.tool, call.canonical_json) for call in calls}
            strange = [call for call in others if (call.tool, call.canonical_json) not in own]
            lost = [call for call in calls if not _decided(guard, token, call)]
            crossed = [call for call in strange if _decided(guard, token, call)]
            contradictions += [f"{name}, {question['id']}: {call.tool}" for call in (*lost, *crossed)]
            permitted += len(calls) - len(lost)
            refused += len(strange) - len(crossed)
            others = [*others, *calls][-NEIGHBORS:]
    found = f"{permitted:,} expected calls issued and permitted; {refused:,} calls of other questions refused"
    return Verdict(
        questions, "every expected call is permitted, and no other question's", found, contradictions
    )


def _expected(call: dict[str, dict[str, list[Any]]]) -> Call:
    """Return an expected call with the first of each argument's possible values; "" stands for omitted."""
    ((name, arguments),) = call.items()
    return Call.of(name, {key: values[0] for key, values in arguments.items() if values and values[0] != ""})


def function_schemas() -> Verdict:
    """Put a bound on every argument of every function that the questions offer, and try calls around it."""
    authority = Authority.ephemeral()
    guard = Guard(authority.trust, audience="calls")
    seen: Counter[str] = Counter()
    contradictions: list[str] = []
    unbounded: list[str] = []
    functions = {json.dumps([one["name"], one["parameters"]]): one for one in _functions()}
    for function in functions.values():
        name = function["name"]
        try:
            made = bounded(name, function["parameters"])
        except Unbounded as error:
            unbounded.append(str(error))
            continue
        token = authority.issue("agent:q", made.grant, ttl=timedelta(minutes=5), audience="calls").token
        seen["characters"] = max(seen["characters"], len(token))
        for calls, expected in ((made.permitted, True), (made.refused, False)):
            for arguments in calls:
                seen[f"{expected}"] += 1
                if _decided(guard, token, Call.of(name, arguments)) is not expected:
                    contradictions.append(f"{name}: {arguments}")
    named = f", {len(unbounded)} cannot be bounded: {', '.join(unbounded)}" if unbounded else ""
    found = (
        f"a bound on every argument of {len(functions) - len(unbounded):,} functions{named}; "
        f"{seen['True']:,} calls within the bounds permitted, {seen['False']:,} that leave one refused; "
        f"the largest token has {seen['characters']:,} characters"
    )
    held = "every argument can be bounded, and the bounds hold"
    return Verdict(len(functions), held, found, [*contradictions, *unbounded])


def _functions() -> Iterator[dict[str, Any]]:
    for folder in ("bfcl_eval/data/BFCL_v4_", "bfcl_eval/data/multi_turn_func_doc/"):
        for name, text in CORPORA["function-calls"].files(".json", folder):
            rows = [] if name.endswith("format_sensitivity.json") else text.splitlines()
            for row in map(json.loads, rows):
                yield from [row] if "parameters" in row else row.get("function", ())


def _decided(guard: Guard, token: str, call: Call) -> bool:
    try:
        guard.decide(token, call)
    except Denied:
        return False
    return True


JUDGES: dict[str, Callable[[], Verdict]] = {
    "json-test-suite": json_texts,
    "jsonpath-compliance": json_paths,
    "wpt-urls": urls,
    "path-traversal": traversal,
    "wycheproof-ed25519": signatures,
    "json-schema-test-suite": schemas,
    "function-calls": function_calls,
    "function-calls: functions": function_schemas,
}
"""By the name of the corpus, and of what is judged in it if that is not all."""
