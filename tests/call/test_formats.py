"""Formats: a fact is stated only about a string that has one reading."""

from __future__ import annotations

import email.headerregistry
import email.utils
import ipaddress
import ntpath
import posixpath
import socket
import unicodedata
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hessra_agents.call import formats as shapes


def each(table: dict[str, list[Any]], before: str = "") -> list[Any]:
    """Every text of a table, named by the reason why it is refused."""
    return [pytest.param(before + v if before else v, id=why) for why, vs in table.items() for v in vs]


# Paths

PATHS = [
    "/",
    "/data",
    "/data/in.csv",
    "/home/ana/Résumé (final)…pdf",
    "/data/.hidden/...",
    "/data/a~/100%/x%41",
    "/data/My%20notes/caf%C3%A9/%FF/50%25",
    "/données/東京/файл/👍",
    "/" + "a" * 4095,
]
REFUSED_PATHS = {
    "relative: depends on the working directory": ["", "data", "data/", "./data", " /data"],
    "dots: the file system walks up": ["/data/..", "/data/../etc", "/..", "/data/./x", "/.", "/.../.."],
    "an empty component: two spellings": ["//", "//data", "/data//x"],
    "a final slash: two spellings": ["/data/", "/data/x/"],
    "backslash: elsewhere the separator": ["/data\\..\\x", "/data/..\\", "\\data", "C:\\data"],
    "NUL: ends the text in C": ["/data/x\0.csv", "/\0", "/data\0/../x"],
    "control characters": ["/data\n", "/data/\tx", "/data/\x1b[2J", "/data/\x7f", "/x\x9by"],
    "line separators": ["/data/x\u2028y", "/data/x\u2029y"],
    "encoded dots and separators": ["/data/%2e%2e/x", "/%2E./x", "/..%2fadmin", "/x%5Cy", "/x%00.csv"],
    "encoded twice, or more": ["/data/%252e%252e/x", "/data%25252Fx", "/a/%%32%65%%32%65/x", "/a/..%2%66x"],
    "a shell's home directory": ["/~", "/~root/x", "/data/~ana"],
    "white space that tools trim": ["/ data", "/data /x", "/data/x ", "/data/\u00a0x", "/data/x\u3000"],
    "decomposed: looks like the composed one": ["/data/e\u0301", "/\u212b"],
    "zero width: looks like nothing": ["/da\u200bta", "/data\u200d", "/\ufeffdata", "/data/\u2060"],
    "bidi: shown in another order": ["/data/\u202egpj.exe", "/data/\u2066x", "/data\u200f"],
    "fillers, selectors, joiners: not seen": ["/data/\u3164", "/data/x\ufe0f", "/a\u034fb", "/x\U000e0101"],
    "compatible with dots or separators": ["/data/\uff0e\uff0e/x", "/\u2025/x", "/data\uff0fx", "/a\uff3cb"],
    "compatible with an encoded dot": ["/data/\uff052e/x"],
    "compatible with dots, once it is decoded": ["/data/%E2%80%A5", "/data/%25E2%2580%25A5/x", "/%EF%BC%8Fx"],
    "blanks at an end, once it is decoded": ["/data/x%20", "/%20data/x"],
    "private use, unassigned, no character": ["/data/\ue000", "/data/\u0378", "/data/\U0010ffff"],
    "lone surrogates: bytes that are no text": ["/data/\ud800", "/data/\udc2e"],
    "too long": ["/" + "a" * 4096, "/" + "é" * 2048, "/" + "a/" * 1_000_000 + "a"],
}


@pytest.mark.parametrize("text", PATHS)
def test_a_canonical_path_is_the_same_text_closed(text: str) -> None:
    """Nothing is rewritten, and the standard library reads the same path."""
    assert shapes.path(text) == text.rstrip("/") + "/"
    assert posixpath.normpath(text) == text


@pytest.mark.parametrize("text", each(REFUSED_PATHS))
def test_a_path_with_two_readings_is_no_path(text: str) -> None:
    """Each line of the table is a way out of a directory, or a second spelling of a name."""
    assert shapes.path(text) is None


def test_under_is_one_prefix_test_on_whole_components() -> None:
    """What a constraint on a directory does with the fact."""
    closed = [shapes.path(text) or "" for text in ("/data", "/data/x", "/data2", "/dat", "/")]
    assert [text.startswith("/data/") for text in closed] == [True, True, False, False, False]


# URLs

