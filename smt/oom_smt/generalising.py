"""Lemmas made as general as small worlds and the start allow, and which of several to prefer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, product

from oom_smt.suggesting import Choice, Literal, formula_of_literal, never
from oom_spec.language import terms
from oom_spec.language.terms import Kind, Op, Sort, Term
from oom_spec.lifting import declaration_of
from oom_spec.unbounded.grounding import has_quantifier
from oom_spec.unbounded.literals import members_of
from oom_spec.unbounded.small_worlds import SmallWorlds
from oom_spec.unbounded.start import starting_values

ENOUGH = 8
"""Worlds that count as many."""
MOST_CHAINS = 10
"""Objects that others lead to and that are replaced in one lemma."""


def never_at_start(literal: Literal) -> bool:
    """Whether no scenario starts with it, of whatever object."""
    if isinstance(literal, Choice):
        return literal.values.isdisjoint(map(str, starting_values()[str(literal.term.payload)]))
    positive = literal.op is not Op.NOT
    atom = literal if positive else literal.args[0]
    field = atom if atom.op is Op.FIELD else atom.args[0] if atom.args else atom
    values = starting_values().get(str(field.payload)) if field.op is Op.FIELD else None
    if values is None:
        return False
    if atom.op is Op.FIELD:
        return positive not in values
    if atom.op is Op.AT_LEAST:
        return positive and values == (0,)
    if atom.op is Op.EQ and field.sort.kind is Kind.OBJECT and atom.args[1].op is not Op.CONST:
        return positive and values == (None,)
    return False


class Generaliser:
    """Makes "never all of these" as general as small worlds and the start allow."""

    def __init__(self, worlds: SmallWorlds, starts_with: Callable[[Term], bool]) -> None:
        """``starts_with`` tells whether the start gives a closed formula."""
        self.worlds = worlds
        self.starts_with = starts_with
        self.met: list[Sequence[Literal]] = []
        """Conditions known to be met all at once in some world, though in none of the small ones."""

    def widened(self, literals: Sequence[Literal]) -> list[Literal]:
        """Each literal, in this order, dropped or given all values that are as unreachable as its own.

        What kept objects together may have gone by the end, so it is done again until nothing changes.
        """
        kept = self._widened_once(literals)
        while True:
            literals, kept = kept, self._widened_once(self._unrooted(kept))
            if len(kept) == len(literals) and all(map(_same_literal, kept, literals)):
                return kept

    def _unrooted(self, literals: Sequence[Literal]) -> Sequence[Literal]:
        """What is said of the object that another leads to, said of any object, where that is as unreachable."""
        for _ in range(MOST_CHAINS):
            for chain, instead in _replacements(literals):
                replaced = [each for old in literals if (each := _with(old, chain, instead)) is not terms.TRUE]
                together = groups_of(replaced) <= groups_of(literals)
                if together and not self.reachable(replaced) and self.starts_with(never(replaced)):
                    literals = replaced
                    break
            else:
                break
        return literals

    def _widened_once(self, literals: Sequence[Literal]) -> list[Literal]:
        kept = list(literals)
        for literal in literals:
            at = kept.index(literal)
            wider = self._wider(kept, at)
            if wider != kept and (any(map(never_at_start, wider)) or self.starts_with(never(wider))):
                kept = wider
        return kept

    def _wider(self, kept: list[Literal], at: int) -> list[Literal]:
        without = [*kept[:at], *kept[at + 1 :]]
        others = [formula_of_literal(each) for each in without]
        literal = kept[at]
        if without and not more_apart(kept, at) and self._was_met(without):
            return kept
        if isinstance(literal, Choice):
            beside = {str(v) for v in self.worlds.values_beside(others, literal.term)}
            if not beside and not more_apart(kept, at):
                return without
            wide = (frozenset(members_of(literal.term.sort)) - beside - self._rare(literal.term)) | literal.values
            return kept if wide == literal.values else [*kept[:at], Choice(literal.term, wide), *kept[at + 1 :]]
        return kept if more_apart(kept, at) or self.worlds.reachable(others) else without

    def _rare(self, field: Term) -> frozenset[str]:
        """Values that so few worlds ever show that nothing can be concluded; of program counters none."""
        name = str(field.payload)
        if declaration_of(name).program_counter:
            return frozenset()
        return frozenset(str(value) for value, worlds in self.worlds.seen.get(name, {}).items() if worlds < ENOUGH)

    def reachable(self, literals: Sequence[Literal]) -> bool:
        """Whether some small world has a state like this, or another world is known to have one."""
        return self._was_met(literals) or self.worlds.reachable([formula_of_literal(each) for each in literals])

    def support(self, literals: Sequence[Literal]) -> int:
        """In how many worlds all but one of ``literals`` are met, whichever is left out.

        That all of them never are is chance where this is a small number.
        """
        formulas = [formula_of_literal(each) for each in literals]
        return min(
            self.worlds.worlds_with([*formulas[:at], *formulas[at + 1 :]], ENOUGH) for at in range(len(formulas))
        )

    def _was_met(self, literals: Sequence[Literal]) -> bool:
        return any(weaker(literals, each) for each in self.met)


def _same_literal(one: Literal, other: Literal) -> bool:
    return formula_of_literal(one) is formula_of_literal(other)


def _replacements(literals: Sequence[Literal]) -> Iterator[tuple[Term, Term]]:
    """Objects that others lead to, and what may stand in their place: what they are said to be, or any object."""
    formulas = [formula_of_literal(each) for each in literals]
    chains = {
        leaf.key: leaf
        for each in formulas
        for leaf in terms.leaves(each, Op.STATIC)
        if leaf.sort.kind is Kind.OBJECT and not terms.leaves(leaf, Op.BOUND)
    }
    equalities = [term for each in formulas for term in terms.leaves(each, Op.EQ)]
    for each in equalities:
        if Op.CONST in (each.args[0].op, each.args[1].op):  # it may be nobody
            for side in each.args:
                chains.pop(side.key, None)
    for each in formulas:
        if each.op is Op.EQ and each.args[0].sort.kind is Kind.OBJECT:
            left, right = each.args
            if left.key in chains:
                yield left, right
            if right.key in chains:
                yield right, left
    taken = set(_objects_of(formulas))
    for chain in sorted(chains.values(), key=lambda each: -len(str(each))):
        names = (f"{chain.sort.name}@{number}" for number in count(1))
        yield chain, terms.named(chain.sort, next(name for name in names if name not in taken))


def _with(literal: Literal, chain: Term, instead: Term) -> Literal:
    def leaf(part: Term) -> Term | None:
        return instead if part is chain else None

    if isinstance(literal, Choice):
        return Choice(terms.rebuild(literal.term, leaf, {}), literal.values)
    return terms.rebuild(literal, leaf, {})


def few(support: int) -> int:
    """How doubtful a lemma is with so much `Generaliser.support`."""
    return 0 if support >= ENOUGH else 1 if support >= ENOUGH // 2 else 2


def weaker(literals: Sequence[Literal], than: Sequence[Literal]) -> bool:
    """Whether other conditions say all of ``literals``, of some of their objects."""
    said = [formula_of_literal(each) for each in than]
    others = _objects_of(said)
    chosen = list(_objects_of(map(formula_of_literal, literals)).items())
    alike = [[other for other, kind in others.items() if kind == own] for _, own in chosen]
    keys = {each.key for each in said}
    sets = {each.term.key: each.values for each in than if isinstance(each, Choice)}
    for images in product(*alike):
        names = {name: image for (name, _), image in zip(chosen, images, strict=True)}
        if all(_says(each, names, keys, sets) for each in literals):
            return True
    return False


def _says(literal: Literal, names: Mapping[str, str], keys: set[int], sets: Mapping[int, frozenset[str]]) -> bool:
    if isinstance(literal, Choice):
        values = sets.get(_called(literal.term, names).key)
        return values is not None and values <= literal.values
    return _called(literal, names).key in keys


def _objects_of(literals: Iterable[Term]) -> dict[str, Sort]:
    return {str(leaf.payload): leaf.sort for each in literals for leaf in terms.leaves(each, Op.NAMED)}


def _called(term: Term, names: Mapping[str, str]) -> Term:
    def leaf(part: Term) -> Term | None:
        return terms.named(part.sort, names[str(part.payload)]) if part.op is Op.NAMED else None

    return terms.rebuild(term, leaf, {})


def orders(literals: Sequence[Literal]) -> Iterator[list[Literal]]:
    """In which literals may be widened: what is best left out comes first."""

    def rank(literal: Literal) -> int:
        if _is_fixed(literal):
            return 0
        if isinstance(literal, Choice):
            return 4 if declaration_of(str(literal.term.payload)).program_counter else 3
        atom = literal.args[0] if literal.op is Op.NOT else literal
        if has_quantifier(literal):
            return 0
        if atom.op is Op.EQ and atom.args[0].sort.kind is Kind.OBJECT:
            return 1 if literal.op is Op.NOT else 5
        return 2

    ranked = sorted(literals, key=rank)
    yield ranked
    yield ranked[::-1]
    yield sorted(literals, key=lambda each: (rank(each) == 4, -rank(each)))
    yield sorted(literals, key=lambda each: (rank(each) != 0, rank(each) != 4, rank(each)))
    yield sorted(literals, key=lambda each: (rank(each) in (4, 5), rank(each)))[::-1]


def groups_of(literals: Sequence[Literal]) -> int:
    """In how many groups the objects of some literals fall that no literal links."""
    groups: list[set[object]] = []
    for each in map(formula_of_literal, literals):
        names = {leaf.payload for op in (Op.NAMED, Op.CONST) for leaf in terms.leaves(each, op) if _is_object(leaf)}
        apart = [group for group in groups if not group & names]
        groups = [*apart, names.union(*(group for group in groups if group & names))]
    return len(groups)


def more_apart(literals: Sequence[Literal], at: int) -> bool:
    """Whether objects would have nothing to do with each other any more without the literal at this place.

    Conditions on objects that nothing links may exclude each other only because small worlds have few objects.
    """
    return groups_of([*literals[:at], *literals[at + 1 :]]) > groups_of(literals)


def weight(literals: Sequence[Literal]) -> tuple[int, int, int, int]:
    """What to prefer among lemmas: objects that are linked, few quantifiers, few objects and literals."""
    formulas = [formula_of_literal(each) for each in literals]
    quantified = sum(has_quantifier(each) for each in formulas)
    names = {leaf.payload for each in formulas for leaf in terms.leaves(each, Op.NAMED)}
    fixed = sum(_is_fixed(each) for each in literals)
    return groups_of(literals), quantified + fixed, len(literals) + len(names), len(names)


def _is_fixed(literal: Literal) -> bool:
    """Whether it is about a fixed attribute of an object: what never changes seldom matters to what happens."""
    if isinstance(literal, Choice):
        return False
    atom = literal.args[0] if literal.op is Op.NOT else literal
    if atom.op is Op.FIELD:
        return declaration_of(str(atom.payload)).constant
    return atom.op is Op.STATIC


def _is_object(leaf: Term) -> bool:
    return leaf.sort.kind is Kind.OBJECT and leaf.payload is not None


__all__ = ["Generaliser", "few", "orders", "weight"]
