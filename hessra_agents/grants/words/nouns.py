"""The nouns of facts: how a description calls what a fact is about, and each of its values."""

from __future__ import annotations

__all__ = ["ALONE", "COLUMNS", "NOUNS", "RANGED", "TEXT", "UNITS"]

RANGED = {"arg_range": "", "arg_len_range": "of length ", "arg_size_range": "of size "}
RANGED |= dict.fromkeys(("arg_number_range", "arg_fixed_range", "arg_date_range", "arg_instant_range"), "")
"""The facts of the least and the greatest of many numbers, with what the numbers are."""

UNITS = {
    **dict.fromkeys(("arg_str", "arg_path", "arg_url", "arg_email", "arg_operand"), "character"),
    **dict.fromkeys(("arg_parent", "arg_relpath", "arg_ip_url"), "character"),
    **dict.fromkeys(("arg_strs", "arg_ints", "arg_paths", "arg_urls", "arg_emails"), "element"),
    **dict.fromkeys(("arg_parents", "arg_relpaths", "arg_ip_urls"), "element"),
    **dict.fromkeys(("arg_lens", "arg_operands", "arg_argv", "results_of"), "element"),
    **dict.fromkeys(("arg_scalars", "arg_distinct", *RANGED), "element"),
}
"""The unit that a length counts, by another fact about the same value."""

NOUNS = {
    "str": "a string",
    "int": "an integer of",
    "bool": "a boolean",
    "null": "exactly null",
    "json": "a list, an object, or a number that is not a 64-bit integer",
    "scalar": "a value",
    "path": "a path",
    "url": "a URL",
    "email": "one email address",
    "host": "a host name",
    "hex": "hexadecimal digits",
    "matches": "a string that matches",
    "each_matches": "a list of strings that each match",
    "same": "the same as",
    "len": "",
    "operand": "a non-option word",
    "strs": "a list of strings",
    "ints": "a list of integers",
    "paths": "a list of paths",
    "urls": "a list of URLs",
    "emails": "a list of email addresses",
    "lens": "a list of elements",
    "operands": "non-option words",
    "scalars": "a list of strings, numbers, booleans and nulls",
    "range": "a list of integers",
    "len_range": "a list of strings and lists",
    "size_range": "a list of objects",
    "number_range": "a list of numbers",
    "fixed_range": "a list of numbers",
    "date_range": "a list of days since 1970",
    "instant_range": "a list of times in seconds since 1970",
    "size": "an object with",
    "count": "",
    "argv": "a command",
    "names": "names",
    "fields": "an object of fields",
}
NOUNS |= {"parent": "a path", "relpath": "a relative path", "ip_url": "a URL with an IP address"}
NOUNS |= {"parents": "a list of paths", "relpaths": "a list of relative paths"}
NOUNS |= {"ip_urls": "a list of URLs with IP addresses"}
"""The noun of a fact, which is named without its ``arg_``, before what its tests say."""

ALONE = {
    "int": "an integer",
    "scalar": "a string, a number, a boolean or null",
    "len": "a string or a list",
    "lens": "a list of strings or lists",
    "distinct": "a list without equal elements",
    "size": "an object",
    "count": "anything",
    "operand": "a word that is not an option",
    "operands": "words that are not options",
    "names": "any names",
    "fields": "an object",
}
"""The noun if there is no test."""

TEXT = ("text",)
COLUMNS = {
    "scalar": ("value",),
    "path": ("path",),
    "paths": ("path",),
    "url": ("origin", "location"),
    "urls": ("origin", "location"),
    "email": ("address", "domain"),
    "emails": ("address", "domain"),
    "len": ("length",),
    "lens": ("length",),
    "scalars": ("value",),
    "argv": ("program",),
    **dict.fromkeys(("parent", "parents"), ("folder",)),
    **dict.fromkeys(("relpath", "relpaths"), ("relative",)),
    **dict.fromkeys(("ip_url", "ip_urls"), ("origin", "location")),
}
"""The meaning of each value of a fact; strings and integers of other facts have none."""