URLS = {
    "https://api.example.com/v1/users": ("https://api.example.com:443", "/v1/users/"),
    "https://api.example.com:443/v1/users/": ("https://api.example.com:443", "/v1/users/"),
    "http://example.com": ("http://example.com:80", "/"),
    "http://example.com?q=/../@x:y": ("http://example.com:80", "/"),
    "http://localhost:8080/": ("http://localhost:8080", "/"),
    "https://example.com:80/": ("https://example.com:80", "/"),
    "https://a-b.3com.x0:65535/a;b=c,d/~ana/(x)!$&'*+=:@-._": (
        "https://a-b.3com.x0:65535",
        "/a;b=c,d/~ana/(x)!$&'*+=:@-._/",
    ),
    "https://h/a%20b/%E6%9D%B1/100%25/%3F%23?%0a%2e": ("https://h:443", "/a%20b/%E6%9D%B1/100%25/%3F%23/"),
    "https://h/...?": ("https://h:443", "/.../"),
    "https://" + "a" * 63 + ".x/": ("https://" + "a" * 63 + ".x:443", "/"),
}
REFUSED_URLS = {
    "no absolute http URL": ["", "h.io", "//h.io", "/v1", "https:/h", "https:h", "https://", "https:///h"],
    "another scheme": ["file:///etc/passwd", "ftp://h/", "javascript:alert(1)", "data:,x", "httpss://h/"],
    "capitals: two spellings": ["HTTPS://h/", "https://Example.com/"],
    "user info: shows another host": ["https://acme.com@evil.com/", "https://u:p@h/", "https://@h/"],
    "a fragment: where does the host end?": ["https://h/#", "https://evil.com#@h/", "https://h#/admin"],
    "backslash: browsers read a slash": ["https://evil.com\\@h/", "https:\\\\h/", "https://h\\x"],
    "control characters and blanks": [" https://h/", "https://h /", "ht\ntps://h/", "https://\th/"],
    "request splitting": ["https://h\r\nHost: evil.com/", "https://h\0.evil.com/", "https://h%0d%0a/"],
    "a final dot: the same host again": ["http://localhost./", "http://metadata.google.internal./"],
    "an empty label": ["https://.h/", "https://a..b/", "https://./"],
    "letters, digits, inner hyphens only": ["https://a_b/", "https://-a/", "https://a-.b/", "https://%61/"],
    "IPv4": ["http://127.0.0.1/", "http://169.254.169.254/", "http://100.64.0.1/", "http://192.0.0.192/"],
    "IPv4 as one number": ["http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0/"],
    "IPv4 in parts": ["http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://127.1/", "http://1.2.3.0x/"],
    "IPv4 in digits of other scripts": ["http://①②⑦.⓪.⓪.①/", "http://１２７.0.0.1/"],
    "IPv6": ["http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://::1/"],
    "letters of other scripts": ["https://аpi.acme.com/", "https://ｅacme.com/", "https://acme。com/"],
    "punycode: hides them": ["https://xn--pi-7kc.acme.com/", "https://acme.xn--p1ai/"],
    "no port": ["https://h:/", "https://h:0/", "https://h:0443/", "https://h:65536/", "https://h:999999/"],
    "a port that is no number": ["https://h:+443/", "https://h:https/", "https://h:-1/", "https://h:４４３/"],
    "too long": ["https://" + "a" * 64 + "/", "https://" + "a." * 127 + "aa/", "https://h/" + "a" * 8190],
}
REFUSED_LOCATIONS = {
    "dot segments": ["/..", "/v1/../admin", "/./x", "/v1/.", "/v1/../"],
    "encoded dot segments": ["/%2e%2e/x", "/.%2E/x", "/v1/..%2fadmin", "/%2E%2E/x"],
    "encoded twice": ["/%252e%252e/x", "/%25252F", "/..%255cx", "/x%2500", "/%25%32%65"],
    "dot segments in overlong UTF-8": ["/%C0%AE%C0%AE/x", "/%E0%80%AF"],
    "no UTF-8": ["/%FF", "/%ED%A0%80", "/%E6%9D"],
    "dot segments with parameters": ["/..;/x", "/..;a=b/x", "/..%3B/x", "/;/x"],
    "dot segments with blanks": ["/..%20/x", "/%20../x", "/%C2%A0/x"],
    "an empty segment": ["//", "//x", "/x//y", "/v1//"],
    "percent encoding that is none": ["/%", "/%2", "/%zz", "/%u002e", "?%", "?%2x"],
    "two spellings in percent encoding": ["/%c3%a9", "/%41", "/%7A", "/%30", "/%7E", "/%2D", "/%5F"],
    "encoded separators": ["/a%2Fb", "/a%5Cb"],
    "encoded control characters": ["/%00", "/%0A", "/%0d%0a", "/%1B", "/%7F", "/%C2%85"],
    "encoded, and not seen": ["/%E2%80%8B", "/%E2%80%AE", "/%EF%BB%BF", "/%E3%85%A4"],
    "encoded, and decomposed": ["/e%CC%81"],
    "encoded, and compatible with separators": ["/a%EF%BC%8Fb", "/%EF%BC%8E%EF%BC%8E/x"],
    "not in a path": ["/a b", "/x\\y", "/\0", "/\r\nHost: x", "/\n", "/\x7f", "/é", "/\ud800", "/\u200b"],
    "delimiters of other grammars": ["/<x>", '/"', "/[x]", "/{x}", "/^", "/|", "/`"],
    "not in a query": ["/?a b", "/?<", "/?é", "/?[", "/?\n", "?\\", "/?\x00"],
}


