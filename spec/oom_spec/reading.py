"""A race diagram read back: from a mail, from a bare list of calls, or from `oom_spec.diagrams`.

Mail programs and archives collapse white space, and then the columns are lost: what is left is the
order of the calls, and the actors follow from the names. In a diagram of ours the rule under the
titles says where each column stands.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

import attrs

from oom_spec.diagrams import CUT, START_MARK
from oom_spec.eras import all_eras
from oom_spec.language import Era, SpecError
from oom_spec.stacks import FUNCTIONS, with_mmap_lock, with_mmap_sem
from oom_spec.traces import PLAIN_TITLES

ALIASES = {
    "atomic_inc_not_zero": "mmget_not_zero",
    "mmgrab_oom_mm": "mmgrab(oom_mm)",
}
"""Other names of calls that the eras know, besides those that differ between releases (`oom_spec.stacks`)."""

OTHER_CALLS = ("return", "css_task_iter_end")
"""Calls that no step has by this name, but that diagrams print (`oom_spec.stacks.Names.call`)."""

QUOTES = re.compile(r"^(?:\s*[>|])+ ?")
RULE = re.compile(r"-{3,}(?: +-{3,})*")
SCENARIO = re.compile(r"^\S.*, scenario ([\w-]+)")
TITLE_WORDS = re.compile(
    r"(?:cpu|task|thread|process|t|p)[\s_-]*\d*|victim|killer|reaper|exit(?:ing)?(?: path)?|allocator", re.IGNORECASE
)
VIOLATION = "^^^"
COLUMNS = {title: column for column, title in PLAIN_TITLES.items()}
LEAST_CALLS = 2


@attrs.frozen
class Call:
    """One call of a diagram."""

    line: int
    """Of the file, from 1."""
    name: str
    """As the diagram has it, white space collapsed."""
    names: frozenset[str]
    """The calls and functions of the eras that the name may stand for."""
    comment: str = ""
    column: str | None = None
    """The thread, where the diagram says it."""

    def __str__(self) -> str:
        return f"{self.name} # {self.comment}" if self.comment else self.name


@attrs.frozen
class Diagram:
    """The calls of a diagram in the order of time."""

    calls: tuple[Call, ...]
    exact: bool
    """Drawn by us, as its heading says: a call without a comment has no notable outcome."""
    scenario: str | None = None
    """The scenario that the heading names, if it names one."""


class Vocabulary:
    """The calls that any era knows, and how people write them."""

    def __init__(self, eras: Iterable[Era]) -> None:
        steps = {id(declared): declared for era in eras for declared in era.steps}.values()
        found = {*FUNCTIONS, *(s.call for s in steps), *(s.kernel_function for s in steps)}
        self.names: frozenset[str] = frozenset({*found, *map(with_mmap_lock, found), *OTHER_CALLS})
        self._same: dict[str, set[str]] = {}
        for name in self.names:
            self._same.setdefault(with_mmap_sem(name), set()).add(name)
        self._bases: dict[str, set[str]] = {}
        for name in self.names:
            base, opening, _ = name.partition("(")
            if opening and base.isidentifier():
                self._bases.setdefault(base, set()).add(name)
        self._found: dict[str, frozenset[str]] = {}

    def lookup(self, text: str) -> frozenset[str]:
        """What ``text`` may stand for; empty if nobody knows it."""
        if text not in self._found:
            found = self._lookup(text)
            self._found[text] = found.union(*(self._same[with_mmap_sem(name)] for name in found))
        return self._found[text]

    def _lookup(self, text: str) -> frozenset[str]:
        wanted = " ".join(text.split()).rstrip(";,")
        wanted = wanted.removesuffix("()")
        if wanted.endswith(CUT) and len(wanted) > len(CUT):
            return frozenset(name for name in self.names if name.startswith(wanted[: -len(CUT)]))
        for form in (wanted, ALIASES.get(wanted, ""), _first_argument(wanted)):
            if form in self.names:
                return frozenset({form})
        base, opening, _ = wanted.partition("(")
        base = ALIASES.get(base, base)
        if opening:
            return frozenset({base} & self.names) if base.isidentifier() else frozenset()
        return frozenset(self._bases.get(base, ()))

    def nearest(self, text: str) -> str | None:
        """The known call that looks most like ``text``."""
        near = difflib.get_close_matches(text, sorted(self.names), n=1, cutoff=0.5)
        return near[0] if near else None


def _first_argument(text: str) -> str:
    """``set_bit(MMF_OOM_SKIP, &mm->flags)`` as ``set_bit(MMF_OOM_SKIP)``"""
    base, opening, rest = text.partition("(")
    argument = rest.rstrip(")").partition(",")[0].strip().lstrip("&")
    return f"{base.strip()}({argument})" if opening else text


@attrs.frozen
class _Line:
    number: int
    text: str
    """Without quote marks."""


def read_diagram(text: str, eras: Sequence[Era] = ()) -> Diagram:
    """Find the diagram in ``text`` and read it; ``eras`` adds a user's own to those that everybody knows.

    Raises `SpecError`, naming the line, for a call that nobody knows, and where there is no diagram.
    """
    if not text.strip():
        raise SpecError("the file is empty: expected a race diagram, or one call per line")
    vocabulary = Vocabulary([*all_eras(), *eras])
    lines = [_Line(number, QUOTES.sub("", line)) for number, line in enumerate(text.splitlines(), 1)]
    drawn = _drawn_by_us(lines, vocabulary)
    if drawn is not None:
        return drawn
    block = max(_blocks(lines), key=lambda each: _known_lines(each, vocabulary), default=[])
    known = _known_lines(block, vocabulary)
    if known < LEAST_CALLS or 2 * known < len(block):
        raise SpecError(
            f"no diagram found: expected at least {LEAST_CALLS} lines in a row that name calls, such as `oom_reap_task`"
        )
    calls: list[Call] = []
    for position, line in enumerate(block):
        found = _split(line, vocabulary)
        if found is None:
            if position == 0 and _is_title(line.text):
                continue
            raise _unknown(line.number, line.text, vocabulary)
        calls += found
    return Diagram(tuple(calls), exact=False)


def _unknown(number: int, text: str, vocabulary: Vocabulary) -> SpecError:
    name = text.partition("#")[0].strip()
    near = vocabulary.nearest(name)
    hint = f"; did you mean `{near}`?" if near else ": write the kernel function's name, and remarks after `#`"
    return SpecError(f"line {number}: nobody knows the call `{name}`{hint}")


def _is_title(text: str) -> bool:
    return all(TITLE_WORDS.fullmatch(cell.strip(" :")) for cell in re.split(r"\s{2,}|\t| (?=[A-Z])", text.strip()))


def _blocks(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Paragraphs; a line that holds only a remark belongs to none."""
    blocks: list[list[_Line]] = [[]]
    for line in lines:
        if line.text.strip() and not line.text.lstrip().startswith("#"):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def _known_lines(block: Sequence[_Line], vocabulary: Vocabulary) -> int:
    return sum(_split(line, vocabulary) is not None for line in block)


