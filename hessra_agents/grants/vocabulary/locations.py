"""Constrain paths, URLs and email addresses, which have a canonical form."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable

from ...call import formats
from ..clauses import Clause, Test
from .arguments import integer, list_of, plain, shown, single, string
from .constraints import Constraint

__all__ = ["Locations"]


class Locations:
    """Constraints on where something is."""

    @staticmethod
    def under(root: str, *, ending: str | None = None) -> Constraint:
        """Require a canonical absolute path: this path or one below it, by whole components.

        Refused: relative paths, ``..``, ``//``, a final slash, encoded separators, control and invisible
        characters. Not protected: symbolic links and case-insensitive file systems; where they matter, the
        tool must resolve the path itself (`os.path.realpath`) and check again.

        Args:
            root: the folder, or the one file.
            ending: how the last component must end, such as ``.csv``.
        """
        tests = (Test("starts", _folder(root)), *_ending(ending))
        return single(f"a path under {shown(root)}{_told(ending)}", ("arg_path", tests))

    @staticmethod
    def directly_in(folder: str, *, ending: str | None = None) -> Constraint:
        """Require a canonical absolute path of something directly in this folder, not deeper.

        Refused and not protected: as for `under`.

        Args:
            folder: the canonical absolute path of the folder.
            ending: how the last component must end, such as ``.csv``.
        """
        clauses: list[tuple[str, object]] = [("arg_parent", _folder(folder))]
        if ending is not None:
            clauses.append(("arg_path", _ending(ending)))
        return single(f"a path directly in {shown(folder)}{_told(ending)}", *clauses)

    @staticmethod
    def relative(under: str | None = None, *, ending: str | None = None) -> Constraint:
        """Require a canonical relative path, such as ``reports/may.csv``, that leads nowhere up.

        Refused: absolute paths, ``..``, ``//``, a final slash, ``:`` in the first component, ``-`` in front,
        and what `under` refuses. Not protected: what `under` does not, and the folder that the tool takes it
        from.

        Args:
            under: this relative path or one below it, by whole components; if omitted, any.
            ending: how the last component must end, such as ``.csv``.
        """
        path = "" if under is None else formats.relative_path(string(under, "under"))
        if path is None:
            raise ValueError("must.relative takes a canonical relative path, such as 'reports'")
        tests = (*([Test("starts", path)] if path else []), *_ending(ending))
        where = "" if under is None else f" under {shown(under)}"
        return single(f"a relative path{where}{_told(ending)}", ("arg_relpath", tests))

    @staticmethod
    def url(
        *hosts: str, scheme: str = "https", ports: Iterable[int] | None = None, under: str = "/"
    ) -> Constraint:
        """Require a canonical URL at one of these hosts, at this path or below it. The query is free.

        Refused: user info, fragments, final dots, numeric, IPv6 and punycode hosts, control and non-ASCII
        characters, dot segments plain or encoded, needless percent-encoding. Not protected: what the host
        name resolves to, and redirects; below ``*.``, who may have a name there.

        Args:
            hosts: host names in lower case; ``*.acme.com`` for every name below ``acme.com``, which needs two
                labels or more and is not itself meant.
            scheme: ``https`` or ``http``.
            ports: the ports; if omitted, the scheme's own.
            under: the path, by whole components.
        """
        return _urls("arg_url", formats.url, hosts, scheme, ports, under)

    @staticmethod
    def ip_url(
        *addresses: str, scheme: str = "https", ports: Iterable[int] | None = None, under: str = "/"
    ) -> Constraint:
        """Require a canonical URL whose host is one of these IP addresses. The query is free.

        Refused: all that `url` refuses but the address itself, which must be written in one way: four numbers
        in decimal without leading zeros, or IPv6 in lower case and as short as it can be (RFC 5952), in
        brackets. IPv6 that embeds IPv4 is refused. Not protected: redirects.

        Args:
            addresses: such as ``10.0.0.5`` or ``2001:db8::1``, without brackets.
            scheme: ``https`` or ``http``.
            ports: the ports; if omitted, the scheme's own.
            under: the path, by whole components.
        """
        hosts = [f"[{address}]" if ":" in address else address for address in addresses]
        return _urls("arg_ip_url", formats.ip_url, hosts, scheme, ports, under)

    @staticmethod
    def host(*hosts: str) -> Constraint:
        """Require one of these host names, alone; their letters may be of either case.

        Refused: what `url` refuses as a host, and a port. Not protected: what the host name resolves to.
        """
        read = [formats.host(string(host, "a host")) for host in hosts]
        if not read or None in read:
            raise ValueError("must.host takes host names, such as 'api.acme.com'")
        names = frozenset(host for host in read if host)
        words = f"one of the hosts {list_of(sorted(names))}"
        return single(words, ("arg_host", (Test("in", names),)))

    @staticmethod
    def email(*allowed: str) -> Constraint:
        """Require exactly one email address: one of these, or at one of these domains (without ``@``).

        Refused: lists, display names, quoting, comments, line breaks, IP and punycode domains.

        Args:
            allowed: addresses, and domains in lower case; ``*.acme.com`` for every domain below ``acme.com``,
                which is not itself meant.
        """
        addresses = frozenset(a for a in allowed if "@" in a)
        domains = frozenset(allowed) - addresses
        read = [formats.email(a) for a in addresses]
        read += [formats.email(f"a@{d.removeprefix('*.')}") for d in domains]
        if not read or None in read:
            raise ValueError("must.email takes addresses, and lower-case domains of two labels or more")
        words = f"one email address: {list_of(sorted(addresses) + [f'any at {d}' for d in sorted(domains)])}"
        exact = frozenset(d for d in domains if d[0] != "*")
        tests = [(Test("in", addresses, 0),)] if addresses else []
        tests += [(Test("in", exact, 1),)] if exact else []
        tests += [(Test("ends", d[1:], 1),) for d in sorted(domains - exact)]
        return Constraint(words, lambda at: (tuple((Clause("arg_email", at.key, None, t),) for t in tests),))


def _folder(root: object) -> str:
    path = formats.path(str(plain(root)))
    if path is None:
        raise ValueError("a folder must be a canonical absolute path, such as '/srv/data'")
    return path


def _ending(ending: str | None) -> tuple[Test, ...]:
    """Return the test that the last component of a path, which is closed by '/', ends so."""
    if ending is None:
        return ()
    if "/" in string(ending, "ending") or formats.path(f"/x{ending}") is None:
        raise ValueError("ending must be what the last component of a path can end with, such as '.csv'")
    return (Test("ends", f"{ending}/"),)


def _told(ending: str | None) -> str:
    return "" if ending is None else f" that ends with {shown(ending)}"


_PORTS = {"https": 443, "http": 80}


def _urls(
    fact: str,
    read: Callable[[str], tuple[str, str] | None],
    hosts: Iterable[str],
    scheme: str,
    ports: Iterable[int] | None,
    under: str,
) -> Constraint:
    """Return the constraint on URLs of these hosts; ``read`` knows the form that the fact states."""
    if scheme not in _PORTS:
        raise ValueError("the scheme of a URL must be https or http")
    numbers = [_PORTS[scheme]] if ports is None else [integer(port, "a port") for port in ports]
    exact: set[str] = set()
    below: dict[str, tuple[Test, ...]] = {}
    for host, number in itertools.product(hosts, numbers):
        name = string(host, "a host").removeprefix("*." if fact == "arg_url" else "")
        origin = f"{scheme}://{name}:{number}"
        fits = under and read(origin + under) == (origin, under.removesuffix("/") + "/")
        if not fits or (name != host and "." not in name):
            raise ValueError(
                "a URL takes hosts in their canonical form ('*.' only before two labels or more), ports from"
                " 1 to 65535, and a canonical path"
            )
        if name == host:
            exact.add(origin)
        else:
            tests = Test("starts", f"{scheme}://"), Test("ends", f".{name}:{number}")
            below[f"{scheme}://{host}:{number}"] = tests
    if not exact and not below:
        raise ValueError("a URL takes at least one host, and at least one port if any are named")
    at_path = (Test("starts", under.removesuffix("/") + "/", 1),) if under != "/" else ()
    origins = [(Test("in", frozenset(exact)),)] if exact else []
    tests_of_each = [(*tests, *at_path) for tests in [*origins, *below.values()]]
    words = f"a URL at {list_of([*sorted(exact), *below])}" + (f" under {under}" if at_path else "")
    return Constraint(words, lambda at: (tuple((Clause(fact, at.key, None, t),) for t in tests_of_each),))
