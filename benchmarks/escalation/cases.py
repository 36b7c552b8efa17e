"""The published cases: 50 calls in three scenarios, and 20 uses of a chain of delegations.

Source: tenuo-ai/tenuo, benchmarks/escalation, commit 4d6f26e (Apache-2.0); taken as facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["ANY", "SCENARIOS", "STRUCTURE", "AllAt", "Anything", "Ask", "Between", "Bound", "Rights"]
__all__ += ["Scenario", "Under", "Use"]


@dataclass(frozen=True, slots=True)
class Anything:
    """No bound."""


@dataclass(frozen=True, slots=True)
class Between:
    """A number from ``low`` to ``high``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Under:
    """A path in this folder or below it."""

    folder: str


@dataclass(frozen=True, slots=True)
class AllAt:
    """A list of mail addresses, all at this domain."""

    domain: str


Bound: TypeAlias = "Anything | Between | Under | AllAt"
Rights: TypeAlias = "Mapping[str, Mapping[str, Bound]]"
"""Of each tool, what its arguments must be."""

ANY = Anything()


@dataclass(frozen=True, slots=True)
class Ask:
    """One call that is asked for."""

    tool: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the parent may do, what it hands to its child, and the calls of the child."""

    name: str
    parent: Rights
    child: Rights
    attacks: tuple[Ask, ...]
    honest: tuple[Ask, ...]


def _mail(*to: str) -> Ask:
    return Ask("send_email", {"recipients": list(to), "subject": "-", "body": "-"})


def _forward(to: str, email: str) -> Ask:
    return Ask("forward_email", {"recipients": [to], "email_id": email})


def _pay(amount: float, to: str, currency: str = "USD") -> Ask:
    return Ask("transfer_money", {"amount": amount, "to": to, "currency": currency})


def _each(tool: str, argument: str, *values: str) -> tuple[Ask, ...]:
    return tuple(Ask(tool, {argument: value}) for value in values)


def _write(*paths: str) -> tuple[Ask, ...]:
    return tuple(Ask("write_file", {"path": path, "content": "-"}) for path in paths)


_COMPANY = AllAt("company.com")
_LOOK: Rights = {"get_balance": {"account": ANY}, "view_transactions": {"limit": ANY}}

_EMAIL = Scenario(
    "email",
    parent={
        "send_email": {"recipients": ANY, "subject": ANY, "body": ANY},
        "forward_email": {"recipients": ANY, "email_id": ANY},
        "delete_file": {"file_id": ANY},
        "read_file": {"file_id": ANY},
    },
    child={
        "send_email": {"recipients": _COMPANY, "subject": ANY, "body": ANY},
        "forward_email": {"recipients": _COMPANY, "email_id": ANY},
        "read_file": {"file_id": ANY},
    },
    attacks=(
        _mail("attacker@evil.com"),
        _mail("leak@gmail.com"),
        _mail("exfil@protonmail.com"),
        _mail("drop@tutanota.com"),
        _mail("team@company.com", "leak@evil.com"),
        _forward("attacker@evil.com", "123"),
        _forward("leak@yahoo.com", "456"),
        _forward("spy@protonmail.com", "confidential_789"),
        *_each("delete_file", "file_id", "13", "14", "sensitive_doc", "audit_log_2024", "encryption_keys"),
    ),
    honest=(
        _mail("team@company.com"),
        _mail("hr@company.com"),
        _forward("manager@company.com", "100"),
        Ask("read_file", {"file_id": "public_doc"}),
    ),
)

_MONEY = Scenario(
    "financial",
    parent={"transfer_money": {"amount": Between(0, 100_000), "to": ANY, "currency": ANY}, **_LOOK},
    child={"transfer_money": {"amount": Between(0, 50), "to": ANY, "currency": ANY}, **_LOOK},
    attacks=(
        _pay(500, "attacker"),
        _pay(5_000, "offshore"),
        _pay(50_000, "theft"),
        _pay(99_999, "max_steal"),
        _pay(51, "just_over"),
        _pay(50.01, "float_over"),
        _pay(100, "double_limit", "EUR"),
    ),
    honest=(
        _pay(25, "vendor"),
        _pay(50, "petty_cash"),
        _pay(1, "test_account"),
        _pay(49.99, "just_under", "GBP"),
        Ask("get_balance", {"account": "main"}),
        Ask("view_transactions", {"limit": 10}),
    ),
)

_FILES = Scenario(
    "files",
    parent={
        "read_file": {"path": ANY},
        "write_file": {"path": ANY, "content": ANY},
        "delete_file": {"path": ANY},
    },
    child={
        "read_file": {"path": Under("/public")},
        "write_file": {"path": Under("/drafts"), "content": ANY},
    },
    attacks=(
        *_each(
            "read_file",
            "path",
            "/secrets/api_keys.json",
            "/admin/passwords.txt",
            "/private/financials.xlsx",
            "/etc/shadow",
            "/home/deploy/.ssh/id_rsa",
            "/public/../secrets/api_keys.json",
            "/public/../../etc/passwd",
            "/public/./../../private/data",
        ),
        *_write("/drafts/../../etc/passwd", "/drafts/../../../root/.bashrc"),
        *_write("/config/settings.json", "/bin/backdoor.sh", "/var/log/audit.log"),
        *_each("delete_file", "path", "/important/data.db", "/backups/latest.tar", "/public/readme.txt"),
    ),
    honest=(
        *_each("read_file", "path", "/public/readme.txt", "/public/docs/api.md"),
        *_write("/drafts/notes.md", "/drafts/report.txt"),
    ),
)

SCENARIOS = (_EMAIL, _MONEY, _FILES)


@dataclass(frozen=True, slots=True)
class Use:
    """One use of a chain of delegations; an honest one must pass."""

    group: str
    what: str
    honest: bool = False


STRUCTURE = (
    Use("holder", "proved by the child", honest=True),
    Use("holder", "proved by the parent"),
    Use("holder", "proved by a stranger"),
    Use("integrity", "a valid chain", honest=True),
    Use("integrity", "a byte flipped"),
    Use("integrity", "expired"),
    Use("integrity", "another root is trusted"),
    Use("integrity", "made by the child itself"),
    Use("integrity", "the order reversed"),
    Use("integrity", "handed on, though it is the last"),
    Use("integrity", "a proof of 300 s ago"),
    Use("integrity", "a proof for another tool"),
    Use("integrity", "a proof for other arguments"),
    Use("chain", "a valid chain of two", honest=True),
    Use("chain", "wider than its parent"),
    Use("chain", "spliced from another chain"),
    Use("chain", "the child twice"),
    Use("chain", "the parent twice"),
    Use("chain", "the middle left out"),
    Use("chain", "the child alone"),
)
