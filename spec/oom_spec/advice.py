"""What its author should know of a user's patch before any verdict: steps that do nothing, or lead nowhere.

Nothing here is an error: each piece of advice is one line about an era that is checked all the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import attrs

from oom_spec.instances import Instance
from oom_spec.language import Era, Object, Step
from oom_spec.language.terms import FALSE, Op
from oom_spec.lifting import Path
from oom_spec.scenarios import SCENARIOS
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.user_eras import outline, own_steps, steps_in_file

Point = tuple[str, str]
"""A program counter and a point of it: (``Mm.mmput_at``, ``FENCE_TEST``)."""


def advise(era: Era) -> list[str]:
    """One line for each thing about the delta of ``era`` that is hardly meant; empty for an era without a parent."""
    if era.parent is None:
        return []
    before, after = _Shape(era.parent), _Shape(era)
    same = [each for each in era.replaced if after.does(each) == before.does(era.parent.step(each.id))]
    found = [f"{_named(each, era)} replaces a step that does the same" for each in same]
    if not era.added and not era.removed and len(same) == len(era.replaced):
        found.append(f"this patch changes nothing: {era.id} takes the same steps as {era.parent.id}")
    found += _unlisted(era)
    found += _impossible(era, after)
    ends = _dead_ends(before, after)
    return found + ends + _unreached(era, before, after, own_only=bool(ends))


def advise_untaken(era: Era, untaken: Iterable[str], scenarios: Sequence[str]) -> list[str]:
    """One line for each step of the patch among the ``untaken`` ids of the ``scenarios`` that were explored."""
    missing = set(untaken)
    where = f"in {scenarios[0]}" if len(scenarios) == 1 else f"in any of {len(scenarios)} scenarios"
    return [f"{_named(each, era)} is never taken {where}" for each in own_steps(era) if each.id in missing]


def _named(each: Step, era: Era) -> str:
    """The step, and its line where it is written in the file of ``era``."""
    code = each.function.__code__
    return f"step {each.id}" + (f" (line {code.co_firstlineno})" if code.co_filename == era.file else "")


@attrs.frozen
class _Does:
    """All that a step does: what the engines may tell two steps apart by."""

    declared: tuple[object, ...]
    paths: list[tuple[object, ...]]


class _Shape:
    """The steps of an era, lifted in the world of all objects, and the points that they connect."""

    def __init__(self, era: Era) -> None:
        self.era = era
        self.paths: dict[str, list[tuple[Mapping[str, str], Path]]] = {each.id: [] for each in era.steps}
        for action, path in Instance(era, GALLERY).lifted:
            self.paths[action.step.id].append((action.arguments, path))
        self.sources: dict[Point, list[Step]] = {}
        """The steps that lead to a point."""
        for each in era.steps:
            for point in self.targets(each):
                self.sources.setdefault(point, []).append(each)
        self.reached = self._reached()

    def does(self, each: Step) -> _Does:
        """What ``each`` does."""
        declared = (each.waits, each.optional, each.environment)
        arguments = [tuple(sorted(given.items())) for given, _ in self.paths[each.id]]
        paths = outline(tuple(path for _, path in self.paths[each.id]))
        return _Does(declared, [(given, *path) for given, path in zip(arguments, paths, strict=True)])

    def targets(self, each: Step) -> set[Point]:
        """The points at which ``each`` leaves a routine, its own or one that it begins."""
        begun = {
            (name, str(term.payload))
            for _, path in self.paths[each.id]
            for (name, _), term in path.updates.items()
            if _is_counter(name) and term.op is Op.CONST
        }
        return begun if each.then is None else begun | {point_of(each, each.then)}

    def _reached(self) -> set[Point]:
        """Every point to which steps lead from where the scenarios start, whatever their guards say."""
        found = set(_starts())
        size = -1
        while size != len(found):
            size = len(found)
            for each in self.era.steps:
                if each.at is None or point_of(each, each.at) in found:
                    found |= self.targets(each)
        return found


def _is_counter(name: str) -> bool:
    owner, _, field = name.partition(".")
    return Object.classes[owner].fields[field].program_counter


def point_of(each: Step, at: Enum) -> Point:
    """The point ``at`` of the routine that ``each`` is a step of."""
    assert each.actor.counter is not None
    return each.actor.counter.qualified, at.name


def _starts() -> Iterable[Point]:
    """The points at which some object starts."""
    for scenario in SCENARIOS:
        for made in scenario.objects:
            counter = made.kind.counter
            if counter is not None:
                start = made.values.get(counter.name, counter.default)
                yield counter.qualified, start.name if isinstance(start, Enum) else str(start)


def _shown(point: Point) -> str:
    owner, _, field = point[0].partition(".")
    members = Object.classes[owner].fields[field].members
    return f"{'' if members is None else members.__name__}.{point[1]}"


def _unlisted(era: Era) -> list[str]:
    """Steps that the file defines and ERA does not mention."""
    listed = {id(each) for each in (*era.steps, *own_steps(era))}
    return [
        f"{_named(each, era)} is defined, and neither in added= nor in replaced="
        for each in steps_in_file(era)
        if id(each) not in listed
    ]


def _impossible(era: Era, after: _Shape) -> list[str]:
    """Steps whose guards leave no path."""
    return [
        f"{_named(each, era)} can never be taken: its guards exclude one another"
        for each in own_steps(era)
        if not any(FALSE not in path.condition for _, path in after.paths[each.id])
    ]


def _unreached(era: Era, before: _Shape, after: _Shape, *, own_only: bool) -> list[str]:
    """Steps at a point to which no step leads any more, or none ever did.

    Behind a dead end everything is out of reach: then only the patch's own steps are told.
    """
    own = {each.id for each in own_steps(era)}
    found: dict[Point, list[Step]] = {}
    for each in era.steps:
        if each.at is None or (point := point_of(each, each.at)) in after.reached:
            continue
        if each.id in own or (point in before.reached and not own_only):
            found.setdefault(point, []).append(each)
    return [
        f"no step leads to {_shown(point)}, so {_list(steps)} {'is' if len(steps) == 1 else 'are'} never taken"
        for point, steps in found.items()
    ]


def _dead_ends(before: _Shape, after: _Shape) -> list[str]:
    """Points that a run may reach and never leaves, where the parent has no such end."""
    left = {shape: {point_of(s, s.at) for s in shape.era.steps if s.at is not None} for shape in (before, after)}
    found = []
    for point in sorted(after.reached - left[after]):
        if _at_rest(point) or (point in before.reached and point not in left[before]):
            continue
        sources = _list(after.sources.get(point, []))
        found.append(f"no step leaves {_shown(point)}, to which {sources} leads: whoever gets there stays for ever")
    return found


def _at_rest(point: Point) -> bool:
    owner, _, field = point[0].partition(".")
    return any(each.name == point[1] for each in Object.classes[owner].fields[field].rest)


def _list(steps: Sequence[Step]) -> str:
    shown = [each.id for each in steps[:3]]
    if len(steps) > 3:
        shown.append(f"{len(steps) - 3} more")
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