@pytest.mark.parametrize(("text", "fact"), URLS.items())
def test_a_canonical_url_has_one_origin_and_one_path(text: str, fact: tuple[str, str]) -> None:
    """The port is always written, the path is closed, the query is no part of it."""
    assert shapes.url(text) == fact
    assert shapes.url("".join(fact)) == fact


@pytest.mark.parametrize("text", each(REFUSED_URLS) + each(REFUSED_LOCATIONS, "https://h"))
def test_a_url_with_two_readings_is_no_url(text: str) -> None:
    """Each line of the table has sent a client to another host or path than its check had read."""
    assert shapes.url(text) is None


# URLs of numbers

IP_URLS = {
    "http://127.0.0.1": ("http://127.0.0.1:80", "/"),
    "https://10.0.0.5/v1?q=/..": ("https://10.0.0.5:443", "/v1/"),
    "http://0.0.0.0:65535/a/": ("http://0.0.0.0:65535", "/a/"),
    "https://[2001:db8::1]:8443/x": ("https://[2001:db8::1]:8443", "/x/"),
    "http://[::1]/": ("http://[::1]:80", "/"),
    "http://[::]/": ("http://[::]:80", "/"),
    "http://[64:ff9b::7f00:1]/": ("http://[64:ff9b::7f00:1]:80", "/"),
    "http://[1:2:3:4:5:6:7:8]/": ("http://[1:2:3:4:5:6:7:8]:80", "/"),
    "http://[1:0:0:4::8]/": ("http://[1:0:0:4::8]:80", "/"),
}
REFUSED_IP_URLS = {
    "a name": [
        "https://h.de/",
        "http://localhost/",
        "http://10.0.0.5.nip.io/",
        "http://[h.de]/",
        "http://a:b/",
    ],
    "leading zeros: octal to some": ["http://010.0.0.5/", "http://10.0.0.05/", "http://10.0.0.00/"],
    "one number, or fewer than four": [
        "http://167772165/",
        "http://0xa000005/",
        "http://10.5/",
        "http://1.2.3/",
    ],
    "more than four, or too large": ["http://10.0.0.5.1/", "http://10.0.0.256/", "http://1.2.3.1000/"],
    "dots out of place": ["http://10.0.0.5./", "http://.10.0.0.5/", "http://10..0.5/", "http://10.0.0./"],
    "digits of other scripts": ["http://１0.0.0.5/", "http://①0.0.0.5/", "http://10。0。0。5/"],
    "not as short as it can be": [
        "http://[0::1]/",
        "http://[::0]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::0001]/",
    ],
    "shortened in another place": [
        "http://[1:0:0:2:3::4]/",
        "http://[1::3:4:5:6:7:8]/",
        "http://[1:0:0:4:0:0:0:8]/",
    ],
    "capitals": ["http://[2001:DB8::1]/", "http://[2001:db8::A]/", "HTTP://10.0.0.5/"],
    "IPv4 inside": [
        "http://[::ffff:10.0.0.5]/",
        "http://[::ffff:a00:5]/",
        "http://[::10.0.0.5]/",
        "http://[::a00:5]/",
    ],
    "a zone": ["http://[fe80::1%25eth0]/", "http://[fe80::1%eth0]/"],
    "brackets out of place": [
        "http://::1/",
        "http://[::1/",
        "http://::1]/",
        "http://[[::1]]/",
        "http://[10.0.0.5]/",
    ],
    "more beside it": ["http://[::1].h.de/", "http://[::1]h/", "http://u@10.0.0.5/", "http://10.0.0.5@h.de/"],
    "a future form": ["http://[v1.a]/", "http://[v6.::1]/"],
    "no port": ["http://10.0.0.5:/", "http://10.0.0.5:080/", "http://10.0.0.5:65536/", "http://[::1]:0/"],
    "no canonical path": [
        "http://10.0.0.5/../x",
        "http://[::1]/%2e%2e/",
        "http://10.0.0.5#x",
        "http://[::1]\\x",
    ],
}


