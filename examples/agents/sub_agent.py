"""A sub-agent: the mailer that the desk hired reads a poisoned letter and tries to do more than mail Ana.

The desk may mail two people and read one folder. It hands its mailer the right to mail Ana, for a minute,
and nothing else: offline, with no authority to ask. The mailer cannot mail Bo, cannot read the folder, and
cannot pass on more than it has. What it was given ends by its own clock.
"""

from datetime import timedelta

import anyio

from hessra_agents import Authority, Denied, Guard, Toolbox, grant, must

authority = Authority.ephemeral()
guard = Guard(authority.trust, audience="office")
ran: list[str] = []


@guard.tool
async def send_email(to: str, body: str) -> str:
    """Send a mail."""
    ran.append(f"mail to {to}")
    return "sent"


@guard.tool
def read_file(path: str) -> str:
    """Read a file."""
    ran.append(f"read {path}")
    return "text"


async def refused(toolbox: Toolbox, tool: str, **arguments: str) -> None:
    """Make a call that is refused, and print why."""
    try:
        await toolbox.call(tool, arguments)
    except Denied as denied:
        print(f"{toolbox.name}: {denied}")
    else:
        raise AssertionError("this call must be refused")


async def main() -> None:
    capability = authority.issue(
        "agent:desk",
        grant(send_email, to=must.one_of("ana@acme.com", "bo@acme.com"), body=must.anything()),
        grant(read_file, path=must.under("/srv/letters")),
        ttl=timedelta(minutes=10),
        audience="office",
    )
    desk = guard.toolbox(capability)
    mailer = desk.delegate(
        "agent:desk:mailer", grant(send_email, to="ana@acme.com"), ttl=timedelta(minutes=1)
    )

    assert mailer.tools == ("send_email",)
    await mailer.call("send_email", {"to": "ana@acme.com", "body": "hello"})
    await refused(mailer, "send_email", to="bo@acme.com", body="hello")
    await refused(mailer, "read_file", path="/srv/letters/1.txt")

    helper = mailer.delegate("agent:desk:mailer:x", grant(send_email, to=must.anything()))
    await refused(helper, "send_email", to="eve@evil.example", body="hello")

    await desk.call("read_file", {"path": "/srv/letters/1.txt"})
    await refused(desk, "read_file", path="/srv/letters/../keys/root.pem")
    assert ran == ["mail to ana@acme.com", "read /srv/letters/1.txt"]
    print(mailer.capability.describe())


if __name__ == "__main__":
    anyio.run(main)