def _split(line: _Line, vocabulary: Vocabulary) -> list[Call] | None:
    """The calls of one line, left to right, or None where part of it is no call."""
    cells: list[str] = []
    for piece in re.split(r"\s{2,}|\t", line.text.strip()):
        if piece.startswith("#") and cells:
            cells[-1] += f" {piece}"
        else:
            cells.append(piece)
    calls: list[Call] = []
    for cell in cells:
        written, _, comment = cell.partition("#")
        for name in _names_in(" ".join(written.split()), vocabulary) or [""]:
            names = vocabulary.lookup(name)
            if not names:
                return None
            calls.append(Call(line.number, name, names, "", None))
        calls[-1] = attrs.evolve(calls[-1], comment=comment.strip())
    return calls


def _names_in(written: str, vocabulary: Vocabulary) -> list[str] | None:
    """One name, or several that stand side by side since the white space was collapsed."""
    if vocabulary.lookup(written):
        return [written]
    words = written.split()
    for end in range(len(words) - 1, 0, -1):
        first = " ".join(words[:end])
        rest = _names_in(" ".join(words[end:]), vocabulary) if vocabulary.lookup(first) else None
        if rest is not None:
            return [first, *rest]
    return None


# -- diagrams of our own -----------------------------------------------------------------------


def _drawn_by_us(lines: Sequence[_Line], vocabulary: Vocabulary) -> Diagram | None:
    """The diagram under a rule that marks the columns, if there is one."""
    for position, line in enumerate(lines):
        if position and RULE.fullmatch(line.text.rstrip()) and lines[position - 1].text.strip():
            starts = [match.start() for match in re.finditer(r"-+", line.text)]
            titles = _cells(lines[position - 1].text, starts)
            columns = [_column(title) for title in titles]
            if all(titles) and all(columns):
                return _rows(lines[position + 1 :], starts, columns, _scenario(lines[:position]), vocabulary)
    return None


def _scenario(lines: Sequence[_Line]) -> str | None:
    for line in reversed(lines):
        found = SCENARIO.match(line.text)
        if found:
            return found[1]
    return None


def _column(title: str) -> str:
    """``victim (P1.t0)`` is the column P1.t0."""
    inner = re.fullmatch(r".*\((.+)\)", title)
    if inner:
        return inner[1]
    return COLUMNS.get(title, title)


def _cells(text: str, starts: Sequence[int]) -> list[str]:
    ends = [*starts[1:], len(text) + 1]
    return [text[start:end].strip() for start, end in zip(starts, ends, strict=True)]


def _rows(
    lines: Sequence[_Line], starts: Sequence[int], columns: Sequence[str], scenario: str | None, vocabulary: Vocabulary
) -> Diagram:
    calls: list[Call] = []
    for line in lines:
        if not line.text.strip() or line.text.lstrip().startswith(VIOLATION):
            break
        if line.text.startswith(START_MARK):
            calls.clear()
            continue
        for column, cell in zip(columns, _cells(line.text, starts), strict=True):
            if not cell:
                continue
            if cell.startswith("#"):
                number = max((n for n, call in enumerate(calls) if call.column == column), default=None)
                if number is not None and not calls[number].comment:
                    calls[number] = attrs.evolve(calls[number], comment=cell[1:].strip())
                continue
            written, _, comment = cell.partition(" #")
            name = " ".join(written.split())
            names = vocabulary.lookup(name)
            if not names:
                raise _unknown(line.number, name, vocabulary)
            calls.append(Call(line.number, name, names, comment.strip(), column))
    if not calls:
        raise SpecError("no diagram found: there is no call under the rule that marks the columns")
    return Diagram(tuple(calls), exact=scenario is not None, scenario=scenario)
