"""Small plots as SVG, drawn by hand so that a page needs nothing beside itself.

Colours are classes of the page's style, so that a plot follows light and dark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH: Final = 440
_HEIGHT: Final = 190
_LEFT: Final = 46
_RIGHT: Final = 12
_TOP: Final = 14
_BOTTOM: Final = 30
_TICKS: Final = 5
_EDGE: Final = 0.95
_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)

Point = tuple[float, float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`style` numbers the run; a point without a value leaves a gap."""

    points: Sequence[Point]
    style: int
    is_stepped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """`mark` is a promise: a vertical line. The y axis starts at 0."""

    title: str
    x_unit: str
    lines: Sequence[Line]
    x_most: float
    y_most: float
    is_share: bool = False
    mark: float | None = None

    def svg(self) -> str:
        described = escape(self.title)
        return (
            f'<figure><figcaption>{described}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'role="img" aria-label="{described}">{"".join(self._parts())}</svg></figure>'
        )

    def _parts(self) -> Iterator[str]:
        yield from self._y_axis()
        yield from self._x_axis()
        if self.mark is not None and self.mark <= self.x_most:
            x = self._x(self.mark)
            yield f'<line class="mark" x1="{x}" x2="{x}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}"/>'
            yield f'<text class="mark" x="{x + 4}" y="{_HEIGHT - _BOTTOM - 6}">promise</text>'
        for line in self.lines:
            if path := self._path(line):
                yield f'<path class="run run-{line.style}" d="{path}"/>'

    def _y_axis(self) -> Iterator[str]:
        for value in _ticks(self.y_most):
            y, told = self._y(value), f"{value:.0%}" if self.is_share else f"{value:g}"
            yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            yield f'<text class="tick end" x="{_LEFT - 6}" y="{y + 3.5}">{told}</text>'

    def _x_axis(self) -> Iterator[str]:
        ticks = _ticks(self.x_most)
        for value in ticks:
            unit = f" {self.x_unit}" if value == ticks[-1] else ""
            # Only at the very edge would half of the label be cut off.
            anchor = "end" if unit and value > _EDGE * self.x_most else "middle"
            yield (
                f'<text class="tick {anchor}" x="{self._x(value)}" y="{_HEIGHT - 10}">'
                f"{value:g}{unit}</text>"
            )

    def _path(self, line: Line) -> str:
        parts: list[str] = []
        pen = "M"
        before: float | None = None
        for x, y in line.points:
            if y is None or x > self.x_most:
                pen, before = "M", None
                continue
            if line.is_stepped and before is not None:
                parts.append(f"L{self._x(x)} {self._y(before)}")
            parts.append(f"{pen}{self._x(x)} {self._y(y)}")
            pen, before = "L", y
        return "".join(parts)

    def _x(self, value: float) -> float:
        return round(_LEFT + value / self.x_most * (_WIDTH - _LEFT - _RIGHT), 1)

    def _y(self, value: float) -> float:
        room = _HEIGHT - _TOP - _BOTTOM
        return round(_HEIGHT - _BOTTOM - min(1.0, value / self.y_most) * room, 1)


def _ticks(most: float) -> list[float]:
    """Round numbers from 0 that do not pass `most`."""
    rough = most / _TICKS
    scale = 10.0 ** _exponent(rough)
    step = next(nice * scale for nice in _NICE if nice * scale >= rough * (1 - 1e-9))
    return [round(i * step, 9) for i in range(int(most / step + 1e-9) + 1)]


def _exponent(value: float) -> int:
    """Of the power of ten just below."""
    return int(f"{value:e}".partition("e")[2])
