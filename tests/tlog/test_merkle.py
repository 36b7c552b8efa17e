"""The hash tree: its roots and proofs are those of RFC 6962, and nothing else passes for one."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hessra_agents.tlog.merkle import (
    EMPTY,
    ProofError,
    Tile,
    Tree,
    check_consistency,
    check_inclusion,
    consistency,
    inclusion,
    leaf_hash,
    node_hash,
    root,
    tile_root,
)
from tests.support.log_world import (
    ROUNDS,
    Shelf,
    grown,
    leaves,
    plain_consistency,
    plain_inclusion,
    plain_root,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "tlog" / "merkle.json").read_text())
NO_HASHES = {"consistency/additional/sizes-are-equal-one-and-proof-is-empty"}  # its equal roots have 9 bytes
SIZES = st.one_of(
    st.integers(1, 3000),
    st.builds(lambda tiles, more: tiles * 256 + more, st.integers(1, 11), st.integers(-2, 2)),
)


def accepted(check: Any, *given: Any) -> bool:
    try:
        check(*given)
    except ProofError:
        return False
    return True


def decoded(text: str | None) -> bytes:
    return b64decode(text or "")


def test_the_published_hashes_come_out() -> None:
    """github.com/transparency-dev/merkle, rfc6962/rfc6962_test.go."""
    assert EMPTY.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert leaf_hash(b"L123456").hex() == "395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"
    node = node_hash(b"N123", b"N456").hex()
    assert node == "aa217fe888e47007fa15edab33c2b492a722cb106c64667fc2b044444de66bbb"


def test_the_published_proofs_are_accepted_and_refused_as_published() -> None:
    wrong: set[str] = set()
    for case in VECTORS["inclusion"]:
        proof = [decoded(one) for one in case["proof"] or ()]
        leaf, top = decoded(case["leafHash"]), decoded(case["root"])
        if accepted(check_inclusion, leaf, case["leafIdx"], case["treeSize"], proof, top) == case["wantErr"]:
            wrong.add(case["name"])
    for case in VECTORS["consistency"]:
        proof = [decoded(one) for one in case["proof"] or ()]
        old, new = (case["size1"], decoded(case["root1"])), (case["size2"], decoded(case["root2"]))
        if accepted(check_consistency, *old, *new, proof) == case["wantErr"]:
            wrong.add(case["name"])
    print(len(VECTORS["inclusion"]) + len(VECTORS["consistency"]), "published proofs")
    assert wrong == NO_HASHES


def test_all_trees_up_to_64_leaves_have_the_roots_and_proofs_of_the_definition() -> None:
    count, all_leaves = 0, leaves(64)
    for size in range(65):
        some = all_leaves[:size]
        tree, shelf = grown(some)
        top = plain_root(some)
        assert tree.root() == root(size, shelf) == top
        for index in range(size):
            proof = inclusion(index, size, shelf)
            assert proof == plain_inclusion(index, some)
            check_inclusion(some[index], index, size, proof, top)
            count += 1
        for old in range(1, size + 1):
            proof = consistency(old, size, shelf)
            assert proof == plain_consistency(old, some)
            check_consistency(old, plain_root(some[:old]), size, top, proof)
            count += 1
    print(count, "proofs")
    assert count == 64 * 65


@given(SIZES, st.data())
def test_larger_trees_are_those_of_the_definition_too(size: int, data: st.DataObject) -> None:
    some = leaves(size)
    tree, shelf = grown(some)
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    assert tree.root() == plain_root(some)
    assert inclusion(index, size, shelf) == plain_inclusion(index, some)
    assert consistency(old, size, shelf) == plain_consistency(old, some)
    check_inclusion(some[index], index, size, inclusion(index, size, shelf), tree.root())
    check_consistency(old, plain_root(some[:old]), size, tree.root(), consistency(old, size, shelf))


@given(st.integers(0, 1200), st.integers(1, 800))
@example(0, 1)
@example(255, 1)
@example(256, 256)
def test_a_tree_restored_from_its_tiles_goes_on_as_if_nothing_had_been(stored: int, more: int) -> None:
    some = leaves(stored + more)
    _, shelf = grown(some[:stored])
    tree = Tree.of(stored, shelf)
    tiles = [tile for leaf in some[stored:] for tile in tree.append(leaf)]
    assert tree.root() == plain_root(some)
    _, whole = grown(some)
    assert all(whole[tile.level, tile.index] == tile.hashes and tile.width == 256 for tile in tiles)
    assert tree.partial(0) == whole.get((0, len(some) // 256), b"")[: len(some) % 256 * 32]


def test_what_is_appended_to_a_copy_is_not_in_the_tree() -> None:
    tree, _ = grown(leaves(300))
    before, twin = tree.root(), tree.copy()
    twin.append(leaf_hash(b"not committed"))
    assert (tree.size, tree.root(), len(tree.partial(0))) == (300, before, 44 * 32)
    assert twin.root() != before


def test_two_levels_of_full_tiles_and_few_reads_for_a_proof() -> None:
    some = leaves(65_536 + 300)
    tree, shelf = grown(some)
    assert {level: sum(at[0] == level for at in shelf) for level in range(3)} == {0: 258, 1: 2, 2: 1}
    assert len(tree.partial(0)) + len(tree.partial(1)) + len(tree.partial(2)) == (44 + 1 + 1) * 32
    for index in (0, 255, 256, 40_000, 65_535, 65_536, 65_835):
        shelf.reads = 0
        check_inclusion(some[index], index, tree.size, inclusion(index, tree.size, shelf), tree.root())
        assert shelf.reads <= 3 * 3
        shelf.reads = 0
        proof = consistency(index + 1, tree.size, shelf)
        assert shelf.reads <= 3 * 3
        check_consistency(index + 1, plain_root(some[: index + 1]), tree.size, tree.root(), proof)


def test_the_root_of_a_full_tile_is_its_hash_in_the_tile_above() -> None:
    _, shelf = grown(leaves(600))
    assert tile_root(shelf[0, 0]) + tile_root(shelf[0, 1]) == shelf[1, 0]
    for wrong in (b"", shelf[0, 2], shelf[0, 0] + shelf[0, 1]):
        with pytest.raises(ValueError):
            tile_root(wrong)


def test_a_record_cannot_pass_for_a_node() -> None:
    left, right = leaves(2)
    assert leaf_hash(left + right) != node_hash(left, right)


def mutated(proof: list[bytes], size: int, rng: random.Random) -> list[bytes]:
    """Another proof than this one."""
    proof = list(proof)
    at = rng.randrange(len(proof) + 1)
    match rng.choice(["flip", "drop", "insert", "double", "swap", "short", "long"] if proof else ["insert"]):
        case "flip":
            at = rng.randrange(len(proof))
            bit = 1 << rng.randrange(256)
            proof[at] = (int.from_bytes(proof[at], "big") ^ bit).to_bytes(32, "big")
        case "drop":
            del proof[rng.randrange(len(proof))]
        case "insert":
            proof.insert(at, rng.randbytes(32))
        case "double":
            proof.insert(at, rng.choice(proof))
        case "swap":
            rng.shuffle(proof)
        case "short":
            proof[at % len(proof)] = proof[at % len(proof)][:31]
        case _:
            proof[at % len(proof)] += b"\x00"
    return proof


def test_no_changed_proof_is_accepted() -> None:
    rng, tried = random.Random(6962), 0
    while tried < ROUNDS:
        size = rng.randrange(1, 600)
        some = leaves(size)
        tree, shelf = grown(some)
        index, old = rng.randrange(size), rng.randrange(1, size + 1)
        found, extends = inclusion(index, size, shelf), consistency(old, size, shelf)
        older, top = plain_root(some[:old]), tree.root()
        for _ in range(20):
            other, another = mutated(found, size, rng), mutated(extends, size, rng)
            if other != found:
                assert not accepted(check_inclusion, some[index], index, size, other, top)
                tried += 1
            if another != extends:
                assert not accepted(check_consistency, old, older, size, top, another)
                tried += 1
    print(tried, "changed proofs, all refused")


def test_a_proof_shows_no_other_leaf_place_size_or_root() -> None:
    some = leaves(100)
    tree, shelf = grown(some)
    top, proof, extends = tree.root(), inclusion(37, 100, shelf), consistency(37, 100, shelf)
    older = plain_root(some[:37])
    for leaf in {*some, top} - {some[37]}:
        assert not accepted(check_inclusion, leaf, 37, 100, proof, top)
    for number in range(-1, 130):
        assert accepted(check_inclusion, some[37], number, 100, proof, top) == (number == 37)
        assert accepted(check_consistency, number, older, 100, top, extends) == (number == 37)
    for size in (*range(-1, 65), *range(129, 140), 2**63, 2**200):  # 65 to 128 have a path of the same shape
        assert not accepted(check_inclusion, some[37], 37, size, proof, top)
    assert not accepted(check_inclusion, some[37], 37, 100, proof, EMPTY)
    assert not accepted(check_consistency, 37, EMPTY, 100, top, extends)
    assert not accepted(check_consistency, 37, older, 100, EMPTY, extends)


@pytest.mark.parametrize("odd", [True, 1.0, "1", None, -1, 2**63])
def test_sizes_are_numbers_in_range(odd: Any) -> None:
    leaf = leaves(1)[0]
    assert accepted(check_inclusion, leaf, 0, 1, [], leaf)
    assert not accepted(check_inclusion, leaf, 0, odd, [], leaf)
    assert not accepted(check_inclusion, leaf, odd, 2, [], leaf)
    assert not accepted(check_consistency, odd, leaf, 1, leaf, [])
    assert not accepted(check_consistency, 1, leaf, odd, leaf, [])


def test_every_tree_extends_the_empty_one_and_no_other_root_is_empty() -> None:
    tree, shelf = grown(leaves(5))
    assert consistency(0, 5, shelf) == []
    check_consistency(0, EMPTY, 5, tree.root(), [])
    check_consistency(0, EMPTY, 0, EMPTY, [])
    for old, old_root, new, new_root, proof in [
        (0, tree.root(), 5, tree.root(), []),
        (0, EMPTY, 0, tree.root(), []),
        (0, EMPTY, 5, tree.root(), [EMPTY]),
        (5, tree.root(), 5, EMPTY, []),
        (5, tree.root(), 5, tree.root(), [tree.root()]),
        (5, tree.root(), 4, tree.root(), []),
    ]:
        assert not accepted(check_consistency, old, old_root, new, new_root, proof)


def test_wrong_use_and_missing_tiles_are_told() -> None:
    _, shelf = grown(leaves(300))
    for wrong in (
        lambda: inclusion(300, 300, shelf),
        lambda: inclusion(-1, 300, shelf),
        lambda: consistency(301, 300, shelf),
        lambda: consistency(-1, 300, shelf),
        lambda: root(2**63, shelf),
        lambda: Tree().append(b"short"),
        lambda: Tree.of(-1, shelf),
        lambda: Tree().partial(-1),
        lambda: Tile(0, 0, b""),
        lambda: Tile(0, 0, bytes(33)),
        lambda: Tile(-1, 0, bytes(32)),
        lambda: Tile(0, 0, bytes(257 * 32)),
    ):
        with pytest.raises(ValueError):
            wrong()
    for lost in (Shelf(), Shelf({**shelf, (0, 1): shelf[0, 1][:-1]}), Shelf({**shelf, (0, 1): b""})):
        for act in (
            lambda on: root(300, on),
            lambda on: inclusion(299, 300, on),
            lambda on: Tree.of(300, on),
        ):
            with pytest.raises(LookupError):
                act(lost)