@pytest.mark.parametrize(("text", "fact"), IP_URLS.items())
def test_an_address_in_a_url_has_one_spelling(text: str, fact: tuple[str, str]) -> None:
    """The standard library reads the same host, and no test on names ever meets it."""
    assert shapes.ip_url(text) == fact
    assert shapes.ip_url("".join(fact)) == fact
    assert shapes.url(text) is None
    assert str(ipaddress.ip_address(urlsplit(text).hostname or "")) in text


@pytest.mark.parametrize("text", each(REFUSED_IP_URLS))
def test_another_spelling_of_an_address_is_none(text: str) -> None:
    """Each line of the table is read as an address by some client, or hides which one."""
    assert shapes.ip_url(text) is None


@given(st.integers(0, 2**128 - 1) | st.lists(st.sampled_from([0, 1, 0xA0, 0xFFFF]), min_size=8, max_size=8))
def test_the_system_writes_each_address_in_the_same_way(value: int | list[int]) -> None:
    """Of all spellings one passes: that of inet_ntop, unless it embeds IPv4 or may be read so."""
    words = [value >> 16 * n & 0xFFFF for n in range(7, -1, -1)] if isinstance(value, int) else value
    packed = b"".join(word.to_bytes(2, "big") for word in words)
    written = socket.inet_ntop(socket.AF_INET6, packed)
    spellings = {written, written.upper(), ipaddress.IPv6Address(packed).exploded}
    passed = [text for text in spellings if shapes.ip_url(f"https://[{text}]/")]
    embeds = "." in written or (words[:7] == [0] * 7 and words[7] > 1)
    assert passed == ([] if embeds else [written])
    number = socket.inet_ntop(socket.AF_INET, packed[:4])
    assert shapes.ip_url(f"http://{number}/") == (f"http://{number}:80", "/")


# Relative paths, and folders

RELATIVE_PATHS = [
    "a",
    "in/a.csv",
    ".hidden",
    "...",
    "a b/c",
    "a/b:c",
    "a/-b",
    "données/東京",
    "caf%C3%A9",
    "x~/100%",
]
REFUSED_RELATIVE_PATHS = {
    "nothing": ["", ".", "./", "/"],
    "absolute": ["/a", "//a", "\\a", "\\\\host\\a", "/"],
    "a drive, a scheme, a host": ["C:/a", "C:a", "c:", "http:a", "file:///a", "host:a", "a:b/c", ":a"],
    "what is read as a colon": [
        "C\uff1a/a",
        "C\ufe55a",
        "C\ufe13a",
        "a\u2a74b",
        "C%3A/a",
        "C%253Aa",
        "C%EF%BC%9Aa",
    ],
    "an option": ["-a", "--", "-", "%2Da", "\uff0da", "\ufe63a", "%252Da"],
    "dots: it walks up": ["..", "../a", "a/..", "a/../../b", "./a", "a/.", "a/./b"],
    "dots, encoded": ["%2e%2e/a", "a/%2E%2E", "..%2fa", "%252e%252e/a", "\uff0e\uff0e/a", "\u2025/a"],
    "an empty component": ["a//b", "a/"],
    "a shell's home directory": ["~", "~/a", "~root/a", "a/~b"],
    "blanks that tools trim": [" a", "a ", "a/ b", "\u00a0a", "a%20"],
    "not seen": ["a\u200b", "\ufeffa", "a\u202eb", "a\n", "\0", "a\x7f", "a\u2028b"],
    "other forms of one text": ["e\u0301", "\u212b", "\ud800"],
    "too long": ["a" * 4096, "é" * 2048, "a/" * 1_000_000 + "a"],
}


