"""The command line ``hessra-agents``.

    hessra-agents keys init keys
    hessra-agents trust keys --out trust.json
    hessra-agents issue keys agent:desk --grants desk.toml --ttl 10m --audience mail > desk.token
    hessra-agents verify --trust trust.json --audience mail send_email '{"to": "ana@acme.com"}' < desk.token

1. A token or a proof comes from standard input or a file, a passphrase from a terminal or a file; none of
   them from an argument or the environment, where other programs can read them. What has the shape of a
   token or a private key is in no message. A call's arguments can come from a file, too: --arguments.
2. Standard output has the answer and nothing else, so that commands pipe; words to people go to standard
   error, a line each. With ``--json`` the answer is one JSON object.
3. The exit code is 0 (permitted, or done), 1 (refused), 2 (wrong usage or bad input) or 3 (a failure of
   this program). A signal ends it as the shell says: 130 (interrupted), 141 (nobody reads the output).
4. No traceback, whatever happens, and no private key or passphrase in any output.
5. What a token, a file or an argument says reaches the terminal with control characters and everything
   invisible escaped.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    from . import terminal

    try:
        from .app import run

        return terminal.show(run(sys.argv[1:] if arguments is None else arguments))
    except BaseException as error:
        return terminal.tell(error)
