"""Clauses: what is never true all at once, as data that a person can read, write and review.

A clause is a tuple of literals (`oom_spec.unbounded.literals`) over objects that may be any. It says: for
all objects, never all of these together. Clauses that differ in the names of their objects, or in the
order of their literals, are one. A file of clauses is TOML::

    # While the reaper's job is a task and the reaper stands at ZAP, oom_skip of the task's mm is not set.
    [[clause]]
    name = "reaper.at+mm.oom_skip"
    never = [
        "reaper.job is task1",
        "reaper.at is ZAP",
        "task1.process.mm.oom_skip",
    ]
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

import attrs

from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Kind, Op, Term
from oom_spec.unbounded.grounding import has_quantifier, prefix, substitute
from oom_spec.unbounded.literals import choice_of, is_program_counter, normal, read_literal, write_literal

MOST_FIELDS = 4
"""In the name of a clause."""
_ROOT = re.compile(r"(?<![\w.])([a-z]+)(\d+)\b")


@attrs.frozen
class Clause:
    """Literals that are never true all at once; `clause` makes one."""

    literals: tuple[Term, ...]
    """Links between objects come first, then program counters, then other conditions, then quantified ones."""

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each literal as text."""
        return tuple(map(write_literal, self.literals))

    @cached_property
    def name(self) -> str:
        """Short: the fields that it speaks of, such as ``reaper.at+mm.page_tables``; links only if there is no more."""
        found = list(dict.fromkeys(self._spoken_of()))
        return "+".join(found[:MOST_FIELDS]) + ("+more" if len(found) > MOST_FIELDS else "") or "nothing"

    def _spoken_of(self) -> Iterator[str]:
        leaves = [leaf for each in self.literals for op in (Op.FIELD, Op.STATIC) for leaf in terms.leaves(each, op)]
        links = {leaf.key for each in self.literals if is_link(each) for leaf in terms.leaves(each, Op.FIELD)}
        plain = [leaf for leaf in leaves if leaf.sort.kind is not Kind.OBJECT or leaf.op is Op.FIELD]
        for leaf in [leaf for leaf in plain if leaf.key not in links] or plain or leaves:
            owner, field = str(leaf.payload).split(".")
            yield f"{owner.lower()}.{field}"

    def __str__(self) -> str:
        return "never (" + "; ".join(self.texts) + ")"


def is_link(literal: Term) -> bool:
    """Whether a literal says that a reference or a fixed attribute leads to an object, or that two are one."""
    if literal.op is not Op.EQ or literal.args[0].sort.kind is not Kind.OBJECT:
        return False
    return not any(each.op is Op.CONST and each.payload is None for each in literal.args)


def _rank(literal: Term) -> int:
    if is_link(literal):
        return 0
    if is_link(terms.negate(literal)):
        return 1
    chosen = choice_of(literal)
    if chosen is not None and is_program_counter(chosen[0]):
        return 2
    return 4 if has_quantifier(literal) else 3


# -- one clause for all that say the same ----------------------------------------------------


def clause(literals: Iterable[Term]) -> Clause:
    """The clause of some literals over named objects.

    Objects are numbered anew, by their first appearance. Raises `SpecError` for names that references lead to.
    """
    found: dict[int, Term] = {}
    for literal in literals:
        for part in _conjuncts(literal):
            said = normal(part)
            if said is not terms.TRUE:
                found[said.key] = said
    plain = list(found.values())
    numbered = _numbered(plain)
    renamed = [_renamed(each, numbered) for each in plain]
    ordered = sorted(renamed, key=lambda each: (_rank(each), write_literal(each)))
    names = _by_appearance(ordered)
    return Clause(tuple(normal(_renamed(each, names)) for each in ordered))


def read_clause(texts: Iterable[str]) -> Clause:
    """The clause of some literals as text. Raises `SpecError` for a text that cannot be read."""
    return clause(read_literal(text) for text in texts)


def clause_of(formula: Term) -> Clause:
    """What a closed formula about all objects says is never true all at once."""
    variables, body = prefix(formula)
    numbers: dict[str, int] = {}
    bindings = {}
    for level, kind in variables:
        numbers[kind] = numbers.get(kind, 0) + 1
        bindings[level] = terms.named(terms.Sort(Kind.OBJECT, kind), f"{kind}{numbers[kind]}")
    return clause([substitute(terms.negate(body), bindings)])


def _conjuncts(literal: Term) -> Iterator[Term]:
    """Conditions that are all true where ``literal`` is."""
    if literal.op is Op.AND:
        for part in literal.args:
            yield from _conjuncts(part)
    elif literal.op is Op.NOT and literal.args[0].op is Op.OR and choice_of(literal) is None:
        for part in literal.args[0].args:
            yield from _conjuncts(terms.negate(part))
    else:
        yield literal


def _names(literals: Iterable[Term]) -> dict[str, Term]:
    return {str(leaf.payload): leaf for each in literals for leaf in terms.leaves(each, Op.NAMED)}


def _renamed(literal: Term, names: Mapping[str, str]) -> Term:
    def leaf(part: Term) -> Term | None:
        return terms.named(part.sort, names[str(part.payload)]) if part.op is Op.NAMED else None

    return terms.rebuild(literal, leaf, {})


def _numbered(literals: Sequence[Term]) -> dict[str, str]:
    """Names by class and number, whatever the objects were called.

    Objects are told apart by what is said of them, and by what is said of those that are named beside them. Of
    objects that are alike even so, any may come first: the text is the same.
    """
    named = _names(literals)
    places = _refined(literals, named, dict.fromkeys(named, 0))
    while alike := _first_alike(places):
        places = _refined(literals, named, {name: 2 * place + (name != alike) for name, place in places.items()})
    numbers: dict[str, int] = {}
    names = {}
    for name in sorted(named, key=places.__getitem__):
        kind = named[name].sort.name
        numbers[kind] = numbers.get(kind, 0) + 1
        names[name] = f"{kind}{numbers[kind]}"
    return names


