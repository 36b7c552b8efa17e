"""Twins that read too much: what the parts of a token, a call or an admission would refuse."""

from __future__ import annotations

from .twin import Edit, Twin, unless

__all__ = ["READING"]

ADMISSION = "tokens/admission.py"
BLOCKS = "tokens/format/blocks.py"
CALL = "call/call.py"
CANONICAL = "call/canonical.py"
CAPABILITY = "tokens/capability.py"
DATALOG = "tokens/datalog_reader.py"
PLACES = "call/places.py"
SETTINGS = "guard/settings.py"
TRUST = "keys/trust.py"

READING: tuple[Twin, ...] = (
    Twin(
        "the guard remembers the last capability",
        "no_capability",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            SETTINGS,
            "            raise Denied(Reason.NO_CAPABILITY)\n",
            "            capability = getattr(self, 'ambient', None)\n"
            "            if capability is None:\n"
            "                raise Denied(Reason.NO_CAPABILITY)\n"
            "        self.ambient = capability  # type: ignore[attr-defined]\n",
        ),
    ),
    Twin(
        "signatures are not checked",
        "bad_signature",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            CAPABILITY,
            "            raise as_bad_signature(error) from reraise_fatal(error)\n"
            "        return cls._of(biscuit, root, trust.authorities.get(root))",
            "            return cls(None, admit(read_blocks(data)), root)  # type: ignore[arg-type]\n"
            "        return cls._of(biscuit, root)",
        ),
    ),
    Twin(
        "a root key of any kind signs capabilities",
        "unknown_root",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            TRUST,
            "        keys: Mapping[int, PublicKey] = getattr(self, kind)\n        found",
            "        keys = {**self.identity, **self.context, **getattr(self, kind)}\n        found",
        ),
    ),
    Twin(
        "what was read by former trust is believed",
        "unknown_root",
        "tests/guard/test_toolbox.py::test_a_root_that_is_removed_ends_what_it_signed",
        Edit(
            SETTINGS,
            "        self.reader = CapabilityReader(trust)\n",
            '        self.reader = getattr(self, "reader", None) or CapabilityReader(trust)\n',
        ),
    ),
    Twin(
        "a token may be of any size",
        "too_large",
        "tests/attacks/test_attacks.py::test_a_token_that_is_none",
        unless(BLOCKS, "len(data) > MAX_BYTES"),
        unless(BLOCKS, "len(token) > MAX_BYTES * 4 // 3 + 4"),
    ),
    Twin(
        "a token may have any number of checks",
        "too_large",
        "tests/tokens/test_admission.py::test_more_checks_than_are_read",
        unless(ADMISSION, "sum([len(block.checks) for block in raw]) > MAX_CHECKS"),
    ),
    Twin(
        "a token may test every element of lists any number of times",
        "too_large",
        "tests/tokens/test_admission.py::test_what_no_guard_would_read_is_not_issued",
        unless(ADMISSION, "each > MAX_EACH"),
    ),
    Twin(
        "a token may have any number of limits",
        "too_large",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(ADMISSION, "sum([len(block.limits) for block in blocks]) > MAX_LIMITS"),
    ),
    Twin(
        "a token may follow any number of results",
        "too_large",
        "tests/guard/test_exposure.py::test_a_token_asks_of_few_labels",
        unless(
            ADMISSION, "max(len(sources(clauses)), sum([len(block.clear) for block in blocks])) > MAX_SOURCES"
        ),
    ),
    Twin(
        "a first block need not check the right",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ADMISSION, "first and right_checks != 1"),
    ),
    Twin(
        "the check of the right may be any query",
        "outside_profile",
        "tests/tokens/test_admission.py::test_an_integer_is_no_variable_though_it_has_its_number",
        unless(DATALOG, "not (variables and joined) or query.expressions or query.trusting"),
    ),
    Twin(
        "the check of the right is not read",
        "outside_profile",
        "tests/tokens/test_admission.py::test_an_integer_is_no_variable_though_it_has_its_number",
        Edit(ADMISSION, "            read_right(query)\n"),
    ),
    Twin(
        "a check of the time may be any query",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_time_that_is_no_variable",
        Edit(
            DATALOG,
            'raise outside_profile("an unsupported check of the time")',
            "return 1 << 40, True",
        ),
    ),
    Twin(
        "a designation by a key may be any query",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(DATALOG, 'raise outside_profile("an unsupported designation by a key")', "pass"),
    ),
    Twin(
        "a choice of objects may be any query",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(
            DATALOG,
            'raise outside_profile("an unsupported choice of objects")',
            "return check[:-1], None",
        ),
    ),
    Twin(
        "a choice of arguments may be about no object",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        Edit(
            DATALOG,
            "and {type(tool) for tool in tools} == {str}:",
            "and {type(tool) for tool in tools} <= {str}:",
        ),
    ),
    Twin(
        "a choice of arguments need not say of which object",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        Edit(
            DATALOG,
            "if tools is None or not all(query.body for query in ways):",
            "tools = tools or frozenset()\n    if not all(query.body for query in ways):",
        ),
    ),
    Twin(
        "a check of an activation may be any query",
        "outside_profile",
        "tests/laws/test_foreign_blocks.py::test_an_activation_is_asked_of_one_key_and_of_nothing_else",
        Edit(DATALOG, 'raise outside_profile("an unsupported check of an activation")', 'return b""'),
    ),
    Twin(
        "a first block may say too little",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(ADMISSION, "    _check_first(blocks[0])\n"),
    ),
    Twin(
        "handles and holders are not looked at",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(ADMISSION, "    _check_handles(blocks)\n"),
    ),
    Twin(
        "a block that names no holder may say who its holder is",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_a_name_stands_where_a_holder_is_named_and_not_in_the_first_block",
        unless(ADMISSION, "marks and not any(check[0].label == HOLDER for check in attested)"),
    ),
    Twin(
        "the first block may name the subject twice",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_the_subject_has_one_name",
        unless(ADMISSION, 'first and "known_as" in marks'),
    ),
    Twin(
        "a name may be any text",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_a_forged_name_is_refused",
        Edit(ADMISSION, "type(name) is str and is_name(name)", "type(name) is str"),
    ),
    Twin(
        "a capability is handed on as often as its holders like",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_hops_grow_less_with_each_holder",
        unless(ADMISSION, "hops is not None and (block.hops is None or block.hops >= hops)"),
    ),
    Twin(
        "a capability is handed on to any key",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_a_holder_hands_on_to_listed_keys_alone",
        unless(ADMISSION, "keys is not None and holder.key.hex() not in keys"),
    ),
    Twin(
        "a fact about a holder may be said twice",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_a_forged_name_is_refused",
        Edit(ADMISSION, "name not in marks and ", ""),
    ),
    Twin(
        "nobody is kept from handing on",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(ADMISSION, "    _check_next_holders(blocks)\n"),
    ),
    Twin(
        "an idle holder may hand on to itself",
        "outside_profile",
        "tests/tokens/test_next_holders.py::test_an_idle_holder_cannot_hand_on_to_itself",
        unless(ADMISSION, "holder.idle and (keys is None or holder.key.hex() in keys)"),
    ),
    Twin(
        "a name is not revoked",
        "revoked",
        "tests/ledger/test_names.py::test_a_name_is_revoked_with_everything_below_it",
        Edit(
            "tokens/revocation_ids.py",
            'name = agent_name(chain).split(":")',
            'name = chain[0].rights[0][0].split(":")',
        ),
    ),
    Twin(
        "any block may name a budget",
        "outside_profile",
        "tests/ledger/test_budgets.py::test_only_an_authority_names_a_budget",
        Edit(ADMISSION, '(facts == ["budget"] and first)', 'facts == ["budget"]'),
    ),
    Twin(
        "an approval is spared by what every call can be",
        "outside_profile",
        "tests/ledger/test_spared_approvals.py::test_a_forged_way_around_an_approval_is_not_read",
        unless(DATALOG, "not unless or any(clause.fact in SPARES_NOTHING for clause in unless)"),
    ),
    Twin(
        "any block may state rights",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        Edit(ADMISSION, 'if first and name == "right" and kinds', 'if name == "right" and kinds'),
    ),
    Twin(
        "an unsigned block may state designations",
        "outside_profile",
        "tests/tokens/test_latent.py::test_a_facet_keeps_it_back_until_its_activator_lets_go",
        Edit(ADMISSION, 'elif raw.signer and name == "designation"', 'elif name == "designation"'),
    ),
    Twin(
        "an unsigned block may state an activation",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        Edit(ADMISSION, 'elif raw.signer and name == "activation"', 'elif name == "activation"'),
    ),
    Twin(
        "a plain check may ask for what only a statement earns",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        Edit(
            ADMISSION,
            "(), ()) if label not in RESERVED:\n            return label, value",
            "(), ()):\n            return label, value",
        ),
    ),
    Twin(
        "any designation by a key may have alternatives",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        unless(
            ADMISSION,
            "(len(found) > 1 or tools is not None or unless) and any(a.label != APPROVED for a in found)",
        ),
    ),
    Twin(
        "a key may vouch for the audience",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        unless(ADMISSION, "any(a.label == ANCHOR for a in found)"),
    ),
    Twin(
        "a handle may be any text",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        unless(ADMISSION, "any(a.label in RESERVED and not HANDLE.fullmatch(a.value) for a in found)"),
    ),
    Twin(
        "a limit's handle may be any text",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(
            DATALOG,
            'if limit is not None and name == "limit" and HANDLE.fullmatch(handle):',
            'if limit is not None and name == "limit":',
        ),
    ),
    Twin(
        "a limit may have alternatives",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(DATALOG, "(), ()) if type(most) is int and not more:", "(), ()) if type(most) is int:"),
    ),
    Twin(
        "a condition on exposure may have alternatives",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(DATALOG, "(), ()) if is_text(labels) and not more:", "(), ()) if is_text(labels):"),
    ),
    Twin(
        "a token may name several subjects",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(ADMISSION, "if len({subject for subject, _, _ in first.rights}) != 1:", "if not first.rights:"),
    ),
    Twin(
        "a token may grant an object twice",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_two_operations_on_one_object_are_not_admitted",
        unless(ADMISSION, "len({resource for _, resource, _ in first.rights}) != len(first.rights)"),
    ),
    Twin(
        "a choice may be about an object that is not granted",
        "outside_profile",
        "tests/tokens/test_admission.py::"
        "test_a_choice_is_of_an_object_that_is_granted_and_whose_names_are_closed",
        unless(
            ADMISSION,
            "first.objects is None or not choice.tools <= {resource for _, resource, _ in first.rights}",
        ),
    ),
    Twin(
        "a token need not expire",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ADMISSION, "first.expires is None"),
        Edit(
            CAPABILITY,
            'object.__setattr__(self, "expires", min(expiries))',
            'object.__setattr__(self, "expires", min(expiries, default=1 << 62))',
        ),
    ),
    Twin(
        "any block may state what only a statement earns",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ADMISSION, "any(label in (APPROVED, ANCHOR) for label, _ in block.states)"),
    ),
    Twin(
        "a holder need not sign the change of holder",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_attack",
        unless(ADMISSION, "not valid"),
    ),
    Twin(
        "one handle may serve twice",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        unless(ADMISSION, "len(set(handles)) < len(handles) or not used.isdisjoint(handles)"),
    ),
    Twin(
        "a block may be of any version",
        "outside_profile",
        "tests/tokens/test_admission.py::test_what_the_profile_has_no_use_for_is_not_read",
        unless(BLOCKS, "not 3 <= version <= 6"),
    ),
    Twin(
        "a symbol may be declared twice",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_bytes_that_two_readers_could_read_differently",
        unless(BLOCKS, "len(distinct) != len(declared) or not distinct.isdisjoint(symbols.values())"),
    ),
    Twin(
        "a check may be of any kind",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_block_outside_the_profile_never_reaches_the_engine",
        unless(BLOCKS, "kind != _CHECK_IF and not (kind == _REJECT_IF and reader.dialect.rejects)"),
    ),
    Twin(
        "a query may have any head",
        "outside_profile",
        "tests/tokens/test_admission.py::test_no_message_in_a_token_has_a_second_spelling",
        unless(BLOCKS, "reader.data[at:end] != _HEAD"),
    ),
    Twin(
        "any algorithm may sign a block",
        "outside_profile",
        "tests/attacks/test_attacks.py::test_a_next_key_whose_signatures_can_be_changed",
        unless(BLOCKS, "algorithm >= len(known) or len(key) != known[algorithm]"),
    ),
    Twin(
        "a name may be given twice",
        "malformed",
        "tests/attacks/test_attacks.py::test_arguments_that_cannot_be_read_one_way",
        unless(CANONICAL, "len(fresh) != len(members)"),
    ),
    Twin(
        "a place may have any number of steps",
        "outside_profile",
        "tests/tokens/test_admission.py::test_a_place_has_one_key_of_bounded_length",
        unless(PLACES, "len(key) > MAX_KEY or len(steps) > MAX_DEPTH"),
    ),
    Twin(
        "a fact of one value may be stated of many",
        "outside_profile",
        "tests/laws/test_structures.py::test_a_key_of_many_values_serves_only_facts_of_lists",
        unless(PLACES, 'len(spreads) > (MAX_SPREADS if many else 0) or steps[0] in (*SPREADS, "~w")'),
    ),
    Twin(
        "a call may need any work",
        "too_large",
        "tests/attacks/test_attacks.py::test_many_facts_about_a_large_call_are_refused",
        unless(CALL, "spent > MAX_WORK"),
    ),
)
