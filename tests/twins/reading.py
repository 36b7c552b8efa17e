"""Twins that read too much: what the parts of a token, a call or an admission would refuse."""

from __future__ import annotations

from .twin import Edit, Twin, unless

__all__ = ["READING"]

ADMISSION = "tokens/admission.py"
BLOCKS = "tokens/format/blocks.py"
CALL = "call/call.py"
CANONICAL = "call/canonical.py"
CAPABILITY = "tokens/capability.py"
FACTS = "call/facts.py"
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
            "        return cls._of(biscuit, root)",
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
        unless(ADMISSION, "max(len(asked), sum([len(block.clear) for block in blocks])) > MAX_SOURCES"),
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
        unless(ADMISSION, "not (variables and joined) or query.expressions or query.trusting"),
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
            ADMISSION, "(len(found) > 1 or tools is not None) and any(a.label != APPROVED for a in found)"
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
        unless(ADMISSION, "any(a.label in RESERVED and not _HANDLE.fullmatch(a.value) for a in found)"),
    ),
    Twin(
        "a limit's handle may be any text",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(ADMISSION, "if limit is not None and _HANDLE.fullmatch(handle):", "if limit is not None:"),
    ),
    Twin(
        "a limit may have alternatives",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(ADMISSION, "(), ()) if type(most) is int and not more:", "(), ()) if type(most) is int:"),
    ),
    Twin(
        "a condition on exposure may have alternatives",
        "outside_profile",
        "tests/vectors/test_vectors.py::test_the_decision",
        Edit(ADMISSION, "(), ()) if is_text(labels) and not more:", "(), ()) if is_text(labels):"),
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
        Edit(
            FACTS,
            "    return len(key) <= MAX_KEY and steps <= MAX_DEPTH and (not steps or "
            "bool(_POINTER.fullmatch(key)))\n",
            "    return True\n",
        ),
    ),
    Twin(
        "a call may need any work",
        "too_large",
        "tests/attacks/test_attacks.py::test_many_facts_about_a_large_call_are_refused",
        unless(CALL, "self._work[0] > MAX_WORK"),
    ),
)
