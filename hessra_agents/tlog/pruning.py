"""The signed note that the first records of a log were removed on purpose.

    hessra-pruning v1
    The operator of this ledger removed records.
    log hessra-agents/51f0a9b3c2d4e5f6
    records 2560
    at 1796040000
    archived yes
    checkpoint 5000 lFm3qg...=

Only the records go: their hashes stay, so the tree and its checkpoints hold as before, and an archive can be
held against them. Records that are missing without such a note, signed by the log's key, were not pruned.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from ..keys.keys import KeyPair
from .merkle import WIDTH
from .notes import Checkpoint, NoteError, sign, verify

__all__ = ["Pruning"]

_NUMBER = "(0|[1-9][0-9]{0,18})"
_TEXT = re.compile(
    "hessra-pruning v1\n"
    "The operator of this ledger removed records.\n"
    "log ([^\n]+)\n"
    f"records {_NUMBER}\n"
    "at (0|[1-9][0-9]{0,10})\n"
    "archived (yes|no)\n"
    f"checkpoint {_NUMBER} ([A-Za-z0-9+/]{{43}}=)\n"
)


@dataclass(frozen=True, slots=True)
class Pruning:
    """What was removed: the first ``size`` records of the log that a checkpoint names.

    ``time`` is when (Unix seconds), ``archived`` whether all of them were archived first, ``checkpoint`` what
    the log had signed then.

    Raises:
        NoteError: these are not whole tiles of records that the checkpoint covers.
    """

    size: int
    time: int
    archived: bool
    checkpoint: Checkpoint

    def __post_init__(self) -> None:
        if not 0 < self.size <= self.checkpoint.size or self.size % WIDTH or self.checkpoint.extensions:
            raise NoteError("what is pruned is whole tiles of records that a checkpoint covers")

    @property
    def description(self) -> str:
        """What went and when, in words."""
        when = datetime.fromtimestamp(self.time, UTC)
        where = "they were archived" if self.archived else "not all of them were archived"
        went = f"the first {self.size} records were pruned on {when:%Y-%m-%d}"
        return f"{went}: {where}, and their hashes are here"

    def sign(self, key: KeyPair) -> str:
        """Return the note, signed by the log's key."""
        signed = self.checkpoint
        text = (
            "hessra-pruning v1\n"
            "The operator of this ledger removed records.\n"
            f"log {signed.origin}\n"
            f"records {self.size}\n"
            f"at {self.time}\n"
            f"archived {'yes' if self.archived else 'no'}\n"
            f"checkpoint {signed.size} {b64encode(signed.root).decode()}\n"
        )
        return sign(text, signed.origin, key)

    @classmethod
    def verified(cls, note: str, keys: Iterable[str]) -> Pruning:
        """Read a note that the log itself signed, with a known key of the log's name.

        Raises:
            NoteError: none of the keys is the log's, or the note is invalid.
        """
        text, signers = verify(note, keys)
        found = _TEXT.fullmatch(text)
        if found is None:
            raise NoteError("this is not the note of a pruning")
        if found[1] not in signers:
            raise NoteError("the log that was pruned has not signed the note with a known key")
        checkpoint = Checkpoint(found[1], int(found[5]), b64decode(found[6]))
        return cls(int(found[2]), int(found[3]), found[4] == "yes", checkpoint)
