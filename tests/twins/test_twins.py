"""The twins are of today's source, every reason and every check has one, and it is told what a win is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hessra_agents
from hessra_agents import Reason

from .checks import CHECKED, checks, numbered, without_twin
from .run import TWINS, noticed, tried, weakened, wins
from .twin import FINDING, Edit, Twin

ROOT = Path(hessra_agents.__file__).parent
TESTS = Path(__file__).parents[2]


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.name)
def test_a_twin_is_of_the_source_as_it_is(twin: Twin) -> None:
    """Its edits can be made, the program is still one, and its test is there."""
    assert twin.edits
    for edit in twin.edits:
        text = edit.made((ROOT / edit.file).read_text())
        if edit.file.endswith(".py"):
            compile(text, edit.file, "exec")
    file, _, name = twin.test.partition("::")
    assert f"def {name}(" in (TESTS / file).read_text()


def test_every_reason_has_a_twin() -> None:
    assert {twin.reason for twin in TWINS} == {*map(str, Reason), FINDING}
    assert len({twin.name for twin in TWINS}) == len(TWINS)


REFUSED_BEHIND = {
    "a pattern matches, and its compiled form does not": "without a problem to name, naming it fails",
    "the approvals must be a list": "what is in anything else is no approval",
    "request=request.id": "there is no permit to go on with",
    "vote.check_form()": "a vote that cannot be read is no approval",
    "_request: if (Denied, LookupError": "the failure to read a request is a refusal",
    "the capability or the proof is not a string": "neither is read from anything but a string",
    "the name of the {kind} is not a string": "no call has such a name",
}
"""Checks that only say more clearly what is refused behind them all the same, and by what."""


@pytest.mark.parametrize("file", CHECKED)
def test_every_check_has_a_twin(file: str) -> None:
    """Each place in these modules where a call is refused, and each statement that does nothing but check."""
    missing = without_twin(ROOT, file, TWINS)
    assert [str(one) for one in missing if not any(words in str(one) for words in REFUSED_BEHIND)] == []


def test_the_page_tells_how_many_there_are() -> None:
    page = (TESTS / "docs/evidence/twins.md").read_text()
    found = sum(checks((ROOT / file).read_text()).total() for file in CHECKED)
    assert f"There are {len(TWINS)} twins" in page
    assert f"each of the {found} places" in page
    assert sum(map(int, re.findall(r" \| (\d+) \|$", page, re.MULTILINE))) == len(TWINS)


STEPS = {
    "verify/verifier.py": (
        "nothing expires",
        "the place is not looked at",
        "a holder's capability needs no proof",
        "every object is granted",
        "arguments are not looked at",
        "no approval is needed",
        "the engine is not asked",
    ),
    "guard/enforcement.py": (
        "after a wait for a thread nothing is decided again",
        "a server's own schema is not asked",
        "the ledger is not asked",
        "a later look does not see the time",
        "",  # records, and refuses nothing
    ),
    "mcp/authorization/authorizer.py": (
        "arguments may be anything",
        "a bearer is served over HTTP",
        "a server's own schema is not asked",
        "an answer is given again, whatever has become of the right",
    ),
    "ledger/log/verify.py": (
        "a record may be another than its row",
        "a tile may be another than its records make",
        "a checkpoint may be of other records",
        "a record that no checkpoint covers may be anybody's",
        "kept arguments may be of another call",
    ),
}
"""The twin that lacks each of the steps that a module numbers, in their order."""


@pytest.mark.parametrize("file", STEPS)
def test_every_numbered_step_has_a_twin(file: str) -> None:
    assert numbered((ROOT / file).read_text()) == [*range(1, len(STEPS[file]) + 1)]
    assert {*STEPS[file]} - {twin.name for twin in TWINS} <= {""}


def test_a_check_is_found_wherever_it_stands() -> None:
    source = """
class Guard:
    async def call(self):
        if a:
            raise Denied(A)
        elif b:
            self.check_b()
        try:
            await ledger.admit(permit)
        except LookupError as error:
            raise Denied(B) from error
        match query:
            case Right():
                return
            case _:
                raise outside_profile("c")
        for one in many:
            if not one:
                raise MalformedError("d")
            raise ValueError("no refusal")
"""
    assert [(one.function, one.condition) for one in checks(source)] == [
        ("call", "a"),
        ("call", "b"),
        ("call", ""),
        ("call", "LookupError"),
        ("call", "_"),
        ("call", "not one"),
    ]


def test_a_twin_is_noticed_and_beaten() -> None:
    """One of them, for the machinery; `make twins` does so with all."""
    twin = next(twin for twin in TWINS if twin.name == "nothing expires")
    known = {
        "a capability after its end": "expired",
        "one bit of the first block's signature flipped": "bad_signature",
    }
    verdict = tried(twin, known)
    assert verdict.failed.startswith(twin.test)
    assert verdict.won == "a capability after its end: ran, not expired"


def test_the_package_itself_is_not_noticed() -> None:
    with weakened(
        Twin("nothing", "expired", "", Edit("errors.py", "from __future__", "from __future__"))
    ) as folder:
        assert noticed(folder, "tests/keys/test_keyfile.py") == ""


@pytest.mark.parametrize(
    ("refused", "outcome", "won"),
    [
        ("expired", "expired", False),
        ("expired", "ran", True),
        ("expired", "revoked", False),
        ("outside_profile", "wrong_audience", True),
        ("call: spent", "call: ran", True),
        ("call: spent", "call: revoked", False),
        ("call: spent", "approve: ran", False),
        ("call: ran", "call: spent", False),
        ("wait: waited", "wait: ran", False),
    ],
)
def test_what_is_a_win(refused: str, outcome: str, won: bool) -> None:
    """A call runs, or work is done, that the whole package refuses."""
    assert wins(refused, outcome) is won
