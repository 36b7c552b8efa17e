"""A file of tokens and cases, as it grows: what is frozen stays, what is new is made and checked."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable
from typing import Any

from biscuit_auth import Biscuit, BiscuitValidationError

from tests.vectors import run
from tests.vectors.material import KEYS, P256_PUBLIC, seed
from tests.vectors.run import HERE, Row

__all__ = ["Frozen", "keep"]


class Frozen:
    """One file of tokens, with cases of what verifiers must say of them: ``kind``, or ``kind-2``.

    ``made`` are the tokens as they are made now, by name: all of them with ``again``, which writes nothing.
    """

    def __init__(self, name: str, *, again: bool) -> None:
        path = HERE / f"{name}.json"
        self._name, self._again = name, again
        self.made: dict[str, str] = {}
        self._old: Row = json.loads(path.read_bytes()) if path.exists() else {"tokens": {}, "cases": []}
        self._cases: dict[str, Row] = {case["name"]: case for case in self._old["cases"]}
        self._seen: set[str] = set()
        keys: Row = {key: {"public": str(k.public), "seed": seed(key).hex()} for key, k in KEYS.items()}
        keys["p256 root"] = {"public": P256_PUBLIC}
        self.file: Row = {"format": run.format_of(name), "kind": name.removesuffix("-2"), "keys": keys}
        self.file["trust"] = {"ids": {"1": "root"}}
        self.file |= {"tokens": {}, "cases": []}

    def token(
        self, name: str, about: str, make: Callable[[], Any], *, root: str = "root", trust: Row | None = None
    ) -> None:
        """A token, made now unless it is frozen: a text, or something that has a ``token``.

        ``root`` is the key that its signatures are checked with; ``trust`` is for a verifier that starts
        from other keys than those of the file.
        """
        assert name not in self.file["tokens"], name
        entry = self._old["tokens"].get(name)
        if entry is None or self._again:
            made = make()
            self.made[name] = text = made if isinstance(made, str) else made.token
            entry = entry or self._entry(text, about, root) | ({"trust": trust} if trust else {})
        self.file["tokens"][name] = entry

    def _entry(self, text: str, about: str, root: str) -> Row:
        entry: Row = {"about": about, "root": root, "token": text}
        with contextlib.suppress(BiscuitValidationError):
            Biscuit.from_base64(text, run.keys_of(self.file)[root].for_biscuit())
            entry |= run.shape(text, p256_root=root == "p256 root")
        return entry

    def add(
        self, case: Row, complete: Callable[[Row], Row], verdict: str, *, engine: str = "", differs: str = ""
    ) -> None:
        """A case, completed now unless it is frozen, that must get this verdict.

        The engine allows what we permit and denies what we do not, unless ``engine`` says something else;
        if it allows what we refuse, ``differs`` says why.
        """
        name = case["name"]
        assert name not in self._seen, name
        self._seen.add(name)
        if name not in self._cases:
            case = complete(case)
            case |= {"engine": engine or ("allow" if verdict == "permitted" else "deny"), "verdict": verdict}
            if differs:
                case["differs"] = differs
            found = run.engine(self.file, case), run.verdict(self.file, case)
            assert found == (case["engine"], verdict), (name, found)
            assert bool(differs) == (case["engine"] == "allow" and verdict != "permitted"), name
            self._cases[name] = case
        self.file["cases"].append(self._cases[name])

    def write(self) -> None:
        """Write the file, unless all is made again. Nothing that was frozen may get lost."""
        gone = (self._old["tokens"].keys() - self.file["tokens"].keys()) | (self._cases.keys() - self._seen)
        assert not gone, f"frozen, and no longer made: {sorted(gone)}"
        if not self._again:
            _write(self._name, self.file)


def keep(name: str, cases: Iterable[Row], **more: Any) -> None:
    """Write a file of cases that come out the same every time; what is frozen must be among them."""
    path = HERE / f"{name}.json"
    old = json.loads(path.read_bytes())["cases"] if path.exists() else []
    found = list(cases)
    made = {case["name"]: case for case in found}
    assert len(made) == len(found), "a name twice"
    for case in old:
        assert made.get(case["name"]) == case, f"frozen, and now different: {case['name']}"
    kind = name.removesuffix("-2")
    _write(name, {"format": run.format_of(name), "kind": kind, **more, "cases": found})


def _write(name: str, file: Row) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(file, indent=1) + "\n")
