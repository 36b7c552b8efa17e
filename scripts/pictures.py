"""Pictures as SVG, drawn from a text of a few lines: ``docs/pictures/NAME.txt`` becomes ``NAME.svg``.

    size 720 x 300
    title The same words for who cannot see the picture
    box guard 300 60 180 70: Guard | decides and enforces
    text 40 280: a note at this place
    arrow agent.right -> guard.left: a call

A box has its left upper corner, its width and its height; what stands after ``|`` is a smaller line below.
An arrow leads from a side of one box to a side of another (``guard.left@0.25`` is a quarter down or along),
straight if the two lie in one line and else with one bend or two; ``->`` has one head, ``<->`` two, and
``-x`` is a refusal. The label follows the longest stretch; ``label@0.3`` moves it along.
`draw` raises `ValueError`, with the number of the line, for what it cannot read.

The picture has its own ground and its own colours for light and for dark, and no font but the reader's own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

__all__ = ["draw"]

_STYLE = """
.ground{fill:#fff;stroke:#d0d7de}.box{fill:#f3f6fa;stroke:#57606a}.main{fill:#dcebff;stroke:#0969da}
text{fill:#1f2328;font:14px system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
.name{font-weight:600;font-size:16px}.small{font-size:12.5px}.label{font-size:13px}
.small,.note{fill:#57606a}
.line{fill:none;stroke:#57606a;stroke-width:1.6}.head{fill:#57606a}
.refused{stroke:#cf222e}.refused.head,text.refused{fill:#cf222e;stroke:none}.denied{fill:#ffebe9;stroke:#cf222e}
@media(prefers-color-scheme:dark){
.ground{fill:#0d1117;stroke:#30363d}.box{fill:#161b22;stroke:#8b949e}.main{fill:#10294a;stroke:#4493f8}
text{fill:#e6edf3}.small,.note{fill:#9ea7b3}
.line{stroke:#9ea7b3}.head{fill:#9ea7b3}
.refused{stroke:#f85149}.refused.head,text.refused{fill:#f85149}.denied{fill:#3a1215;stroke:#f85149}}
"""

_NUMBER = r"(-?\d+)"
_SIZE = re.compile(rf"size {_NUMBER} x {_NUMBER}")
_BOX = re.compile(rf"(box|main|denied) (\w+) {_NUMBER} {_NUMBER} {_NUMBER} {_NUMBER}: (.*)")
_TEXT = re.compile(rf"text {_NUMBER} {_NUMBER}: (.+)")
_ARROW = re.compile(
    r"arrow (\w+)\.(\w+)(?:@([\d.]+))? (->|<->|-x) (\w+)\.(\w+)(?:@([\d.]+))?(?:: (.+?)(?:@([\d.]+))?)?"
)
_SIDES = {
    "left": (0, None, -1, 0),
    "right": (1, None, 1, 0),
    "top": (None, 0, 0, -1),
    "bottom": (None, 1, 0, 1),
}

Point = tuple[float, float]


@dataclass(frozen=True)
class _Box:
    kind: str
    left: int
    top: int
    width: int
    height: int
    words: tuple[str, ...]

    def side(self, name: str, share: float) -> tuple[Point, Point]:
        """Return the point on a side, and the direction that leads away from the box there."""
        across, down, dx, dy = _SIDES[name]
        x = self.left + self.width * (share if across is None else across)
        y = self.top + self.height * (share if down is None else down)
        return (round(x), round(y)), (dx, dy)

    def svg(self) -> list[str]:
        """Return the box and its words, centred; the first of them larger."""
        shape = f'width="{self.width}" height="{self.height}" rx="8" class="{self.kind}"/>'
        lines = [f'<rect x="{self.left}" y="{self.top}" {shape}']
        middle = self.left + self.width / 2
        y = self.top + self.height / 2 - 9 * (len(self.words) - 1) + 5
        for number, words in enumerate(self.words):
            lines.append(_text(middle, y + 18 * number, words, "small" if number else "name"))
        return lines


@dataclass
class _Picture:
    width: int = 0
    height: int = 0
    title: str = ""
    boxes: dict[str, _Box] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    arrows: list[str] = field(default_factory=list)


def draw(source: str) -> str:
    """Return the SVG of a picture's text."""
    picture = _Picture()
    for number, line in enumerate(source.splitlines(), 1):
        if line.strip() and not line.startswith("#"):
            try:
                _read(picture, line)
            except (KeyError, ValueError) as error:
                raise ValueError(f"line {number}: {error}") from None
    if not picture.width or not picture.title:
        raise ValueError("a picture has a size and a title")
    frame = f'width="{picture.width - 1}" height="{picture.height - 1}"'
    boxes = [line for box in picture.boxes.values() for line in box.svg()]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {picture.width} {picture.height}" '
            f'width="{picture.width}" height="{picture.height}" role="img">',
            f"<title>{escape(picture.title)}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect x="0.5" y="0.5" {frame} rx="10" class="ground"/>',
            *boxes,
            *picture.arrows,
            *picture.texts,
            "</svg>\n",
        ]
    )


def _read(picture: _Picture, line: str) -> None:
    if found := _SIZE.fullmatch(line):
        picture.width, picture.height = int(found[1]), int(found[2])
    elif line.startswith("title "):
        picture.title = line.removeprefix("title ")
    elif found := _BOX.fullmatch(line):
        kind, name, *numbers, words = found.groups()
        left, top, width, height = map(int, numbers)
        inside = left >= 0 and top >= 0 and left + width <= picture.width and top + height <= picture.height
        if name in picture.boxes or not inside:
            raise ValueError(f"the box {name} is there already, or is not within the size")
        parts = tuple(part.strip() for part in words.split("|"))
        picture.boxes[name] = _Box(kind, left, top, width, height, parts)
    elif found := _TEXT.fullmatch(line):
        picture.texts.append(_text(int(found[1]), int(found[2]), found[3], "note", anchor="start"))
    elif found := _ARROW.fullmatch(line):
        _arrow(picture, *found.groups())
    else:
        raise ValueError("not a line of a picture")


def _arrow(
    picture: _Picture,
    start: str, start_side: str, start_share: str | None,
    kind: str,
    end: str, end_side: str, end_share: str | None,
    label: str | None, place: str | None,
) -> None:  # fmt: skip
    a, away = picture.boxes[start].side(start_side, float(start_share or 0.5))
    b, toward = picture.boxes[end].side(end_side, float(end_share or 0.5))
    points = _path(a, away, b, toward)
    colour = " refused" if kind == "-x" else ""
    drawn = _shortened(points, both=kind == "<->")
    picture.arrows.append(
        f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in drawn)}" class="line{colour}"/>'
    )
    picture.arrows.append(_head(points[-1], toward, colour))
    if kind == "<->":
        picture.arrows.append(_head(a, away, colour))
    if label:
        picture.texts.append(_label(points, label, float(place or 0.5), colour))


def _path(a: Point, away: Point, b: Point, toward: Point) -> list[Point]:
    """Return the corners between two points: none in one line, one where the ways cross, or two."""
    (ax, ay), (bx, by) = a, b
    if abs(ax - bx) <= 1:
        return [a, (ax, by)]
    if abs(ay - by) <= 1:
        return [a, (bx, ay)]
    if away[0] and toward[1]:
        return [a, (bx, ay), b]
    if away[1] and toward[0]:
        return [a, (ax, by), b]
    if away[0]:
        middle = (ax + bx) / 2
        return [a, (middle, ay), (middle, by), b]
    middle = (ay + by) / 2
    return [a, (ax, middle), (bx, middle), b]


def _shortened(points: list[Point], *, both: bool) -> list[Point]:
    """Return the line without what its heads cover."""
    cut = [_towards(points[-1], points[-2], 7)]
    first = _towards(points[0], points[1], 7) if both else points[0]
    return [first, *points[1:-1], *cut]


def _towards(point: Point, other: Point, steps: float) -> Point:
    (x, y), (ox, oy) = point, other
    length = abs(ox - x) + abs(oy - y)  # along one axis
    return x + (ox - x) * steps / length, y + (oy - y) * steps / length


def _head(tip: Point, away: Point, colour: str) -> str:
    (x, y), (dx, dy) = tip, away
    corners = [(x, y)]
    corners += [(x + 9 * dx + 4.5 * side * dy, y + 9 * dy + 4.5 * side * dx) for side in (1, -1)]
    points = " ".join(f"{px:g},{py:g}" for px, py in corners)
    return f'<polygon points="{points}" class="head{colour}"/>'


def _label(points: list[Point], words: str, place: float, colour: str) -> str:
    (ax, ay), (bx, by) = max(
        pairwise(points),
        key=lambda pair: abs(pair[0][0] - pair[1][0]) + abs(pair[0][1] - pair[1][1]),
    )
    x, y = ax + (bx - ax) * place, ay + (by - ay) * place
    kind = f"label{colour}"
    if ay == by:
        return _text(x, y - 8, words, kind)
    return _text(x + 9, y + 4, words, kind, anchor="start")


def _text(x: float, y: float, words: str, kind: str, *, anchor: str = "middle") -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(words, quote=False)}</text>'
    )
