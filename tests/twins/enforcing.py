"""Twins that enforce too little: at the guard's later looks, at MCP's requests, in the log of a ledger."""

from __future__ import annotations

from .twin import FINDING, Edit, Twin, unless

__all__ = ["ENFORCING"]

APPENDER = "ledger/log/appender.py"
AUTHORIZER = "mcp/authorization/authorizer.py"
ENFORCEMENT = "guard/enforcement.py"
INVOCATION = "guard/invocation.py"
LOG = "ledger/log/verify.py"
REPLAYS = "mcp/authorization/replay_cache.py"
REQUESTS = "mcp/authorization/requests.py"

WAITING = "tests/laws/test_after_waiting.py::test_what_changes_while_a_call_waits_counts"
TAMPERED = "tests/ledger/test_log.py::test_verify_tells_what_was_changed"
META = "tests/mcp/test_http.py::test_a_call_that_says_nothing_clear_is_refused"

LATER_LOOKS: tuple[Twin, ...] = (
    Twin(
        "after a wait for a thread nothing is decided again",
        "expired",
        "tests/laws/test_last_looks.py::"
        "test_a_proof_that_became_too_old_before_its_thread_was_free_counts_no_more",
        Edit(
            ENFORCEMENT,
            "            self.check_trust()\n            self._permit = await self.decided()\n",
            "            pass\n",
        ),
    ),
    Twin(
        "the ledger is not asked",
        "replayed",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(
            ENFORCEMENT,
            "            await ledger.admit(permit, self._operation_id)\n        except",
            "            pass\n        except",
        ),
        Edit(
            ENFORCEMENT,
            "            await ledger.admit(permit, self._operation_id)\n        self._admitted",
            "        self._admitted",
        ),
    ),
    Twin(
        "a call of a tool takes nothing from the ledger",
        "replayed",
        "tests/attacks/test_attacks.py::test_attack",
        Edit(INVOCATION, "            await enforcement.admit()\n"),
    ),
    Twin(
        "a call that waited for the ledger is not looked at again",
        "exposed",
        WAITING,
        Edit(INVOCATION, "                enforcement.recheck()\n", "                pass\n"),
    ),
    Twin(
        "a call in its thread is not looked at again",
        "expired",
        "tests/laws/test_last_looks.py::test_a_right_that_ends_on_the_way_to_the_thread_is_over",
        Edit(INVOCATION, "        self._enforcement.recheck()  # the call may have waited for the thread\n"),
    ),
    Twin(
        "a stream that was begun goes on",
        "revoked",
        "tests/laws/test_after_waiting.py::test_a_stream_that_was_begun_ends_with_its_right",
        Edit(INVOCATION, "self._enforcement.recheck(exposure=False)", "pass"),
    ),
    Twin(
        "a permitted block is not looked at again",
        "exposed",
        WAITING,
        Edit(ENFORCEMENT, "            enforcement.recheck()\n"),
    ),
    Twin(
        "a later look does not see the time",
        "expired",
        WAITING,
        unless(ENFORCEMENT, "not compiled.starts <= now < capability.expires"),
    ),
    Twin(
        "a later look does not see revocations",
        "revoked",
        WAITING,
        unless(ENFORCEMENT, "ledger is not None and (self.began or ledger.revoked.epoch != self._epoch)"),
    ),
    Twin(
        "a later look does not see the trust",
        "unknown_root",
        WAITING,
        Edit(
            ENFORCEMENT,
            "capability = self.check_trust()\n",
            "capability = self._capability or self.check_trust()\n",
        ),
    ),
    Twin(
        "a later look does not see what the session has seen",
        "exposed",
        WAITING,
        unless(ENFORCEMENT, "exposure and compiled.watched and session is not None"),
    ),
)

