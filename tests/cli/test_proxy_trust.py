"""A proxy follows its file of trusted keys: nobody restarts it to rotate or to remove a key."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import anyio
import pytest
from mcp import Client

from hessra_agents import Authority, Trust
from tests.cli.test_mcp import Place, listening, started, text_of


async def answer(client: Client) -> str:
    return text_of(await client.call_tool("add", {"a": 2, "b": 3}))


async def rotated(place: Place, client: Client) -> None:
    """Removed, the key ends the running client; put back, it serves again; a spoiled file changes nothing."""
    ours, other = place.authority.trust, Authority.ephemeral().trust

    async def becomes(word: str) -> None:
        while word not in await answer(client):
            pass

    await becomes("5")
    other.save(place.folder / "trust.json")
    await becomes("[")
    (place.folder / "trust.json").write_text("")
    assert "[" in await answer(client)
    ours.save(place.folder / "trust.json")
    await becomes("5")


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("http", [False, True])
async def test_a_running_proxy_learns_of_keys(tmp_path: Path, http: bool, anyio_backend: str) -> None:
    place = Place(tmp_path)
    if http:
        with listening(place, place.proxy("--listen", "127.0.0.1:0", "--capability", "bearer")) as url:
            async with Client(url) as client:
                await rotated(place, client)
    else:
        async with Client(place.parameters(place.proxy("--capability", "bearer"))) as client:
            await rotated(place, client)


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sighup_has_a_service_read_the_file_and_ends_nothing(
    tmp_path: Path, anyio_backend: str
) -> None:
    place = Place(tmp_path)
    spy = ["sh", "-c", 'echo "{\\"jsonrpc\\":\\"2.0\\",\\"method\\":\\"up\\"}"; exec sleep 600']
    with started(place, place.proxy(command=spy), stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert "up" in process.stdout.readline()
        Trust(place.authority.trust.capability).save(tmp_path / "trust.json")
        process.send_signal(signal.SIGHUP)
        assert process.stderr is not None
        assert "read again" in process.stderr.readline()
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_sighup_over_http_has_the_proxy_read_the_file_and_ends_nothing(
    tmp_path: Path, anyio_backend: str
) -> None:
    """A client that is connected is served by the keys that the file has now."""
    place = Place(tmp_path)
    with started(place, place.proxy("--listen", "127.0.0.1:0", "--capability", "bearer")) as process:
        assert process.stderr is not None
        url = process.stderr.readline().split()[-1]
        process.stderr.readline()  # who may use it
        async with Client(url) as client:
            assert await answer(client) == "5"
            Authority.ephemeral().trust.save(tmp_path / "trust.json")
            process.send_signal(signal.SIGHUP)
            assert "read again" in await anyio.to_thread.run_sync(process.stderr.readline)
            assert "[bad_signature]" in await answer(client)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 128 + signal.SIGTERM
