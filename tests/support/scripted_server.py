"""A server that says what it is told to: ``scripted_server.py SCRIPT``, a JSON object.

It has for each method a list of turns, of which the last is for all further requests. A turn is a list of
lines, written as they are, with the request's id in place of ``$ID``. A method without turns gets no answer.
"""

from __future__ import annotations

import json
import sys

SCRIPT: dict[str, list[list[str]]] = json.loads(sys.argv[1])

for line in iter(sys.stdin.readline, ""):
    message = json.loads(line)
    if type(message.get("id", 0)) is not int:
        continue  # as a server that reads ids into an integer
    turns = SCRIPT.get(message["method"], [[]])
    for said in turns.pop(0) if len(turns) > 1 else turns[0]:
        sys.stdout.buffer.write(said.replace("$ID", str(message.get("id"))).encode("latin-1") + b"\n")
    sys.stdout.flush()
