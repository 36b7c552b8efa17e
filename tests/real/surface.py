"""What the conformance suite asks of a server with one of everything, and how many checks it makes.

A guard must have each call, resource and prompt granted before the suite can pass; a later release of the
suite that asks for more is noticed by ``test_conformance.py``.
"""

from __future__ import annotations

from typing import Any

from .rigs import Version

TOOL_CALLS: list[tuple[str, dict[str, Any]]] = [
    ("test_audio_content", {}),
    ("test_custom_header", {"region": "=?base64?SGVsbG8="}),
    ("test_custom_header", {"region": "Hello"}),
    ("test_custom_header", {"region": "SGVsbG8="}),
    ("test_elicitation", {"message": "Please provide your information"}),
    ("test_elicitation_sep1034_defaults", {}),
    ("test_elicitation_sep1330_enums", {}),
    ("test_embedded_resource", {}),
    ("test_error_handling", {}),
    ("test_image_content", {}),
    ("test_input_required_result_capabilities", {}),
    ("test_input_required_result_elicitation", {}),
    ("test_input_required_result_list_roots", {}),
    ("test_input_required_result_multi_round", {}),
    ("test_input_required_result_multiple_inputs", {}),
    ("test_input_required_result_request_state", {}),
    ("test_input_required_result_sampling", {}),
    ("test_input_required_result_tampered_state", {}),
    ("test_logging_tool", {}),
    ("test_missing_capability", {}),
    ("test_multiple_content_types", {}),
    ("test_reconnection", {}),
    ("test_sampling", {"prompt": "Test prompt for sampling"}),
    ("test_simple_text", {}),
    ("test_streaming_elicitation", {}),
    ("test_tool_with_logging", {}),
    ("test_tool_with_progress", {}),
    ("test_trigger_prompt_change", {}),
    ("test_trigger_tool_change", {}),
]
"""Tools and their arguments. A call that lacks arguments means an empty object."""

RESOURCES = [
    "test://nonexistent-resource-for-conformance-testing",
    "test://static-binary",
    "test://static-text",
    "test://template/123/data",
]
"""What is read. The one that does not exist must be answered with -32602, as an unguarded server does."""

SUBSCRIPTIONS = ["test://watched-resource"]
"""What ``resources/subscribe`` and ``resources/unsubscribe`` name, in 2025-11-25 only."""

PROMPTS: list[tuple[str, dict[str, str]]] = [
    ("test_input_required_result_prompt", {}),
    ("test_prompt_with_arguments", {"arg1": "testValue1", "arg2": "testValue2"}),
    ("test_prompt_with_embedded_resource", {"resourceUri": "test://example-resource"}),
    ("test_prompt_with_image", {}),
    ("test_simple_prompt", {}),
]
"""Prompts and their arguments."""

OTHER_REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (
        "completion/complete",
        {
            "ref": {"type": "ref/prompt", "name": "test_prompt_with_arguments"},
            "argument": {"name": "arg1", "value": "test"},
        },
    ),
    ("logging/setLevel", {"level": "debug"}),
    ("logging/setLevel", {"level": "info"}),
    ("ping", {}),
    ("prompts/list", {}),
    ("resources/list", {}),
    ("resources/templates/list", {}),
    ("server/discover", {}),
    ("subscriptions/listen", {"notifications": {"promptsListChanged": True}}),
    ("subscriptions/listen", {"notifications": {"toolsListChanged": True}}),
    ("tools/list", {}),
]
"""Other requests and their parameters, without ``initialize``."""

REFUSED_REQUESTS = [
    "initialize",
    "logging/setLevel",
    "ping",
    "resources/subscribe",
    "resources/unsubscribe",
    "unknown/method",
]
"""Sent without parameters in 2026-07-28, where they do not exist: HTTP 404 with -32601 is expected."""

CHECKS: dict[Version, dict[str, int]] = {
    "2025-11-25": {
        "server-initialize": 3,
        "server-session-lifecycle": 3,
        "logging-set-level": 2,
        "ping": 2,
        "completion-complete": 2,
        "tools-list": 3,
        "tools-call-simple-text": 2,
        "tools-call-image": 2,
        "tools-call-audio": 2,
        "tools-call-embedded-resource": 2,
        "tools-call-mixed-content": 2,
        "tools-call-with-logging": 2,
        "tools-call-error": 2,
        "tools-call-with-progress": 2,
        "tools-call-sampling": 2,
        "tools-call-elicitation": 2,
        "json-schema-2020-12": 8,
        "elicitation-sep1034-defaults": 6,
        "server-sse-polling": 3,
        "server-sse-multiple-streams": 2,
        "elicitation-sep1330-enums": 6,
        "resources-list": 2,
        "resources-read-text": 2,
        "resources-read-binary": 2,
        "resources-templates-read": 2,
        "resources-subscribe": 2,
        "resources-unsubscribe": 2,
        "prompts-list": 2,
        "prompts-get-simple": 2,
        "prompts-get-with-args": 2,
        "prompts-get-embedded-resource": 2,
        "prompts-get-with-image": 2,
        "dns-rebinding-protection": 2,
    },
    "2026-07-28": {
        "server-stateless": 30,
        "completion-complete": 2,
        "tools-list": 4,
        "tools-call-simple-text": 2,
        "tools-call-image": 2,
        "tools-call-audio": 2,
        "tools-call-embedded-resource": 2,
        "tools-call-mixed-content": 2,
        "tools-call-error": 2,
        "tools-call-with-progress": 2,
        "json-schema-2020-12": 8,
        "server-sse-multiple-streams": 1,
        "resources-list": 2,
        "resources-read-text": 2,
        "resources-read-binary": 2,
        "resources-templates-read": 2,
        "sep-2164-resource-not-found": 4,
        "prompts-list": 2,
        "prompts-get-simple": 2,
        "prompts-get-with-args": 2,
        "prompts-get-embedded-resource": 2,
        "prompts-get-with-image": 2,
        "dns-rebinding-protection": 2,
        "caching": 8,
        "http-header-validation": 14,
        "http-custom-header-server-validation": 10,
        "input-required-result-basic-elicitation": 3,
        "input-required-result-basic-sampling": 3,
        "input-required-result-basic-list-roots": 3,
        "input-required-result-request-state": 3,
        "input-required-result-multiple-input-requests": 3,
        "input-required-result-multi-round": 4,
        "input-required-result-missing-input-response": 2,
        "input-required-result-non-tool-request": 3,
        "input-required-result-result-type": 2,
        "input-required-result-unsupported-methods": 2,
        "input-required-result-tampered-state": 2,
        "input-required-result-capability-check": 2,
        "input-required-result-ignore-extra-params": 2,
        "input-required-result-validate-input": 3,
    },
}
"""Scenarios, and the checks that each of them passes without a guard."""
