"""The twins are of today's source, every reason has one, and it is told what a win is."""

from __future__ import annotations

from pathlib import Path

import pytest

import hessra_agents
from hessra_agents import Reason

from .run import TWINS, noticed, tried, weakened, wins
from .twin import Edit, Twin

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
    assert {twin.reason for twin in TWINS} == {str(reason) for reason in Reason}
    assert len({twin.name for twin in TWINS}) == len(TWINS)


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