def _first_alike(places: Mapping[str, int]) -> str | None:
    """One of the first objects that share a place."""
    shared = [place for place in places.values() if list(places.values()).count(place) > 1]
    return next((name for name, place in places.items() if place == min(shared)), None) if shared else None


def _refined(literals: Sequence[Term], named: Mapping[str, Term], places: Mapping[str, int]) -> dict[str, int]:
    """Places that tell apart whatever is told apart by what literals say of objects at other places."""
    while True:
        told = {name: (places[name], leaf.sort.name, _told_of(name, literals, places)) for name, leaf in named.items()}
        order = {each: place for place, each in enumerate(sorted(set(told.values())))}
        refined = {name: order[each] for name, each in told.items()}
        if len(order) == len(set(places.values())):
            return refined
        places = refined


def _told_of(name: str, literals: Sequence[Term], places: Mapping[str, int]) -> tuple[str, ...]:
    """What is said of an object, with others called by their places."""
    found = []
    for literal in literals:
        leaves = _names([literal])
        if name in leaves:
            names = {
                each: f"{leaf.sort.name}{0 if each == name else 1 + places[each]}" for each, leaf in leaves.items()
            }
            found.append(write_literal(_renamed(literal, names)))
    return tuple(sorted(found))


def _by_appearance(literals: Sequence[Term]) -> dict[str, str]:
    kinds = {name.lower(): leaf.sort.name for name, leaf in _names(literals).items()}
    numbers: dict[str, int] = {}
    names: dict[str, str] = {}
    for literal in literals:
        for found in _ROOT.finditer(write_literal(literal)):
            kind = kinds[found.group()]
            old = kind + found.group(2)
            if old not in names:
                numbers[kind] = numbers.get(kind, 0) + 1
                names[old] = f"{kind}{numbers[kind]}"
    return names


# -- files -----------------------------------------------------------------------------------


def names_of(clauses: Iterable[Clause]) -> dict[str, Clause]:
    """Clauses by name; those that share one get a few characters more, which depend on nothing but their texts."""
    alike: dict[str, dict[Clause, None]] = {}
    for each in clauses:
        alike.setdefault(each.name, {})[each] = None
    found: dict[str, Clause] = {}
    for name, members in alike.items():
        for each in members:
            digest = hashlib.sha256("\n".join(each.texts).encode()).hexdigest()
            found[name if len(members) == 1 else f"{name}~{digest[:6]}"] = each
    return found


def write_clauses(clauses: Mapping[str, Clause]) -> str:
    """Named clauses as a file, each with its sentence above it."""
    return "\n".join("\n".join([*block(name, each), ""]) for name, each in clauses.items())


def block(
    name: str, said: Clause, kind: str = "clause", lists: Mapping[str, Sequence[str]] = MappingProxyType({})
) -> list[str]:
    """The lines of one clause in a file, its sentence above it; ``lists`` are more entries of it."""
    from oom_spec.unbounded.sentences import sentence

    lines = [f"# {sentence(said)}", f"[[{kind}]]", f"name = {json.dumps(name)}", "never = ["]
    lines += [*(f"    {json.dumps(text)}," for text in said.texts), "]"]
    return [*lines, *(f"{entry} = [{', '.join(map(json.dumps, texts))}]" for entry, texts in lists.items())]


def read_clauses(text: str, where: str) -> dict[str, Clause]:
    """The clauses of a file by name. Raises `SpecError` with one line that names the file and the clause."""
    return {name: said for name, (said, _) in read_blocks(text, where).items()}


Lists = dict[str, tuple[str, ...]]
"""Entries of a clause in a file, beside its name and its literals."""


def read_blocks(
    text: str, where: str, kind: str = "clause", lists: Sequence[str] = ()
) -> dict[str, tuple[Clause, Lists]]:
    """The same for blocks of another name, each with more ``lists`` of texts."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpecError(f"{where} is no TOML: {error}") from None
    blocks = data.pop(kind, [])
    if data or not isinstance(blocks, list):
        raise SpecError(f"{where}: a file of {kind}s has `[[{kind}]]` blocks and nothing else")
    found: dict[str, tuple[Clause, Lists]] = {}
    for number, each in enumerate(blocks, 1):
        name, texts = _checked(each, f"{where}: {kind} {number}", ("never", *lists))
        if name in found:
            raise SpecError(f"{where}: two {kind}s are named {name}")
        try:
            found[name] = read_clause(texts.pop("never")), texts
        except SpecError as error:
            raise SpecError(f"{where}: {kind} {name}: {error}") from None
    return found


def _checked(each: object, where: str, lists: Sequence[str]) -> tuple[str, Lists]:
    if not isinstance(each, dict) or set(each) != {"name", *lists}:
        wanted = ["`name`", *(f"`{entry}`" for entry in lists)]
        raise SpecError(f"{where} needs {', '.join(wanted[:-1])} and {wanted[-1]}, and nothing else")
    name = each["name"]
    for entry in lists:
        texts = each[entry]
        if not isinstance(name, str) or not isinstance(texts, list) or not all(isinstance(t, str) for t in texts):
            raise SpecError(f"{where}: `name` is a text, and `{entry}` a list of texts")
    return name, {entry: tuple(each[entry]) for entry in lists}


__all__ = [
    "Clause",
    "block",
    "clause",
    "clause_of",
    "is_link",
    "names_of",
    "read_blocks",
    "read_clause",
    "read_clauses",
    "write_clauses",
]
