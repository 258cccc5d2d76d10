"""The successor function, generated as Python source from the lifted paths of an instance.

One packed integer in, a list of (packed integer, path number) out. A path whose condition is a
conjunction of literals costs one ``and`` and one comparison; paths are dispatched on the program
counter that they stand at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import attrs

from oom_spec.instances import Check, GroundPath, Instance
from oom_spec.language import terms
from oom_spec.language.terms import BOOL, COUNT, Op, Term
from oom_spec.lifting import HALTED, Slot
from oom_spec.packing import Packing
from oom_spec.reachable_values import slot_of

Successors = Callable[[int], list[tuple[int, int]]]
Judge = Callable[[int], object]


@attrs.frozen(eq=False)
class Generated:
    """The compiled functions of an instance and their source."""

    packing: Packing
    successors: Successors
    source: str


def generate(instance: Instance, avoid: frozenset[str] = frozenset()) -> Generated:
    """Generate and compile the successor function; ``avoid`` leaves out steps by id."""
    packing = Packing(instance)
    groups: dict[Slot | None, dict[int, list[GroundPath]]] = {}
    for path in instance.paths:
        if path.action.step.id in avoid:
            continue
        slot, code = _program_point(path, packing)
        groups.setdefault(slot, {}).setdefault(code, []).append(path)
    lines: list[str] = []
    body: list[str] = ["def successors(s):", "    out = []"]
    stop = terms.disjoin(instance.ends, terms.negate(_running(instance)))
    if stop is not terms.FALSE:
        body += [f"    if {packing.condition(stop)}:", "        return out"]
    for position, (slot, by_code) in enumerate(groups.items()):
        if slot is None:
            body += _path_lines(by_code[0], packing, "    ")
            continue
        names = {}
        for code, paths in sorted(by_code.items()):
            names[code] = f"_at_{position}_{code}"
            lines += [f"def {names[code]}(s, out):", *_path_lines(paths, packing, "    "), ""]
        lines += [f"_table_{position} = {{{', '.join(f'{c}: {n}' for c, n in names.items())}}}.get", ""]
        offset, mask = packing.offsets[slot], packing.mask(slot)
        body += [
            f"    at = _table_{position}(s >> {offset} & {mask})",
            "    if at is not None:",
            "        at(s, out)",
        ]
    source = "\n".join([*lines, *body, "    return out", ""])
    return Generated(packing, cast(Successors, _compiled(source, "successors")), source)


def _compiled(source: str, name: str) -> object:
    namespace: dict[str, object] = {}
    exec(compile(source, f"<generated {name}>", "exec"), namespace)  # the source is built from terms only
    return namespace[name]


def _running(instance: Instance) -> Term:
    declared = next(v for v in instance.variables if v.slot == HALTED)
    if HALTED in instance.constants:
        return terms.TRUE
    field = terms.field(
        HALTED[0], declared.declaration.sort, (terms.const(terms.Sort(terms.Kind.OBJECT, "World"), "world"),)
    )
    return terms.equals(field, instance.initial_term(declared))


def _parts(condition: Term) -> Sequence[Term]:
    return condition.args if condition.op is Op.AND else (condition,)


def _program_point(path: GroundPath, packing: Packing) -> tuple[Slot | None, int]:
    counter = path.action.step.actor.counter
    if path.action.step.at is not None and counter is not None:
        slot = (counter.qualified, (path.action.actor,))
        for part in _parts(path.condition):
            if part.op is Op.EQ and part.args[0].op is Op.FIELD and slot_of(part.args[0]) == slot:
                return slot, packing.codes[slot][part.args[1]]
    return None, 0


def _path_lines(paths: Sequence[GroundPath], packing: Packing, indent: str) -> list[str]:
    lines = []
    for path in paths:
        condition = terms.conjoin(*(p for p in _parts(path.condition) if not _is_running(p)))
        text = packing.condition(condition)
        lines += [
            f"{indent}if {text}:  # {path.action.id}",
            f"{indent}    out.append(({_update(path, packing)}, {path.number}))",
        ]
    return lines


def _is_running(part: Term) -> bool:
    return part.op is Op.EQ and part.args[0].op is Op.FIELD and part.args[0].payload == HALTED[0]


def _update(path: GroundPath, packing: Packing) -> str:
    """The next packed state as an expression: known changes become one addition."""
    known: dict[Slot, int] = {}
    for part in _parts(path.condition):
        for literal in part.args if part.op is Op.AND else (part,):
            target, code = _known(literal, packing)
            if target is not None:
                known[target] = code
    delta = 0
    clear = 0
    insert = 0
    extra: list[str] = []
    for slot, term in path.updates.items():
        offset = packing.offsets[slot]
        if term.op is Op.CONST:
            code = packing.codes[slot][term]
            if slot in known:
                delta += (code - known[slot]) << offset
            else:
                clear |= packing.mask(slot) << offset
                insert |= code << offset
        elif term.op is Op.ADD and term.args[0].op is Op.FIELD and slot_of(term.args[0]) == slot:
            step = term.args[1].payload
            assert isinstance(step, int)
            delta += step << offset
        else:
            clear |= packing.mask(slot) << offset
            extra.append(f"(({packing.code_for(slot, term)}) << {offset})")
    everything = (1 << packing.bits) - 1
    text = f"s & {everything ^ clear}" if clear else "s"
    if insert:
        text = f"{text} | {insert}"
    if extra:
        text = " | ".join([text, *extra])
    if delta:
        text = f"({text}) + {delta}" if clear else f"{text} + {delta}"
    return text


def _known(part: Term, packing: Packing) -> tuple[Slot | None, int]:
    if part.op is Op.FIELD and part.sort is BOOL:
        return slot_of(part), 1
    if part.op is Op.NOT and part.args[0].op is Op.FIELD:
        return slot_of(part.args[0]), 0
    if part.op is Op.EQ and part.args[0].op is Op.FIELD and part.args[1].op is Op.CONST:
        slot = slot_of(part.args[0])
        return slot, packing.codes[slot][part.args[1]]
    return None, 0


def judge(packing: Packing, conditions: Sequence[Term]) -> Judge:
    """A function that gives the numbers of the ``conditions`` that hold in a packed state, or None."""
    if not conditions:
        return lambda s: None
    lines = ["def judge(s):"]
    texts = [packing.condition(condition) for condition in conditions]
    lines += [
        "    if " + " or ".join(f"({text})" for text in texts) + ":",
        "        return [n for n, bad in enumerate((" + ", ".join(texts) + ",)) if bad]",
        "    return None",
    ]
    return cast(Judge, _compiled("\n".join(lines), "judge"))


def judges(packing: Packing, conditions: Mapping[int, Sequence[Term]]) -> Mapping[int, Judge]:
    """One `judge` per path number."""
    return {number: judge(packing, parts) for number, parts in conditions.items()}


__all__ = ["BOOL", "COUNT", "Check", "Generated", "generate", "judge", "judges"]
