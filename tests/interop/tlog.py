"""Exports and proofs of ours, checked by Go's implementation of transparency logs, and those of Go by us.

    python -m tests.interop.tlog

It needs Debian's packages ``golang-go`` and ``golang-golang-x-mod-dev`` (golang.org/x/mod/sumdb). Prints how
many checks passed on each side; the exit status says whether all did.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from base64 import b64decode, b64encode
from pathlib import Path

from hessra_agents.tlog.export import check, prove
from hessra_agents.tlog.merkle import check_consistency, check_inclusion, consistency, leaf_hash
from hessra_agents.tlog.notes import Checkpoint
from tests.support.log_world import Log, grown, records

PACKAGES = Path("/usr/share/gocode")
PROGRAM = Path(__file__).parent / "go" / "tlog.go"
SIZES = [1, 2, 3, 7, 8, 255, 256, 257, 512, 600, 65_536, 65_836]


def main() -> int:
    """Check logs of several sizes in both directions."""
    if not (PACKAGES / "src/golang.org/x/mod/sumdb/tlog").is_dir():
        print("needs Debian's packages golang-go and golang-golang-x-mod-dev")
        return 1
    with tempfile.TemporaryDirectory() as made:
        program = Path(made) / "check"
        built = {"GO111MODULE": "off", "GOPATH": str(PACKAGES), "GOCACHE": made + "/cache", "GOFLAGS": ""}
        subprocess.run(["go", "build", "-o", program, PROGRAM], env={**os.environ, **built}, check=True)
        theirs = ours = 0
        for size in SIZES:
            by_go, by_us = both_ways(Path(made) / str(size), size, program)
            print(f"{size} records: {by_go} checks by Go, {by_us} by us")
            theirs, ours = theirs + by_go, ours + by_us
    print(f"{theirs} passed by Go, {ours} by us")
    return 0


def both_ways(folder: Path, size: int, program: Path) -> tuple[int, int]:
    log, rng = Log(records(size)), random.Random(size)
    leaves = [leaf_hash(record) for record in log.records]
    tree, shelf = grown(leaves)
    log.export(folder / "export")
    some = {0, size - 1, *(rng.randrange(size) for _ in range(40))}
    olds = {1, size, *(rng.randrange(1, size + 1) for _ in range(20))}
    for name in ("records", "older", "extends"):
        (folder / name).mkdir()
    (folder / "vkey").write_text(log.keys[0])
    for index in some:
        (folder / "records" / str(index)).write_text(prove(folder / "export", index))
    roots = {}
    for old in olds:
        note = Log(log.records[:old], key=log.key).note()
        roots[old] = Checkpoint.unverified(note).root
        (folder / "older" / str(old)).write_text(note)
        proof = consistency(old, size, shelf)
        (folder / "extends" / str(old)).write_text("\n".join(b64encode(one).decode() for one in proof))
    by_go = int(subprocess.run([program, folder], check=True, stdout=subprocess.PIPE, text=True).stdout)
    made = folder / "go"
    signed = Checkpoint.verified((made / "note").read_text(), [(made / "vkey").read_text()])
    assert signed == check(folder / "export", log.keys)
    for index in some:
        check_inclusion(leaves[index], index, size, hashes(made / f"inclusion-{index}"), tree.root())
    for old in olds:
        check_consistency(old, roots[old], size, tree.root(), hashes(made / f"consistency-{old}"))
    return by_go, 1 + len(some) + len(olds)


def hashes(path: Path) -> list[bytes]:
    return [b64decode(line) for line in path.read_text().split()]


if __name__ == "__main__":
    sys.exit(main())
