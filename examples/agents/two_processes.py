"""Two processes: whoever reads the line between them can steal the capability, and use it no more.

This process has the tools and the guard; the agent runs in another. The agent makes its own key and shows
only the public half; the capability that comes back is bound to it. Each call carries a proof, signed for
that very call and this very guard. A thief who copied the capability, the proof and the call from the
line can neither make another call nor make the same one twice.
"""

import json
import subprocess
import sys
from datetime import timedelta
from typing import Any

import anyio

from hessra_agents import (
    Authority,
    Call,
    Capability,
    Denied,
    Guard,
    KeyPair,
    Ledger,
    PublicKey,
    Trust,
    grant,
    must,
)

authority = Authority.ephemeral()
guard = Guard(authority.trust, audience="files", ledger=Ledger.memory())


@guard.tool
async def read_file(path: str) -> str:
    """Read a file."""
    return f"the text of {path}"


def agent() -> None:
    """Run the other process, which has a key and no tools."""
    key = KeyPair.generate()
    print(json.dumps({"key": str(key.public)}), flush=True)
    given = json.loads(input())
    trust = Trust({int(i): PublicKey.parse(k) for i, k in given["trust"].items()})
    capability = Capability.parse(given["capability"], trust)
    for path in ("/srv/data/a.txt", "/srv/data/../keys/root.pem"):
        call = Call.of("read_file", {"path": path})
        proof = capability.prove(call, key=key, audience="files")
        message = {"tool": call.tool, "arguments": call.arguments, "proof": proof.token}
        print(json.dumps({**message, "capability": capability.token}), flush=True)
        print("agent got:", input(), file=sys.stderr)


async def answer(message: dict[str, Any]) -> str:
    """One call from the line: its result, or why it is refused."""
    try:
        return str(
            await guard.call(
                message["capability"], message["tool"], message["arguments"], proof=message.get("proof")
            )
        )
    except Denied as denied:
        return f"refused: {denied}"


async def main() -> None:
    command = [sys.executable, __file__, "agent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: ASYNC220
        assert process.stdin
        assert process.stdout

        def send(text: str) -> None:
            assert process.stdin
            process.stdin.write(text + "\n")
            process.stdin.flush()

        def receive() -> dict[str, Any]:
            assert process.stdout
            message: dict[str, Any] = json.loads(process.stdout.readline())
            return message

        capability = authority.issue(
            "agent:reader",
            grant(read_file, path=must.under("/srv/data")),
            ttl=timedelta(minutes=5),
            audience="files",
            holder=PublicKey.parse(receive()["key"]),
        )
        keys = {str(i): str(key) for i, key in authority.trust.capability.items()}
        send(json.dumps({"capability": capability.token, "trust": keys}))

        first = receive()
        send(await answer(first))
        second = receive()
        refusal = await answer(second)
        send(refusal)

    # what a thief on the line can do with what they saw
    again = await answer(first)
    other = await answer({**first, "arguments": {"path": "/srv/data/b.txt"}})
    bare = await answer({**first, "proof": None})
    print(again, other, bare, sep="\n")
    assert "[constraint]" in refusal
    assert "[replayed]" in again
    assert "[wrong_call]" in other
    assert "[not_holder]" in bare


if __name__ == "__main__":
    agent() if sys.argv[1:] == ["agent"] else anyio.run(main)
