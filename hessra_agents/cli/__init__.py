"""Provide the command ``hessra-agents``.

    hessra-agents keys init keys
    hessra-agents trust keys --out trust.json
    hessra-agents issue keys agent:desk --grants desk.toml --ttl 10m --audience mail > desk.token
    hessra-agents verify --trust trust.json --audience mail send_email '{"to": "ana@acme.com"}' < desk.token

1. A token or a proof is read from standard input or a file, a passphrase from a terminal or a file; never
   from an argument or the environment, where other programs can read them. Text that looks like a token or
   a private key appears in no message. A call's arguments can also come from a file: --arguments.
2. Standard output carries the result and nothing else, so commands pipe; messages go to standard error,
   one line each. With ``--json`` the result is one JSON object.
3. The exit code is 0 (permitted, or done), 1 (refused), 2 (wrong usage or bad input) or 3 (an internal
   failure); 130 after an interrupt and 141 after a closed pipe, as shells report signals.
4. No error prints a traceback, and no output contains a private key or a passphrase.
5. Text from a token, a file or an argument reaches the terminal with control characters and everything
   invisible escaped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..extras import require

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from . import terminal

    try:
        require("cli", "rich", "typer", purpose="the command line")
        from .app import run

        return terminal.show(run(sys.argv[1:] if arguments is None else arguments))
    except BaseException as error:
        return terminal.report(error)
