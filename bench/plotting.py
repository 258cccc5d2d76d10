"""Curves as SVG, written by hand: the same points give the same bytes, on every machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import attrs

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 230, 40, 50
"""Margins; labels of the curves stand in the right one."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Apart for colour-blind readers too (Okabe and Ito)."""
LINE = 15
"""Between two labels."""


@attrs.frozen
class Point:
    """One figure."""

    number: int
    """Of whatever is counted, from 1."""
    seconds: float
    exact: bool = True
    """False: it took more than that."""


@attrs.frozen
class Curve:
    """Figures of one way, in ascending order."""

    label: str
    points: tuple[Point, ...]


def plot(title: str, counted: str, curves: Sequence[Curve]) -> str:
    """Seconds, on a logarithmic scale, against a number; a point that is a lower bound is an arrow upwards."""
    curves = [curve for curve in curves if curve.points]
    values = [point.seconds for curve in curves for point in curve.points]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    high = max(high, low + 1)
    most = max(point.number for curve in curves for point in curve.points)

    def across(number: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((number - 1) / max(1, most - 1))

    def down(seconds: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - math.log10(seconds)) / (high - low)

    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="14">{escape(title)}</text>',
    ]
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    parts += [
        f'<text x="{across(number):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{number}</text>'
        for number in range(1, most + 1)
    ]
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(counted)}</text>')
    labels = _apart([down(curve.points[-1].seconds) for curve in curves])
    for number, curve in enumerate(curves):
        colour = COLOURS[number % len(COLOURS)]
        places = [(across(point.number), down(point.seconds)) for point in curve.points]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point, (x, y) in zip(curve.points, places, strict=True):
            if point.exact:
                parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
            else:
                parts.append(f'<path d="M{x - 5:.1f},{y:.1f} h10 l-5,-12 z" fill="{colour}"/>')
        last = curve.points[-1]
        told = curve.label if last.exact else f"{curve.label} (cut short)"
        parts.append(
            f'<text x="{WIDTH - RIGHT + 12}" y="{labels[number] + 4:.1f}" fill="{colour}">{escape(told)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def _apart(wanted: Sequence[float]) -> list[float]:
    """Heights for labels near those wanted, in the same order, that do not overlap."""
    found = list(wanted)
    lowest = -math.inf
    for number in sorted(range(len(wanted)), key=lambda each: wanted[each]):
        lowest = found[number] = max(wanted[number], lowest + LINE)
    return found
