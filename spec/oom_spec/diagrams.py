"""A run as a picture: columns of text for a mail, or SVG.

The text has the form that kernel commit messages use: one column per thread, time goes down, a
function's name stands where the thread enters it and its calls are indented below.
`oom_spec.reading` reads it back.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from html import escape

import attrs

from oom_spec.traces import Run, Stack, Taken, columns_of

GUTTER = 2
"""Blanks between two columns."""

WIDEST = {1: 72, 2: 72, 3: 100}
"""How wide a diagram of so many columns may be, in characters."""

WIDEST_OF_MANY = 120

CUT = "..."
"""The end of a shortened call or comment; the reader takes it for any ending."""

HIDDEN = f" #{CUT}"
"""In place of a comment that does not fit at all."""

START_MARK = "=== here the scenario starts"


@attrs.frozen
class Cell:
    """One line in one column."""

    column: str
    depth: int
    text: str

    def fitted(self, width: int, unit: int) -> str:
        """The line in ``width`` characters: indentation gives way first, then the comment, then the call."""
        if len(self.text) <= width:
            return " " * min(unit * self.depth, width - len(self.text)) + self.text
        call, separator, remark = self.text.partition(" # ")
        room = width - len(call) - len(separator)
        if not separator:
            return _shortened(call, width)
        if room > len(CUT):
            return call + separator + _shortened(remark, room)
        return _shortened(call, width - len(HIDDEN)) + HIDDEN


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - len(CUT)] + CUT


def cells_of(taken: Taken, before: Stack) -> list[Cell]:
    """The lines that one step needs: functions that its thread enters, the call, what that enters."""
    cells = []
    for depth, name in taken.lines(before):
        called = name == taken.call and depth == len(taken.frames)
        cells.append(Cell(taken.column, depth, f"{name} # {taken.remark}" if called and taken.remark else name))
    return cells


def heading(run: Run) -> str:
    """``E4 (v4.9 - v4.12), scenario marked: N1s is violated at depth 20, after a prefix of 20 steps``"""
    name = run.era if run.releases == run.era else f"{run.era} ({run.releases})"
    text = f"{name}, scenario {run.scenario}"
    if run.property is not None:
        at = "" if run.depth is None else f" at depth {run.depth}"
        text += f": {run.property} is violated{at}"
    if run.start:
        text += f", after a prefix of {len(run.start)} steps"
    return text


def draw(run: Run, *, whole: bool = False, race_only: bool = False, width: int | None = None) -> str:
    """The text diagram, ending with a newline.

    ``whole`` begins with the cold start instead of the scenario's start. ``race_only`` leaves out the
    steps that no other thread can notice. ``width`` is the most characters per line: 72 for two
    columns, 100 for three, 120 for more, unless given.
    """
    before = run.start if whole else ()
    shown = [step for step in (*before, *run.steps) if not race_only or step.race or step is run.steps[-1]]
    columns = columns_of(shown, run.titles)
    limit = width or WIDEST.get(len(columns), WIDEST_OF_MANY)
    rows: list[Cell | str] = []
    stacks: dict[str, Stack] = {}
    marked = not (whole and run.start)
    for step in shown:
        if not marked and any(step is first for first in run.steps):
            rows.append(START_MARK)
            marked = True
        rows += cells_of(step, stacks.get(step.column, ()))
        stacks[step.column] = step.after
    if run.property is not None and shown:
        rows.append(Cell(shown[-1].column, 0, f"^^^ {run.property} breaks here"))
    widths = _widths(columns, [run.titles[column] for column in columns], rows, limit)
    cells = [row for row in rows if isinstance(row, Cell)]
    units = [_unit([c for c in cells if c.column == name], w) for name, w in zip(columns, widths, strict=True)]
    starts = [sum(widths[:n]) + GUTTER * n for n in range(len(columns))]
    lines = [*textwrap.wrap(heading(run), limit), ""]
    lines.append(_row(starts, [_shortened(run.titles[c], w) for c, w in zip(columns, widths, strict=True)]))
    lines.append(_row(starts, ["-" * each for each in widths]))
    for row in rows:
        if isinstance(row, str):
            lines.append(row)
        else:
            number = columns.index(row.column)
            lines.append(" " * starts[number] + row.fitted(widths[number], units[number]))
    if run.property is not None and run.statement:
        lines += ["", *textwrap.wrap(f"{run.property}: {run.statement}", limit)]
    return "\n".join(lines) + "\n"


def _row(starts: Sequence[int], texts: Sequence[str]) -> str:
    line = ""
    for start, text in zip(starts, texts, strict=True):
        line = line.ljust(start) + text
    return line


def _widths(columns: Sequence[str], titles: Sequence[str], rows: Sequence[Cell | str], limit: int) -> list[int]:
    """As wide as the lines need; where that is too much, indentation gives way, then the widest text."""
    widths = [max(len(title), 3) for title in titles]
    bare = list(widths)
    for row in rows:
        if isinstance(row, Cell):
            number = columns.index(row.column)
            widths[number] = max(widths[number], 2 * row.depth + len(row.text))
            bare[number] = max(bare[number], len(row.text))
    while sum(widths) + GUTTER * (len(widths) - 1) > limit and max(widths) > 2 * len(HIDDEN):
        spare = [width - text for width, text in zip(widths, bare, strict=True)]
        widths[spare.index(max(spare)) if max(spare) > 0 else widths.index(max(widths))] -= 1
    return widths


def _unit(cells: Sequence[Cell], width: int) -> int:
    """Blanks per level of nesting: two, or one where that would squeeze more than every fourth line."""
    squeezed = sum(2 * cell.depth + len(cell.text) > width for cell in cells)
    return 2 if 4 * squeezed <= len(cells) else 1


# -- SVG -------------------------------------------------------------------------------------

LANE = 250
ROW = 22
TOP = 92
LEFT = 24
CHARACTER = 6.7
"""Width of a monospaced character at the size of the calls, in pixels."""

STYLE = (
    "text{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:11px;fill:#1f2933}"
    ".h{font-size:14px;font-weight:600}.t{font-size:12px;font-weight:600}.f{fill:#52606d;font-size:10px}"
    ".r{fill:#6b4e00}.v{fill:#a61b1b;font-weight:600}.l{stroke:#9aa5b1;stroke-width:1.5}"
    ".c{fill:#e4eef7;stroke:#9fb9d1}.d{fill:#2f6fa7}.b{fill:#a61b1b}.s{fill:#52606d}"
)


def svg(run: Run, *, whole: bool = False, race_only: bool = False) -> str:
    """The same run as one self-contained SVG: a lifeline per thread, a row per step, time goes down."""
    before = run.start if whole else ()
    shown = [step for step in (*before, *run.steps) if not race_only or step.race or step is run.steps[-1]]
    columns = columns_of(shown, run.titles)
    longest = max((len(f"{step.call} # {step.remark}") for step in shown), default=0)
    lane = max(LANE, int(longest * CHARACTER) + 40)
    width = max(LEFT * 2 + lane * len(columns), 480)
    body, y = _svg_rows(shown, columns, lane, width, run)
    bottom = y
    title = heading(run)
    statement = f"{run.property}: {run.statement}" if run.statement else ""
    for line in textwrap.wrap(statement, int((width - 2 * LEFT) / CHARACTER)):
        y += 16
        body.append(f'<text class="s" x="{LEFT}" y="{y + 14}">{escape(line)}</text>')
    height = y + 40
    heads = []
    for number, column in enumerate(columns):
        x = LEFT + lane * number
        heads += [
            f'<rect class="c" x="{x - 8}" y="{TOP - 36}" width="{lane - 24}" height="24" rx="6"/>',
            f'<text class="t" x="{x + 4}" y="{TOP - 20}">{escape(run.titles[column])}</text>',
            f'<line class="l" x1="{x}" y1="{TOP - 12}" x2="{x}" y2="{bottom - 6}"/>',
        ]
    size = f'width="{width}" height="{height}"'
    role = 'role="img" aria-labelledby="title desc"'
    head = textwrap.wrap(title, int((width - 2 * LEFT) / 8.6))
    lines = [
        f'<text class="h" x="{LEFT - 8}" y="{22 + 18 * number}">{escape(line)}</text>'
        for number, line in enumerate(head[:2])
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {size} {role}>',
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="desc">{escape(_spoken(run, shown))}</desc>',
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
            *lines,
            *heads,
            *body,
            "</svg>",
            "",
        ]
    )


def _spoken(run: Run, shown: Sequence[Taken]) -> str:
    """The rows as sentences, for who cannot see the picture."""
    told = [
        f"{number}. {run.titles[step.column]}: {step.call}" + (f" ({step.remark})" if step.remark else "")
        for number, step in enumerate(shown, 1)
    ]
    return "; ".join([*told, *([f"{run.property} breaks here"] if run.property else [])])


def _svg_rows(shown: Sequence[Taken], columns: Sequence[str], lane: int, width: int, run: Run) -> tuple[list[str], int]:
    """One row per step, and the height that they end at."""
    body: list[str] = []
    stacks: dict[str, Stack] = {}
    y = TOP + 8
    for number, step in enumerate(shown):
        x = LEFT + lane * columns.index(step.column)
        broken = run.property is not None and number == len(shown) - 1
        entered = [name for depth, name in step.lines(stacks.get(step.column, ())) if depth < len(step.frames)]
        stacks[step.column] = step.after
        if entered:
            y += 14
            text = _shortened(" > ".join(entered), int((lane - 24) / 6.1))
            body.append(f'<text class="f" x="{x + 12}" y="{y - 4}">{escape(text)}</text>')
        if broken:
            body.append(f'<rect x="4" y="{y - 2}" width="{width - 8}" height="{ROW + 16}" fill="#fdecea"/>')
        remark = f' <tspan class="r"># {escape(step.remark)}</tspan>' if step.remark else ""
        body.append(f'<circle class="{"b" if broken else "d"}" cx="{x}" cy="{y + 9}" r="{5 if broken else 4}"/>')
        body.append(f'<text x="{x + 12}" y="{y + 13}">{escape(step.call)}{remark}</text>')
        y += ROW
        if broken:
            body.append(f'<text class="v" x="{x + 12}" y="{y + 8}">{escape(str(run.property))} breaks here</text>')
            y += 20
    return body, y