MCP: tuple[Twin, ...] = (
    Twin(
        "a server's own schema is not asked",
        "malformed",
        "tests/mcp/test_server.py::test_what_the_server_would_convert_is_refused",
        Edit(ENFORCEMENT, "                self._validate(call)\n", "                pass\n"),
    ),
    Twin(
        "a request needs no id",
        "malformed",
        "tests/laws/test_requests.py::test_without_an_id_only_a_notification_goes_on",
        unless(AUTHORIZER, "fetch is None and not method.startswith(NOTIFICATIONS)"),
    ),
    Twin(
        "whoever is refused makes the server list its tools",
        "not_granted",
        "tests/laws/test_requests.py::test_whoever_is_refused_makes_the_server_list_nothing",
        unless(AUTHORIZER, "not self.catalog.is_fresh(name)"),
    ),
    Twin(
        "a request's meta may be anything",
        "malformed",
        META,
        unless(AUTHORIZER, "meta is not None and not isinstance(meta, Mapping)"),
    ),
    Twin(
        "a list is shown by any number of capabilities",
        "malformed",
        "tests/mcp/test_several.py::test_a_list_of_tokens_is_read_for_lists_alone",
        unless(
            AUTHORIZER,
            "not (1 <= len(tokens) <= MAX_MEMBERS and all(isinstance(token, str) for token in tokens))",
        ),
    ),
    Twin(
        "a proof without a capability is served",
        "no_capability",
        "tests/laws/test_requests.py::test_a_proof_alone_is_not_served_by_the_gates_own_capability",
        Edit(AUTHORIZER, "self._default is None or proof is not None", "self._default is None"),
    ),
    Twin(
        "a bearer is served over HTTP",
        "not_holder",
        "tests/mcp/test_http.py::test_a_capability_without_a_holder_is_not_taken",
        unless(AUTHORIZER, "http and proof is None and not self._bearer_over_http"),
    ),
    Twin(
        "an answer is given again, whatever has become of the right",
        "revoked",
        "tests/laws/test_requests.py::test_an_answer_is_not_given_again_after_a_revocation",
        Edit(
            AUTHORIZER,
            "                self._decide(shown, call)  # the proof must still be good\n",
            "                pass\n",
        ),
    ),
    Twin(
        "a request that got no answer is answered with nothing",
        "replayed",
        "tests/laws/test_requests.py::test_who_waits_for_an_answer_that_does_not_come_is_told",
        unless(REPLAYS, "not self.there"),
    ),
    Twin(
        "arguments may be anything",
        "malformed",
        META,
        Edit(
            REQUESTS,
            '        raise MalformedError("the arguments are not an object")\n',
            "        return {}\n",
        ),
    ),
)

LOGS: tuple[Twin, ...] = (
    Twin(
        "a record may be another than its row",
        FINDING,
        TAMPERED,
        unless(LOG, '(fields.get("op"), fields.get("kind")) != (record.operation_id.hex(), record.kind)'),
    ),
    Twin(
        "a tile may be another than its records make",
        FINDING,
        TAMPERED,
        Edit(LOG, "self._logs.tile(self._log, tile.level, tile.index)", "tile.hashes"),
    ),
    Twin(
        "a checkpoint may be of other records",
        FINDING,
        TAMPERED,
        Edit(LOG, "if self._tree.root() == checkpoint.root:", "if True:"),
    ),
    Twin(
        "a record that no checkpoint covers may be anybody's",
        FINDING,
        "tests/ledger/test_foreign_records.py::"
        "test_a_record_that_was_put_behind_the_log_keeps_a_guard_from_starting",
        Edit(LOG, "if not self._key or record.index < self._covered:", "if True:"),
    ),
    Twin(
        "kept arguments may be of another call",
        FINDING,
        "tests/ledger/test_log.py::test_kept_arguments_that_were_changed_are_found",
        unless(LOG, 'record.opening is not None and fields.get("opening") != commitment(record.opening)'),
    ),
    Twin(
        "a guard goes on from records that it did not write",
        FINDING,
        "tests/ledger/test_foreign_records.py::test_what_no_checkpoint_covers_counts_only_as_it_was_written",
        unless(
            APPENDER,
            'not hmac.compare_digest(bytes(mac or b""), record_mac(key, tree.size, bytes(body)))',
        ),
    ),
)

ENFORCING = (*LATER_LOOKS, *MCP, *LOGS)
