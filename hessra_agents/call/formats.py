r"""Recognize the format of a string, only when the string is already canonical.

A constraint such as *under this directory* is safe only for a string that has one reading. Each function
here returns the fact for such a string and None for every other. A string that could be read in a second
way is therefore not a path, not a URL and not an address: it satisfies no constraint. Nothing is rewritten.

1. Every function is total and takes linear time, whatever the string.
2. Unicode, where it is allowed at all, is in NFC and has no invisible characters. Letters of two scripts
   that look alike stay different.
3. A format is about the string alone. What the string does not show (symlinks, DNS, redirects, a file
   system that ignores case) is the tool's responsibility; each function lists it.

    path("/data/in.csv")              # '/data/in.csv/': every path under /data starts with '/data/'
    path("/data/../etc/passwd")       # None
    url("https://api.acme.com/v1?q")  # ('https://api.acme.com:443', '/v1/')
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from ipaddress import ip_address

__all__ = ["argv", "email", "hexadecimal", "host", "ip_url", "operand", "parent", "path"]
__all__ += ["relative_path", "url"]

MAX_PATH = 4096  # bytes: PATH_MAX of Linux
MAX_URL = 8192  # characters; RFC 9110, 4.1 requires at least 8000
MAX_PORT = 65535
MAX_HOST = 253  # characters: RFC 1035, 2.3.4, less the length bytes at both ends
MAX_LOCAL = 64  # characters before the @: RFC 5321, 4.5.3.1.1
MAX_ADDRESS = 254  # characters: a path of 256 (RFC 5321, 4.5.3.1.3) less its angle brackets


def path(text: str) -> str | None:
    r"""Return a canonical absolute POSIX path, closed by one '/' (``/data`` -> ``/data/``), or None.

    Closed so that one prefix test compares whole components: ``/data2/`` does not start with ``/data/``.

    Refused: relative paths; ``.`` and ``..``; ``//`` (POSIX leaves two leading ones to the system) and a
    final ``/``; ``\``, elsewhere the separator; ``.``, ``/``, ``\`` and NUL in percent encoding, however
    often encoded, which a tool may decode; a component that starts with ``~`` (a shell's home) or that
    starts or ends with white space (often trimmed); control characters, line separators, and what is not
    seen or not assigned; text that is not in NFC, or whose compatibility form (NFKC) breaks these rules
    or has other separators; more than 4096 bytes of UTF-8.

    Not protected: symlinks, hard links, mounts and ``/proc``; a file system that ignores case or
    normalises names in its own way; letters of two scripts that look alike; a shell (``*``, ``$``); and
    what changes on the disk after the check.

    Source: POSIX, "Pathname Resolution"; Unicode UAX 15 and UTR 36; CWE-22 and its children.
    """
    if text[:1] != "/" or len(text) > MAX_PATH or not _is_legible(text) or len(text.encode()) > MAX_PATH:
        return None
    # a tool may decode the path, and compare the compatibility form of what it gets
    readings = [text, _decoded(_AGAIN.sub("%", text), errors="replace")] if "%" in text else [text]
    odd = [reading for reading in readings if not _is_one_walk(reading, _COMPONENT)]
    return text if text == "/" else None if odd else text + "/"


def parent(text: str) -> str | None:
    """Return the folder of a canonical `path`, closed by one '/' (``/data/a`` -> ``/data/``), or None."""
    closed = path(text)
    return None if closed is None or closed == "/" else closed[: closed.rindex("/", 0, -1) + 1]


def relative_path(text: str) -> str | None:
    """Return a canonical relative path, closed by one '/' (``in/a.csv`` -> ``in/a.csv/``), or None.

    It is what may follow the first '/' of a canonical `path`. Refused besides: ``:`` in the first component
    (a drive, a scheme, a host to copy from), and ``-`` in front (an option).

    Not protected: what `path` does not; and where the tool joins it to.

    Source: RFC 3986, 4.2, for ``:``; CWE-88 for ``-``.
    """
    reading = _decoded(_AGAIN.sub("%", text), errors="replace") if "%" in text else text
    closed = None if text == "" or _NOT_RELATIVE.match(reading) else path(f"/{text}")
    return None if closed is None else closed[1:]


def url(text: str) -> tuple[str, str] | None:
    r"""Return ``(origin, path)`` of a canonical http(s) URL (``('https://a.com:443', '/v1/')``), or None.

    The port is always written, 80 or 443 where the URL omits it, so that an origin has one spelling. The
    path is closed by one '/', as in `path`; ``/v1`` and ``/v1/`` give the same fact. The query may be any
    query of RFC 3986 and is not part of the fact.

    Refused: other schemes; capitals in scheme or host; user info; a fragment; a host that is not made of
    labels of letters, digits and inner hyphens (so no IPv6, no ``_``, no empty label, no final dot), that
    ends in a number (every notation of IPv4) or has an ``xn--`` label (look-alike letters cannot be told
    apart); a port that is empty, 0, over 65535 or starts with 0; ``//`` and dot segments, also before ``;``
    (some servers drop parameters) or beside blanks; percent encoding in lower case, of unreserved
    characters, of ``/``, ``\``, controls and characters that `path` refuses, and of bytes that are not
    UTF-8; dots or separators encoded twice; raw blanks, controls, ``\`` and anything that is not ASCII; more
    than 8192 characters.

    Not protected: what the name resolves to (also private addresses, and another address a minute later:
    DNS rebinding) and where the server redirects to, so the tool must not follow redirects unchecked; how
    the server reads the path, its case and the query. ``localhost`` is a host like any other.

    Source: RFC 3986, 2.1, 3.1 to 3.5, 6.2.2; RFC 1123, 2.1; RFC 5890, 2.3; WHATWG URL, "Host parsing".
    """
    return _read_url(text, _URL, _is_host)


def ip_url(text: str) -> tuple[str, str] | None:
    """Return ``(origin, path)`` of a canonical http(s) URL whose host is an IP address, or None.

    All as in `url`, but the host: four numbers in decimal without leading zeros (``10.0.0.5``), or IPv6 in
    brackets in its one canonical spelling (``[2001:db8::1]``). Refused: IPv6 that embeds IPv4, which has two
    spellings (``::ffff:0:0/96``, and ``::/96`` but ``::`` and ``::1``); zones (``%eth0``).

    No URL has this fact and that of `url`, so no test on host names ever meets a number.

    Source: RFC 3986, 3.2.2; RFC 5952, 4 and 5.
    """
    return _read_url(text, _IP_URL, _is_address)


def email(text: str) -> tuple[str, str] | None:
    """Return ``(address, domain)`` if ``text`` is exactly one address ``local@domain``, or None.

    The local part is a dot-atom and keeps its case, which only the receiving server interprets. Refused in
    it: quotes and comments, a dot at either end or two in a row, ``%`` and ``!`` (relays once took them for
    a route), and a leading ``-``, ``/`` or ``|`` (an option, a file, a pipe to some mailers). The domain is a
    host as in `url`, of two labels or more. A display name, list separators, white space and line breaks
    are refused everywhere, so no second recipient and no header can be added.

    Not protected: whether the address exists, who reads it, where it is forwarded to, ``+tag`` and other
    aliases of one mailbox; and a shell (``&``, ``$``, `````).

    Source: RFC 5321, 2.3.11, 4.1.2 and 4.5.3.1; Exim's default configuration, ``acl_check_rcpt``.
    """
    if len(text) > MAX_ADDRESS:
        return None
    local, _, domain = text.partition("@")
    if len(local) > MAX_LOCAL or not _LOCAL.fullmatch(local) or "." not in domain or not _is_host(domain):
        return None
    return text, domain


def host(text: str) -> str | None:
    """Return a host name in lower case, or None; its letters of either case mean the same (RFC 4343, 2).

    Refused: what `url` refuses as a host.
    """
    lower = text.lower() if text.isascii() else ""
    return lower if _is_host(lower) else None


def hexadecimal(text: str) -> str | None:
    """Return a string of hexadecimal digits, of either case and at least one, in lower case, or None."""
    return text.lower() if _HEX.fullmatch(text) else None


def argv(value: object) -> str | None:
    """Return the program of a command, its first word, or None.

    The command is a list of strings, and the program is a canonical `path`: a whole path and not a name,
    because ``ls`` may be ``/tmp/evil/ls``. A word with NUL, a control character, a line separator or a lone
    surrogate is refused. The other words are not checked here: see `operand`.

    Not protected: what the program does with its words (``find -exec``, ``git -c``), and a tool that
    hands them to a shell, where ``;`` and ``*`` mean something.

    Source: execve(2); CWE-78 and CWE-88.
    """
    if not isinstance(value, list) or not value:
        return None
    for word in value:
        if type(word) is not str or re.search(_NO_WORD, word):
            return None
    program: str = value[0]
    return program if program != "/" and path(program) is not None else None


def operand(text: str) -> bool:
    """Return whether programs read this command word as an operand: it is not empty, and no ``-`` leads.

    Not protected: programs with options of another kind (``+x``, ``/x``, ``@file``, ``of=x``), and
    systems that turn look-alikes of ``-`` into it (Windows, "best fit").

    Source: POSIX, "Utility Syntax Guidelines", 4 and 10; CWE-88.
    """
    return text != "" and text[0] != "-"


# Characters


def _is_legible(text: str) -> bool:
    """Return whether a string is in NFC and has no control, invisible or unassigned character."""
    if text.isascii():
        return text.isprintable()
    # `isprintable` refuses controls, formats (bidi, zero width), surrogates, private use and what is not
    # assigned, and every separator; of these, other spaces than the usual one are legible
    seen = re.sub(_SPACES, "", text).isprintable() and not re.search(_IGNORABLE, text)
    return seen and unicodedata.is_normalized("NFC", text)


_SPACES = r"[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]"  # Zs, without the space
# The rest of Unicode's Default_Ignorable_Code_Point: joiners, fillers, variation selectors.
# These patterns are strings: `re` compiles these large sets only when they are first needed.
_IGNORABLE = r"[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
_NO_WORD = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]"


# Paths, of files and of URLs


def _is_one_walk(text: str, odd: re.Pattern[str]) -> bool:
    """Return whether no component is odd, also in the compatibility form (NFKC).

    Some tools and file systems compare that form, in which a fullwidth full stop is a full stop.
    """
    forms = [text] if text.isascii() else [text, unicodedata.normalize("NFKC", text)]
    slashes = text.count("/")
    return not [f for f in forms if f.count("/") != slashes or "\\" in f or odd.search(f"{f}/")]


def _decoded(text: str, errors: str = "strict") -> str:
    return _ENCODED.sub(lambda run: bytes.fromhex(run[0].replace("%", "")).decode(errors=errors), text)


def _is_location(text: str) -> bool:
    if _NEEDLESS.search(text):
        return False
    try:
        decoded = _decoded(text) if "%" in text else text
    except UnicodeDecodeError:
        return False
    return _is_legible(decoded) and _is_one_walk(decoded.removesuffix("/"), _SEGMENT)


# Components that are empty, dots, a home directory, or begin or end with white space; and '.', '/', '\' and
# NUL that decoding would reveal, once or several times: their encodings, and a '%' with an encoded digit.
_ENCODED_AGAIN = r"%(?:25)*(?:2[eE]|2[fF]|5[cC]|00)|%[0-9a-fA-F]?%(?:25)*(?:3[0-9]|[46][1-6])"
_COMPONENT = re.compile(rf"/(?:/|\.\.?/|~|\s)|\s/|{_ENCODED_AGAIN}")
_SEGMENT = re.compile(rf"/\s*+(?:\.\.?\s*+)?[;/]|{_ENCODED_AGAIN}")
# '-' in front or ':' in the first component of a relative path, or what is compatible with them (NFKC).
_NOT_RELATIVE = re.compile(r"[-\ufe63\uff0d]|[^/]*[:\u2a74\ufe13\ufe55\uff1a]")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_AGAIN = re.compile(r"%(?:25)+(?=[0-9A-Fa-f]{2})")  # encoded more than once
# Encodings of characters that need none (RFC 3986, 6.2.2.2), of '/' and of '\'.
_NEEDLESS = re.compile(r"%(?:2[DEF]|3[0-9]|[46][1-9A-F]|[57][0-9A]|5[CF]|7E)")


# Hosts, URLs and addresses


def _is_host(text: str) -> bool:
    last = text.rpartition(".")[2]
    return len(text) <= MAX_HOST and _HOST.fullmatch(text) is not None and not _NUMBER.fullmatch(last)


def _is_address(text: str) -> bool:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return False
    number, brackets = int(address), address.version == 6
    embeds = brackets and number > 1 and number >> 32 in (0, 0xFFFF)
    return (f"[{address}]" if brackets else str(address)) == text and not embeds


def _read_url(text: str, form: re.Pattern[str], is_host: Callable[[str], bool]) -> tuple[str, str] | None:
    match = form.fullmatch(text) if len(text) <= MAX_URL else None
    if match is None:
        return None
    scheme, host, port, location = match.groups("")
    port = port or ("443" if scheme == "https" else "80")
    if not is_host(host) or int(port) > MAX_PORT or not _is_location(location):
        return None
    return f"{scheme}://{host}:{port}", location.removesuffix("/") + "/"


# RFC 1035, 2.3.1, as eased by RFC 1123, 2.1
_LABEL = r"(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # every browser reads a host that ends so as IPv4 (WHATWG URL)

_HEX = re.compile(r"[0-9A-Fa-f]++")

_PLAIN = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]*+"  # RFC 3986, 3.3: pchar without percent encoding, and '/'
_AFTER_HOST = (
    r"(?::([1-9][0-9]{0,4}))?"
    rf"(/{_PLAIN}(?:%[0-9A-F]{{2}}{_PLAIN})*)?"
    rf"(?:\?{_PLAIN}(?:(?:[?]|%[0-9A-Fa-f]{{2}}){_PLAIN})*)?"
)
_URL = re.compile(rf"(https?)://([a-z0-9.-]+){_AFTER_HOST}")
_IP_URL = re.compile(rf"(https?)://([0-9.]{{7,15}}|\[[0-9a-f:]{{2,39}}\]){_AFTER_HOST}")

_ATOM = r"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+"  # RFC 5322, 3.2.3: atext without '%' and '!'
_LOCAL = re.compile(rf"(?![-/|]){_ATOM}(?:\.{_ATOM})*")