@pytest.mark.parametrize("text", RELATIVE_PATHS)
def test_a_relative_path_stays_below_whatever_it_is_joined_to(text: str) -> None:
    """On this system and on others."""
    assert shapes.relative_path(text) == f"{text}/"
    assert posixpath.normpath(text) == text
    assert posixpath.normpath(posixpath.join("/base", text)) == f"/base/{text}"
    assert shapes.path(f"/base/{text}") == f"/base/{text}/"
    assert ntpath.normpath(ntpath.join("C:\\base", text)).startswith("C:\\base\\")


@pytest.mark.parametrize("text", each(REFUSED_RELATIVE_PATHS))
def test_a_relative_path_that_leads_elsewhere_is_none(text: str) -> None:
    """Each line of the table leaves the folder for some tool."""
    assert shapes.relative_path(text) is None


def test_no_letter_becomes_a_colon_or_a_hyphen() -> None:
    """Every character whose compatibility form holds a colon, or begins with a hyphen."""
    for code in range(0x110000):
        form = unicodedata.normalize("NFKC", chr(code))
        if ":" in form:
            assert shapes.relative_path(f"a{chr(code)}b") is None, hex(code)
            assert shapes.relative_path(f"a/{chr(code)}b") is not None, hex(code)
        if form[:1] == "-":
            assert shapes.relative_path(f"{chr(code)}b") is None, hex(code)


def test_the_folder_of_a_path_is_what_stands_before_its_last_slash() -> None:
    """And the root has none."""
    found = {text: shapes.parent(text) for text in ("/a", "/a/b", "/a/b/c", "/", "/a/", "a/b", "", "/a/..")}
    assert list(found.values()) == ["/", "/a/", "/a/b/", None, None, None, None, None]


# Addresses

EMAILS = ["ana@acme.com", "Ana.Maria+bills@mail.acme.co.uk", "o'neil@a-b.io", "#$&*/=?^_`{|}~-@x.y", "a@1.2a"]
REFUSED_EMAILS = {
    "no address": ["", "@", "ana", "ana@", "@acme.com", "ana@@acme.com", "a@b@acme.com"],
    "two receivers": ["eve@evil.com,a@acme.com", "eve@evil.com;a@acme.com", "a@b.c d@e.f", "a@b.c,"],
    "a header more": ["eve@evil.com\nBcc: x@acme.com", "a@acme.com\n", "\ta@acme.com", "a\0@acme.com"],
    "a name beside it": ["Ana <ana@acme.com>", "<ana@acme.com>", "ana@acme.com (Ana)", "(x)ana@acme.com"],
    "quoted": ['"ana"@acme.com', '"a@evil.com"@acme.com', "a\\@b@acme.com"],
    "dots out of place": [".ana@acme.com", "ana.@acme.com", "a..b@acme.com"],
    "a route of old": ["eve%evil.com@acme.com", "evil.com!eve@acme.com", "@evil.com:a@acme.com"],
    "an option, a file, a pipe to mailers": ["-oQ/tmp@acme.com", "/etc/x@acme.com", "|sh@acme.com"],
    "one label": ["root@localhost", "a@com"],
    "a final dot, an empty label": ["a@acme.com.", "a@.acme.com", "a@acme..com"],
    "an IP address": ["a@[127.0.0.1]", "a@127.0.0.1", "a@[IPv6:::1]", "a@acme.0x7f"],
    "capitals in the domain": ["ana@Acme.com", "ana@ACME.COM"],
    "punycode": ["a@xn--cme-5cd.com", "a@acme.xn--p1ai"],
    "letters of other scripts": ["аna@acme.com", "ana@аcme.com", "a@acme。com", "a＠b.c", "a\u200b@b.c"],
    "white space": [" ana@acme.com", "ana@acme.com ", "a na@acme.com", "ana@ acme.com", "a\u00a0@b.c"],
    "no label of letters, digits, hyphens": ["a@a_b.com", "a@-b.com", "a@b-.com", "a@b.com/x", "a@b.com:25"],
    "a lone surrogate": ["\ud800@acme.com"],
    "too long as a whole": ["a" * 64 + "@" + "b." * 100 + "com"],
    "too long": ["a" * 65 + "@acme.com", "a@" + "b" * 64 + ".com", "a@" + "b." * 126 + "com", "a" * 10**6],
}


@pytest.mark.parametrize("text", EMAILS)
def test_one_plain_address_is_kept_as_it_is(text: str) -> None:
    """The standard library reads the same single address."""
    assert shapes.email(text) == (text, text.partition("@")[2])
    assert email.utils.getaddresses([text]) == [("", text)]
    assert email.headerregistry.Address(addr_spec=text).addr_spec == text


