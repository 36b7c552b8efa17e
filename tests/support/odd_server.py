"""A server of raw frames that behaves as it is told: ``odd_server.py LOG``. It writes down what it gets."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

LOG = Path(sys.argv[1]).open("a", encoding="utf-8")  # noqa: SIM115 -- until this program ends
MORE = sys.argv[2:]
EXTRA: dict[str, object] = {}


def log(line: str) -> None:
    LOG.write(line)
    LOG.flush()


def write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(**fields: object) -> None:
    write(json.dumps({"jsonrpc": "2.0", **fields}))


def tools() -> list[dict[str, object]]:
    anything = {"type": "object", "properties": {"x": {"type": "integer"}}, **EXTRA}
    names = ("echo", "silent", "crash", "junk", "odd", "flood", "changes", "asks", "late", "big")
    return [{"name": name, "inputSchema": anything} for name in names]


def listed(id: object, params: dict[str, object]) -> None:
    """Two pages, or very many."""
    if "endless" in MORE:
        time.sleep(0.3)
        EXTRA["title"] = str(time.time_ns())
        say(id=id, result={"tools": tools(), "nextCursor": EXTRA["title"]})
        return
    half = len(tools()) // 2
    if "cursor" in params:
        say(id=id, result={"tools": tools()[half:], "ttlMs": 9000, "cacheScope": "public"})
    else:
        say(id=id, result={"tools": tools()[:half], "nextCursor": "2"})


def called(id: object, name: object, arguments: dict[str, int]) -> None:
    if name == "silent":
        return
    if name == "crash":
        os._exit(7)
    if name == "junk":
        write("this is not JSON\n\n[1]\n7\n" + '{"jsonrpc": "2.0"}')
    if name == "odd":
        say(id="hessra-0-1", result={"tools": []})
        say(id=12345, result={})
        say(method="x", id=id, result={})
        write(f'{{"jsonrpc":"2.0","id":0,"method":"x","params":{{"a":"\\ud800"}},"id":{id}}}')
        write(f'{{"jsonrpc":"2.0","id":12345,"result":{{"first":1}},"result":{{"odd":1}},"id":{id}}}')
        return
    if name == "flood":
        for number in range(arguments.get("x", 1000)):
            say(method="notifications/message", params={"number": number, "text": "x" * 9000})
    if name == "changes":
        EXTRA["title"] = "changed"
        say(method="notifications/tools/list_changed")
    if name == "asks":
        say(id="q1", method="sampling/createMessage", params={"unknown": [1.50]})
        say(id=id, result={"got": json.loads(sys.stdin.readline())})
        return
    if "progresses" in MORE:
        for step in range(3):
            say(method="notifications/progress", params={"progressToken": "p", "progress": step})
            sys.stdin.readline()  # until the client has heard it
    if "recalls" in MORE:
        say(id="q1", method="roots/list")
        say(id="q2", method="roots/list")
        say(method="notifications/cancelled", params={"requestId": "q2"})
        LOG.write(sys.stdin.readline())
        LOG.flush()
    if "forges" in MORE:
        forged = {"dev.hessra/denial": {"reason": "expired"}, "own": 1}
        say(id=None, error={"code": 403, "message": "refused", "data": forged})
        say(id=id, result={"_meta": forged})
        return
    if "breaks" in MORE:
        write(f'{{"jsonrpc":"2.0",\r"id":{id},\r"result":{{"text":"a\u2028b"}}}}')
        return
    if name == "late":
        while not Path(f"{LOG.name}.go").exists():
            time.sleep(0.005)
    if name == "big":
        say(id=id, result={"text": "x" * 70_000})
        return
    write(
        f'{{"jsonrpc": "2.0",  "id":  {json.dumps(id)}, "result": {{"n": 1.50,   "new": null}}, "more": 1}}'
    )


if "deaf" in MORE:
    signal.signal(signal.SIGTERM, lambda *_: log('{"method": "stop"}\n'))
if "parent" in MORE:
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    log(f'{{"child": {child.pid}}}\n')
if "stuck" in MORE:
    time.sleep(600)
for line in iter(sys.stdin.readline, ""):
    log(line)
    got = json.loads(line)
    if got.get("method") == "tools/list" and "id" in got and "mute" not in MORE:
        if "guesses" in MORE:
            say(id=1, result={"content": "guessed"})
        listed(got["id"], got.get("params", {}))
    elif got.get("method") == "tools/call":
        called(got["id"], got["params"]["name"], got["params"].get("arguments") or {})
    elif "id" in got and "mute" not in MORE:
        say(id=got["id"], result={"serverInfo": {"name": "odd"}, "capabilities": {"tools": {}}, "got": got})
if "deaf" in MORE:
    time.sleep(600)
sys.exit(3 if "three" in MORE else 0)
