"""Twins that decide too kindly: each lacks a part of a step of the verifier."""

from __future__ import annotations

from .twin import Edit, Twin, unless

__all__ = ["DECIDING"]

ADMISSION = "tokens/admission.py"
ATTESTATIONS = "verify/attestations.py"
CAPABILITY = "tokens/capability.py"
CHARGES = "verify/charges.py"
CLAUSES = "grants/clauses.py"
ENFORCEMENT = "guard/enforcement.py"
FORMATS = "call/formats.py"
MATCHER = "verify/matcher.py"
PRESENTED = "guard/presented.py"
SCHEMA = "ledger/store/sql/sqlite-0001.sql"
SESSION = "guard/session.py"
VERIFIER = "verify/verifier.py"

DECIDING: tuple[Twin, ...] = (
    Twin(
        "nothing expires",
        "expired",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "block.expires is not None and not moment < block.expires"),
    ),
    Twin(
        "nothing is too early",
        "not_yet_valid",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(VERIFIER, "now < moment - PROOF_WINDOW"),
    ),
    Twin(
        "a token without an audience is for every guard",
        "wrong_audience",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "ANCHOR not in first"),
    ),
    Twin(
        "a token is for every guard",
        "wrong_audience",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "stated.get(label) != value"),
    ),
    Twin(
        "a guard's own designations need not be named",
        "wrong_audience",
        "tests/attacks/test_attacks.py::test_a_capability_is_addressed_by_its_issuer",
        unless(VERIFIER, "missing and require_designations"),
    ),
    Twin(
        "the place is not looked at",
        "wrong_audience",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "designations or compiled.guard != audience"),
    ),
    Twin(
        "a holder's capability needs no proof",
        "not_holder",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            VERIFIER,
            '        raise Denied(Reason.NOT_HOLDER, "the call needs a proof by the capability\'s holder")\n',
            "        return holder.handle, ()\n",
        ),
    ),
    Twin(
        "possession of another capability will do",
        "not_holder",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "proof.handle != holder.handle"),
    ),
    Twin(
        "possession is shown with any key",
        "not_holder",
        "tests/laws/test_last_looks.py::test_a_possession_is_shown_with_the_holders_key",
        unless(
            VERIFIER, "holder is None or not PublicKey(holder.key).signed(key.sign(challenge), challenge)"
        ),
    ),
    Twin(
        "anybody's proof will do",
        "not_holder",
        "tests/attacks/test_attacks.py::test_attack",
        unless(
            VERIFIER, "not proof.signed_by(key, ids=capability.ids, handle=holder.handle, audience=audience)"
        ),
    ),
    Twin(
        "a proof of another call will do",
        "wrong_call",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "proof.call != call.digest"),
    ),
    Twin(
        "a proof may be old",
        "expired",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "proof.time < now - PROOF_WINDOW"),
    ),
    Twin(
        "a proof may come from the future",
        "not_yet_valid",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "proof.time > now + PROOF_WINDOW"),
    ),
    Twin(
        "a bearer capability takes any proof",
        "not_holder",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "proof is not None"),
    ),
    Twin(
        "every object is granted",
        "not_granted",
        "tests/attacks/test_attacks.py::test_attack",
        unless(VERIFIER, "compiled.rights.get(call.resource) != call.operation"),
        unless(
            VERIFIER, "(capability.subject, call.resource, call.operation) not in capability.blocks[0].rights"
        ),
    ),
    Twin(
        "every operation is granted",
        "not_granted",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            VERIFIER,
            "if compiled.rights.get(call.resource) != call.operation:",
            "if call.resource not in compiled.rights:",
        ),
    ),
    Twin(
        "arguments are not looked at",
        "constraint",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(VERIFIER, "        _check_arguments(compiled, capability, call, bounds, results)\n"),
        Edit(VERIFIER, '    raise Denied(reason, problems=problems, detail=f"refused by {who}")\n'),
    ),
    Twin(
        "the engine is not asked",
        "unavailable",
        "tests/laws/test_last_looks.py::test_the_engine_refuses_what_a_faulty_matcher_permits",
        unless(VERIFIER, "cross_check"),
    ),
    Twin(
        "a grant without arguments allows any",
        "unnamed_argument",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ADMISSION, "self.rights and not patterns"),
    ),
    Twin(
        "arguments that nobody named pass",
        "unnamed_argument",
        "tests/attacks/test_attacks.py::test_an_argument_that_is_not_what_was_granted",
        Edit(MATCHER, "arguments.keys() <= names,", "True,"),
    ),
    Twin(
        "arguments may be missing",
        "missing_argument",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(MATCHER, "results: name in arguments,", "results: True,"),
    ),
    Twin(
        "arguments that must be omitted pass",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(MATCHER, "results: name not in arguments,", "results: True,"),
    ),
    Twin(
        "a tool's own bounds are not asked",
        "constraint",
        "tests/guard/test_guard.py::test_a_tools_own_bound_holds_whatever_the_capability_says",
        unless(VERIFIER, "fits and not bounds"),
        Edit(VERIFIER, "for bound in bounds for p in", "for bound in () for p in"),
    ),
    Twin(
        "only the issuer's block is asked",
        "constraint",
        "tests/attacks/test_attacks.py::test_an_argument_that_is_not_what_was_granted",
        Edit(
            CAPABILITY,
            "for block in self.blocks for pattern in block.about(resource)])",
            "for block in self.blocks[:1] for pattern in block.about(resource)])",
        ),
    ),
    Twin(
        "a string may be any other string",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(MATCHER, "arguments.get(key) == equal]", "type(arguments.get(key)) is str]"),
    ),
    Twin(
        "a string may begin in any way",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(MATCHER, "lambda value: value.startswith(operand)", "lambda value: True"),
    ),
    Twin(
        "a string may end in any way",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(MATCHER, "lambda value: value.endswith(operand)", "lambda value: True"),
    ),
    Twin(
        "a number may be too large",
        "constraint",
        "tests/attacks/test_attacks.py::test_an_argument_that_is_not_what_was_granted",
        Edit(MATCHER, "lambda value: value <= operand", "lambda value: True"),
    ),
    Twin(
        "a number may be too small",
        "constraint",
        "tests/attacks/test_attacks.py::test_an_argument_that_is_not_what_was_granted",
        Edit(MATCHER, "lambda value: value >= operand", "lambda value: True"),
    ),
    Twin(
        "a value need not be in the list",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(MATCHER, "lambda value: value in operand", "lambda value: True"),
    ),
    Twin(
        "a list is judged by one element",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(CLAUSES, "return all(holds(element", "return any(holds(element"),
    ),
    Twin(
        "without a session every value comes from a result",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(
            CLAUSES,
            "            if results is None:\n                return False\n",
            "            if results is None:\n                return True\n",
        ),
    ),
    Twin(
        "values of untrusted results pass",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(SESSION, "(trusting or not result.untrusted)", "True"),
    ),
    Twin(
        "a path may have dots",
        "constraint",
        "tests/attacks/test_attacks.py::test_an_argument_that_is_not_what_was_granted",
        Edit(
            FORMATS,
            r'_COMPONENT = re.compile(rf"/(?:/|\.\.?/|~|\s)|',
            r'_COMPONENT = re.compile(rf"/(?:/|~|\s)|',
        ),
    ),
    Twin(
        "a path may be encoded",
        "constraint",
        "tests/call/test_formats.py::test_a_path_with_two_readings_is_no_path",
        Edit(FORMATS, r'~|\s)|\s/|{_ENCODED_AGAIN}")', r'~|\s)|\s/")'),
    ),
    Twin(
        "a host may be a number",
        "constraint",
        "tests/vectors/test_vectors.py::test_every_fact_that_is_stated_for_a_place",
        Edit(FORMATS, " and not _NUMBER.fullmatch(last)"),
    ),
    Twin(
        "a command's operand may be an option",
        "constraint",
        "tests/attacks/test_attacks.py::test_an_argument_that_is_not_what_was_granted",
        Edit(FORMATS, 'return text != "" and text[0] != "-"', 'return text != ""'),
    ),
    Twin(
        "a session that has seen anything may do anything",
        "exposed",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(VERIFIER, "seen"),
    ),
    Twin(
        "without a session nothing was seen",
        "exposed",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(VERIFIER, "clear and labels is None"),
    ),
    Twin(
        "a negative amount gives budget back",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(CHARGES, "if type(amount) is int and amount >= 0 else None", "if type(amount) is int else None"),
        Edit(
            SCHEMA,
            "    slot integer not null,\n"
            "    amount integer not null check (amount >= 0),\n"
            "    until integer not null,\n"
            "    primary key (counter, slot)",
            "    slot integer not null,\n"
            "    amount integer not null,\n"
            "    until integer not null,\n"
            "    primary key (counter, slot)",
        ),
    ),
    Twin(
        "an idle holder makes calls",
        "not_holder",
        "tests/tokens/test_next_holders.py::test_an_idle_holder_hands_on_and_makes_no_call",
        unless(VERIFIER, "holder.idle"),
    ),
    Twin(
        "the budgets of all unknown authorities are one",
        "unavailable",
        "tests/ledger/test_budgets.py::test_a_guard_that_does_not_know_the_authority_counts_no_budget",
        unless(CHARGES, "name is None"),
        Edit(
            CHARGES,
            "    if authority is None:\n        return None\n",
            "    authority = authority or '00' * 16\n",
        ),
    ),
    Twin(
        "what cannot be added up is free",
        "constraint",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(
            CHARGES,
            "    raise Denied(reason, problems=[Problem(reason, describe_place(place), allowed)])\n",
            "    return 0\n",
        ),
    ),
    Twin(
        "limits are not counted",
        "spent",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(VERIFIER, "limit_charges(capability, call) if compiled.limited else ((), ())", "((), ())"),
    ),
    Twin(
        "no approval is needed",
        "not_approved",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(VERIFIER, "if approvals or not compiled.settled:", "if approvals:"),
    ),
    Twin(
        "one of several approvals will do",
        "not_approved",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(
            ATTESTATIONS,
            "            if not any(met(alternative) for alternative in check):\n",
            "            if not any(met(a) for one in checks for a in one):\n",
        ),
    ),
    Twin(
        "a holder approves the holder's own calls",
        "not_approved",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(ATTESTATIONS, "approval.key.data in involved"),
    ),
    Twin(
        "an approval of another call will do",
        "wrong_call",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ATTESTATIONS, "approval.call != call.digest"),
    ),
    Twin(
        "an approval never expires",
        "expired",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ATTESTATIONS, "not now < approval.expires"),
    ),
    Twin(
        "an approval need not be signed",
        "not_approved",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ATTESTATIONS, "not approval.valid(ids=capability.ids)"),
    ),
    Twin(
        "a call may carry any number of approvals",
        "too_large",
        "tests/attacks/test_attacks.py::test_more_approvals_than_are_read",
        unless(PRESENTED, "len(few) > MAX_APPROVALS"),
        unless(ATTESTATIONS, "len(approvals) > MAX_APPROVALS"),
    ),
    Twin(
        "a latent capability needs no activation",
        "not_yet_valid",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(ATTESTATIONS, "not any(block.signer == key and block.activates for block in blocks)"),
    ),
    Twin(
        "anybody vouches for a designation",
        "wrong_audience",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(
            ATTESTATIONS,
            "(a.label, a.value, a.key) in stated",
            "any((a.label, a.value) == s[:2] for s in stated)",
        ),
    ),
)