@pytest.mark.parametrize("text", each(REFUSED_EMAILS))
def test_what_some_mailer_reads_otherwise_is_no_address(text: str) -> None:
    """Each line of the table reaches a second receiver, another host or the mailer's own machine."""
    assert shapes.email(text) is None


# Commands

COMMANDS: list[list[object]] = [["/bin/ls"], ["/usr/bin/git", "log", "--", "é;|&$(x)*"], ["/opt/my tool", ""]]
REFUSED_COMMANDS: dict[str, list[Any]] = {
    "a name that PATH resolves": [["ls"], ["./ls"], ["bin/ls"], ["~/ls"], [""]],
    "no canonical path": [["/tmp/../bin/ls"], ["//bin/ls"], ["/bin/ls/"], ["/"], ["/bin/%2e%2e/ls"]],
    "no list of texts": [[], None, "/bin/ls", ("/bin/ls",), {"0": "/bin/ls"}, ["/bin/ls", 1]],
    "words inside words": [[["/bin/ls"]], ["/bin/ls", ["-l"]]],
    "a string that may answer otherwise": [[type("Text", (str,), {})("/bin/ls")]],
    "control characters": [["/bin/ls", "a\nb"], ["/bin/ls", "\t"], ["/bin/ls", "\0"], ["/bin/ls\n"]],
    "line separators, no text": [["/bin/ls", "\u2028"], ["/bin/ls", "\ud800"]],
}


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_is_known_by_the_whole_path_of_its_program(words: list[object]) -> None:
    """Its other words stay free: constraints of their own bound them."""
    assert shapes.argv(words) == words[0]


@pytest.mark.parametrize("words", each(REFUSED_COMMANDS))
def test_a_command_whose_program_is_unsure_is_none(words: object) -> None:
    """A name is no program: the same name is another file elsewhere."""
    assert shapes.argv(words) is None


def test_an_operand_is_a_word_that_no_option_is() -> None:
    """A leading hyphen makes an option, of a file's name, too."""
    assert all(map(shapes.operand, ["a", "a-b", " -x", "./-rf", "\u2013x"]))
    assert not any(map(shapes.operand, ["", "-", "--", "-rf", "--upload-pack=sh"]))


# Laws

PARTS = [*"/.~%:@;?#[] -aA0x\n\0\\\u0301\u200b\ud800\uff0eé", "..", "%2E", "%2e", "%25", "%C3%A9"]
HEADS = st.sampled_from(["", "/", "/data/", "http://", "https://h", "https://h.io:8/v1/", "ana@", "a@b.c"])
TEXTS = st.builds(str.__add__, HEADS, st.lists(st.sampled_from(PARTS), max_size=9).map("".join) | st.text())


@given(TEXTS | st.text(st.characters()))
def test_any_text_has_an_answer_and_others_read_the_same(text: str) -> None:
    """What is accepted is stable, and the standard library finds no other reading of it."""
    directory, location, address = shapes.path(text), shapes.url(text), shapes.email(text)
    if directory is not None:
        assert shapes.path(directory[:-1] or "/") == directory
        assert posixpath.normpath(text) == text
    if location is not None:
        assert shapes.url("".join(location)) == location
        split = urlsplit(text)
        port = split.port or {"http": 80, "https": 443}[split.scheme]
        assert location[0] == f"{split.scheme}://{split.netloc.partition(':')[0]}:{port}"
        assert location[1].rstrip("/") == split.path.rstrip("/")
    if address is not None:
        assert email.utils.getaddresses([text]) == [("", text)]
    relative, folder, number = shapes.relative_path(text), shapes.parent(text), shapes.ip_url(text)
    if relative is not None:
        assert shapes.relative_path(relative[:-1]) == relative
        assert posixpath.normpath(posixpath.join("/base", text)) == f"/base/{relative[:-1]}"
        assert not ntpath.splitdrive(text)[0]
    if folder is not None:
        assert posixpath.dirname(text) == (folder[:-1] or "/")
    assert number is None or location is None


@given(st.recursive(st.none() | st.integers() | TEXTS, st.lists))
def test_any_value_has_an_answer_as_a_command(value: object) -> None:
    """And its program is the first word, unchanged."""
    program = shapes.argv(value)
    assert program is None or (isinstance(value, list) and program == value[0] and shapes.path(program))
