"""Twins that forget: what the ledger refuses when it admits a call, and a guard without one."""

from __future__ import annotations

from .twin import Edit, Twin, unless

__all__ = ["REMEMBERING"]

ENFORCEMENT = "guard/enforcement.py"
REVOCATIONS = "ledger/revocations.py"
TRANSACTIONS = "ledger/transactions.py"

REMEMBERING: tuple[Twin, ...] = (
    Twin(
        "revocation is not asked of the store",
        "revoked",
        "tests/ledger/test_revocation.py::test_a_block_falls_with_all_that_is_built_on_it_and_nothing_else",
        Edit(
            TRANSACTIONS,
            "    purged = yield from learn_revocations(revoked)\n"
            "    revoked.check(permit.revocation_ids, permit.issued)\n",
            "    purged = yield from learn_revocations(revoked)\n",
        ),
        Edit(
            ENFORCEMENT,
            "        settings.ledger.revoked.check(permit.revocation_ids, permit.issued)\n",
            "        pass\n",
        ),
    ),
    Twin(
        "nothing is revoked",
        "revoked",
        "tests/ledger/test_revocation.py::test_a_block_falls_with_all_that_is_built_on_it_and_nothing_else",
        unless(REVOCATIONS, "not self._ids.isdisjoint(ids)"),
    ),
    Twin(
        "an old copy of the store is believed",
        "unavailable",
        "tests/ledger/test_revocation.py::test_a_store_that_was_put_back_is_not_believed",
        Edit(
            TRANSACTIONS,
            "        raise Denied(Reason.UNAVAILABLE, detail=str(error)) from error\n",
            "        revoked.mark_read()\n",
        ),
    ),
    Twin(
        "approvers are asked about what was revoked",
        "revoked",
        "tests/laws/test_last_looks.py::test_nobody_is_asked_about_what_another_process_has_revoked",
        Edit(TRANSACTIONS, "    revoked.check(seen.revocation_ids, seen.issued)\n"),
    ),
    Twin(
        "approvers are asked about what they cannot be shown",
        "not_approved",
        "tests/laws/test_last_looks.py::test_a_call_that_nobody_can_be_shown_asks_nobody",
        unless(TRANSACTIONS, "len(request.text) > MAX_SHOWN"),
    ),
    Twin(
        "approvers are asked without end",
        "not_approved",
        "tests/ledger/test_approvals.py::test_narrowing_makes_no_room_for_more_requests",
        unless(TRANSACTIONS, "int(waiting) >= max(1, MAX_OPEN >> depth)"),
    ),
    Twin(
        "a vote may be for another call",
        "not_approved",
        "tests/laws/test_last_looks.py::test_a_vote_for_another_call_is_none",
        Edit(TRANSACTIONS, "    request.check(vote)\n"),
    ),
    Twin(
        "a revoked moment ends nothing",
        "revoked",
        "tests/ledger/test_revocation.py::test_all_that_was_issued_before_a_moment_falls",
        unless(REVOCATIONS, "self._before and (issued is None or issued < self._before)"),
    ),
    Twin(
        "a revoked approver approves",
        "revoked",
        "tests/ledger/test_revocation.py::test_a_key_falls_as_signer_and_as_approver",
        Edit(
            TRANSACTIONS,
            "    for key in permit.approvers:\n"
            '        revoked.check((revocation_id("key", key),), permit.issued)\n',
        ),
    ),
    Twin(
        "an old list of revocations will do",
        "stale",
        "tests/ledger/test_revocation.py::test_a_guard_that_cannot_read_the_list_is_stale_and_recovers",
        unless(REVOCATIONS, "time.monotonic() - self._read > self._bound"),
    ),
    Twin(
        "a proof that was forgotten is taken again",
        "stale",
        "tests/attacks/test_attacks.py::test_attack",
        unless(TRANSACTIONS, "statement.until <= purged"),
    ),
    Twin(
        "a statement serves twice",
        "replayed",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            TRANSACTIONS,
            'if not (yield "spend", (kind, statement.name, statement.until)):',
            'if not ((yield "spend", (kind, statement.name, statement.until)) or True):',
        ),
    ),
    Twin(
        "a rejected call runs",
        "not_approved",
        "tests/ledger/test_approvals.py::test_a_rejected_call_does_not_run_with_an_approval_in_hand",
        unless(TRANSACTIONS, 'asked and asked[0][2] == "rejected"'),
    ),
    Twin(
        "who held the capability approves its calls",
        "not_approved",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            TRANSACTIONS,
            'if (yield "delegate", (revocation_id("block", block.encode()), revocation_id("key", key))):',
            'if (yield "delegate", (revocation_id("block", block.encode()), revocation_id("key", '
            "key))) and False:",
        ),
    ),
    Twin(
        "a limit has no end",
        "spent",
        "tests/guard/test_toolbox.py::test_a_sub_agent_has_limits_of_its_own",
        unless(TRANSACTIONS, "int(used) + charge.amount > charge.at_most"),
    ),
    Twin(
        "uses that were forgotten count no more",
        "stale",
        "tests/ledger/test_limits.py::test_a_budget_that_was_forgotten_too_early_is_used_up",
        unless(TRANSACTIONS, "purged >= (now + 1 if charge.window else until)"),
    ),
    Twin(
        "a guard without a ledger takes limits and proofs",
        "unavailable",
        "tests/guard/test_guard.py::test_a_proof_needs_a_ledger",
        unless(ENFORCEMENT, "permit.spends or permit.charges"),
    ),
)
