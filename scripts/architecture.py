"""The generated parts of ARCHITECTURE.md: the outline of the package, and one recorded call."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import hessra_agents
from tests.support.stays import Stay, permitted_call

__all__ = ["FLOORS", "architecture", "outline", "walk"]

FLOORS = (
    "errors cancellation extras files call keys grants tools tokens tlog verify".split()  # noqa: SIM905
    + "authority ledger guard mcp cli testing".split()  # noqa: SIM905
)
"""The floors of the package, low to high: each imports only from those before it."""

_ROOT = Path(hessra_agents.__file__).parent
_INLINED = re.compile(r"<(list|set|dict)comp>$")
_LAMBDA = re.compile(r"(\.<locals>)?\.?<(lambda|genexpr)>")


def architecture(page: str) -> str:
    """Return the page with its generated parts written anew.

    Raises:
        ValueError: the page lacks the marks of a part.
    """
    for name, text in (("outline", outline()), ("walk", walk(permitted_call()))):
        part = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- end of {name} -->)", re.DOTALL)
        if not part.search(page):
            raise ValueError(f"ARCHITECTURE.md has no part <!-- {name} -->")
        page = part.sub(lambda _, text=text: f"```text\n{text}```\n", page)  # type: ignore[misc]
    return page


def outline() -> str:
    """Return the folders and modules of each floor, with the first line of what they say of themselves.

    Raises:
        ValueError: something at the root of the package is on no floor.
    """
    found = {path.stem for path in _ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    if strangers := found - {"__init__", *FLOORS}:
        raise ValueError(f"on no floor: {', '.join(sorted(strangers))}")
    lines = []
    for name in FLOORS:
        folder = _ROOT / name
        if not folder.is_dir():
            lines += [(f"{name}.py", _says(folder.with_suffix(".py")))] if name in found else []
            continue
        lines.append((f"{name}/", _says(folder / "__init__.py")))
        for below in sorted(path.parent for path in folder.glob("*/__init__.py")):
            lines.append((f"  {below.name}/", _says(below / "__init__.py")))
    return "".join(f"{name:<18}{words}\n" for name, words in lines)


def walk(stays: list[Stay]) -> str:
    """Return a line for each stay of a recorded call: its number, the module, and the functions there.

    Comprehensions are left out: newer versions of Python give them no frame of their own.
    """
    lines: list[tuple[str, list[str]]] = []
    for stay in stays:
        functions = [name for name in stay.functions if not _INLINED.search(name)]
        if not functions:
            continue
        if not lines or lines[-1][0] != stay.module:
            lines.append((stay.module, []))
        lines[-1][1].extend(_LAMBDA.sub("", name) or "(a clause)" for name in functions)
    return "".join(
        f"{number:>3} {module:<20} {', '.join(dict.fromkeys(functions))}\n"
        for number, (module, functions) in enumerate(lines, 1)
    )


def _says(path: Path) -> str:
    text = ast.get_docstring(ast.parse(path.read_text()))
    if not text:
        raise ValueError(f"{path.relative_to(_ROOT)}: does not say what it is for")
    return text.splitlines()[0].replace("`", "")
