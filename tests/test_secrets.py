"""No private key, token or proof appears where logs, errors and tracebacks are kept: a canary scan."""

from __future__ import annotations

import base64
import logging
import traceback
from typing import Any

import pytest

from hessra_agents import Capability, Denied, KeyPair, grant
from hessra_agents.guard.presented import Presented
from tests.support.world import MAIL, World

pytestmark = pytest.mark.anyio


def spellings(secret: bytes) -> list[str]:
    """The texts in which a secret might leak."""
    return [
        secret.hex(),
        secret.hex().upper(),
        base64.b64encode(secret).decode().rstrip("="),
        base64.urlsafe_b64encode(secret).decode().rstrip("="),
        repr(secret)[2:-1],
        str(list(secret))[1:-1],
    ]


async def test_nothing_secret_is_printed(
    world: World, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Every way of failing, with all logging on: neither key, token nor proof is in any output."""
    caplog.set_level(logging.DEBUG)
    key, thief = KeyPair.generate(), KeyPair.generate()
    _, root = world.authority.signer("capability")
    held = world.issue(holder=key.public)
    proof = world.prove(held, key)
    shown: list[str] = []

    async def attempt(run: Any) -> None:
        try:
            result = run()
            if hasattr(result, "__await__"):
                await result
        except Exception as error:
            shown.append("".join(traceback.format_exception(error)))
            shown.extend((str(error), repr(error), repr(error.args)))
            if isinstance(error, Denied):
                shown.extend((error.detail, error.text, repr(error.problems)))

    flipped = held.token[:-9] + ("A" if held.token[-9] != "A" else "B") + held.token[-8:]
    for token in (held.token, flipped, held.token[:-40], held.token + "!", World().issue().token):
        for given in (None, proof.token, proof.token[:-3], "hp1."):
            await attempt(lambda t=token, p=given: world.call(t, proof=p))
            await attempt(lambda t=token, p=given: world.call(t, arguments={"to": "x"}, proof=p))
    await attempt(lambda: world.guard.toolbox(held, key=thief))
    await attempt(lambda: held.delegate(to=thief.public, key=thief))
    await attempt(lambda: held.attenuate())
    await attempt(lambda: Capability.parse(held.token, World().authority.trust))
    await attempt(lambda: held.prove(None, key=key, audience="mail"))  # type: ignore[arg-type]
    await attempt(lambda: world.issue(grant("t", x="y" * 20_000)))
    await attempt(lambda: key.sign("text"))  # type: ignore[arg-type]
    for value in (key, thief, root, held, proof, world.guard, world.authority, world.authority.trust):
        shown.extend((repr(value), str(value), f"{value}"))
    shown.extend((held.describe(), repr(Presented.of(held.token, proof.token, [proof.token]))))
    shown.append(caplog.text)
    shown.extend(capfd.readouterr())

    output = "\n".join(shown)
    assert output.count("Denied") > 20, "the scan looked at nothing"
    for pair in (key, thief, root):
        for spelling in spellings(pair.private.private_bytes_raw()):
            assert spelling not in output
    for token in (held.token, proof.token):
        # not even a part of it
        assert not any(token[i : i + 40] in output for i in range(0, len(token) - 40, 20))
    assert MAIL["body"] not in [word for line in shown for word in line.split()]
