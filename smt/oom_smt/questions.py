"""One ground obligation put to Z3: lemmas are assumed for more objects until it is refuted or none is against it.

A state that Z3 finds is looked at: what a lemma says of objects in it, and is false there, is added, and Z3 is
asked again. Witnesses that lemmas bring join the objects, so lemmas speak of them too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import attrs

from oom_smt import z3_api as z3
from oom_smt.open_encoding import OpenEncoding
from oom_smt.z3_api import Answer, Solver
from oom_spec.language import terms
from oom_spec.language.terms import Op, Term, Value
from oom_spec.unbounded.grounding import ROUNDS, Frozen, Grounding, Universe, has_quantifier, prefix, substitute

FIRST_NUMBER = 100_000
"""Witnesses of different lemmas are numbered apart by this much: one name must not stand for two of them."""
LEMMA, GIVEN = "lemma ", "given "
MOST_INSTANCES = 3
"""Instances of one lemma that are added before Z3 is asked again."""
AT_ONCE = 1
"""Witnesses that join before Z3 is asked again."""
MOST_WITNESSES = 30
"""Witnesses of lemmas that join the objects of an obligation; not to let more do so only weakens what is assumed."""
MOST_ROUNDS = 200
"""Questions to Z3 for one obligation."""


Denied = tuple[Term, Mapping[Value, Term]]
"""A formula that must not hold, and the fresh objects that it speaks of."""


class Valuation:
    """What a state that Z3 found says of ground terms."""

    def __init__(self, encoding: OpenEncoding, model: z3.Model) -> None:
        self._encoding = encoding
        self._model = model
        self._truths: dict[int, bool] = {}

    def truth(self, term: Term) -> bool:
        """Whether a ground formula is true there."""
        found = self._truths.get(term.key)
        if found is None:
            found = self._truths[term.key] = self._truth(term)
        return found

    def _truth(self, term: Term) -> bool:
        op, args = term.op, term.args
        if op is Op.CONST:
            return bool(term.payload)
        if op is Op.NOT:
            return not self.truth(args[0])
        if op is Op.AND:
            return all(map(self.truth, args))
        if op is Op.OR:
            return any(map(self.truth, args))
        if op is Op.ITE:
            return self.truth(args[1] if self.truth(args[0]) else args[2])
        return self._model.is_true(self._encoding.truth(term))

    def value(self, term: Term) -> str:
        """The value of a ground term, or what object a name stands for, as text."""
        return self._model.text(self._encoding.value(term))


@attrs.frozen(eq=False)
class _Lemma:
    """A formula about all objects: no choice of them makes all of ``never`` true."""

    variables: tuple[tuple[Value, str], ...]
    body: Term
    never: tuple[tuple[Term, ...], ...]
    """For each variable, in order, the conditions that speak of it and of none that comes later."""
    always: tuple[Term, ...]
    """The conditions that speak of no variable."""


class Lemmas:
    """Closed formulas about all objects, by number; which of them are assumed is for the user to say."""

    def __init__(self) -> None:
        self.formulas: list[Term] = []
        self._numbers: dict[int, int] = {}
        self._lemmas: list[_Lemma] = []
        self._instances: dict[tuple[int, ...], Term] = {}

    def add(self, formula: Term) -> int:
        """The number of a formula, which is taken in if it is new."""
        known = self._numbers.setdefault(formula.key, len(self.formulas))
        if known < len(self.formulas):
            return known
        variables, body = prefix(formula)
        place = {level: number for number, (level, _) in enumerate(variables)}
        parts: list[list[Term]] = [[] for _ in range(len(variables) + 1)]
        for condition in _parts(body):
            used = [place[leaf.payload] for leaf in terms.leaves(condition, Op.BOUND) if leaf.payload in place]
            parts[max(used, default=-1) + 1].append(condition)
        self.formulas.append(formula)
        never = tuple(tuple(sorted(part, key=has_quantifier)) for part in parts)
        self._lemmas.append(_Lemma(tuple(variables), body, never[1:], never[0]))
        return known

    def against(
        self, assumed: Iterable[int], universe: Universe, valuation: Valuation
    ) -> Iterator[tuple[int, tuple[Term, ...]]]:
        """Where ``assumed`` lemmas are false of objects of the universe in a state: the number, and the objects."""
        for number in assumed:
            lemma = self._lemmas[number]
            if all(self._is_true(condition, (), lemma, universe, valuation) for condition in lemma.always):
                for chosen in islice(self._choices(lemma, (), universe, valuation), MOST_INSTANCES):
                    yield number, chosen

    def _choices(
        self, lemma: _Lemma, chosen: tuple[Term, ...], universe: Universe, valuation: Valuation
    ) -> Iterator[tuple[Term, ...]]:
        at = len(chosen)
        if at == len(lemma.variables):
            yield chosen
            return
        for each in universe.of(lemma.variables[at][1]):
            more = (*chosen, each)
            if all(self._is_true(condition, more, lemma, universe, valuation) for condition in lemma.never[at]):
                yield from self._choices(lemma, more, universe, valuation)

    def _is_true(
        self, condition: Term, chosen: tuple[Term, ...], lemma: _Lemma, universe: Universe, valuation: Valuation
    ) -> bool:
        if has_quantifier(condition):
            return holds(condition, True, _bindings(lemma, chosen), universe, valuation)
        key = (condition.key, *(each.key for each in chosen))
        found = self._instances.get(key)
        if found is None:
            found = self._instances[key] = substitute(condition, _bindings(lemma, chosen))
        return valuation.truth(found)

    def instance(self, number: int, chosen: tuple[Term, ...], grounding: Grounding) -> Term:
        """What a lemma says of these objects; ``grounding`` makes the witnesses that it brings."""
        lemma = self._lemmas[number]
        return grounding.ground(lemma.body, True, _bindings(lemma, chosen))


def _bindings(lemma: _Lemma, chosen: tuple[Term, ...]) -> dict[Value, Term]:
    return {level: each for (level, _), each in zip(lemma.variables, chosen, strict=False)}


def _parts(body: Term) -> list[Term]:
    """Conditions of which at least one is false wherever ``body`` is true."""
    if body.op is Op.OR:
        return [part for arg in body.args for part in _parts(arg)]
    if body.op is Op.NOT and body.args[0].op is Op.AND:
        return list(body.args[0].args)
    return [terms.negate(body)]


def holds(term: Term, positive: bool, bindings: Mapping[Value, Term], universe: Universe, valuation: Valuation) -> bool:
    """Whether ``term`` (or its negation) is true in a state, where quantifiers speak of the universe only."""
    op = term.op
    if not has_quantifier(term):
        return valuation.truth(substitute(term, bindings)) == positive
    if op is Op.NOT:
        return holds(term.args[0], not positive, bindings, universe, valuation)
    if op is Op.EVERY or op is Op.SOME:
        variable, body = term.args
        if variable.sort.name in universe.absent:
            return (op is Op.EVERY) == positive
        every = (op is Op.EVERY) == positive
        parts = (
            holds(body, positive, {**bindings, term.payload: each}, universe, valuation)
            for each in universe.of(variable.sort.name)
        )
        return all(parts) if every else any(parts)
    if op is Op.AND or op is Op.OR:
        parts = (holds(arg, positive, bindings, universe, valuation) for arg in term.args)
        return all(parts) if (op is Op.AND) == positive else any(parts)
    if op is Op.ITE:
        branch = 1 if holds(term.args[0], True, bindings, universe, valuation) else 2
        return holds(term.args[branch], positive, bindings, universe, valuation)
    left, right = (holds(arg, True, bindings, universe, valuation) for arg in term.args)
    return (left == right) == positive


@attrs.define(eq=False)
class Counterexample:
    """A state in which an obligation fails although all lemmas hold for its objects."""

    universe: Universe
    valuation: Valuation


def _numbers(core: Iterable[str], kind: str) -> list[int]:
    return sorted(int(each.removeprefix(kind)) for each in core if each.startswith(kind))


class Question:
    """Is there a state in which all of ``given`` is true, and one of some formulas is not?

    It can be asked again for other formulas: what was added of lemmas stays.
    """

    def __init__(
        self,
        encoding: OpenEncoding,
        universe: Universe,
        given: Callable[[Universe], Sequence[Term]],
        seconds: float,
    ) -> None:
        """``given`` says what is known of the objects of a universe, which may grow."""
        self.encoding = encoding
        self.universe = universe
        self.seconds = seconds
        self.solver = Solver(None)
        self.asked = 0
        self._given = given
        self._joined = 0
        self._assumed: set[tuple[int, tuple[int, ...]]] = set()
        self._groundings: dict[int, Grounding] = {}
        self._own = Grounding(universe)
        self._count = 0
        self._using: dict[int, z3.Expr] = {}
        self.known: list[Term] = []
        """What is given, ground."""
        self.instances: dict[int, list[Term]] = {}
        """What was assumed of each lemma, ground."""
        self.failing: dict[str, Term] = {}
        """What was last asked for, ground."""
        self.core: list[int] = []
        """The lemmas that were enough for the last answer that nothing fails."""
        self.guards: list[int] = []
        """What of the given was."""
        self._here: list[z3.Expr] = []
        self.brought: set[int] = set()
        """The lemmas that witnesses among the objects come from: without them nobody says that these exist."""

    @property
    def full(self) -> bool:
        """Whether witnesses are left out by now: who asks something else may do better with a question of its own."""
        return self._joined >= MOST_WITNESSES

    def failures(
        self,
        denied: Mapping[str, Denied],
        lemmas: Lemmas,
        assumed: Collection[int] = (),
        without: Collection[int] = (),
    ) -> dict[str, Counterexample | None]:
        """Each of ``denied`` that may fail although the ``assumed`` lemmas hold, with a state; None where Z3 gives up.

        Where none may, `core` has the lemmas that were enough, and `guards` the numbers of what is given that was.
        What is given at the numbers ``without`` is left out.
        """
        found: dict[str, Counterexample | None] = {}
        for _, fresh in denied.values():
            for each in fresh.values():
                self.universe.add(each)
        while left := {name: each for name, each in denied.items() if name not in found}:
            answer, valuation, self.failing = self._settle(lemmas, assumed, without, left)
            if answer is Answer.UNSAT:
                break
            if valuation is None:
                found.update(dict.fromkeys(left))
                break
            hit = [name for name in left if valuation.truth(self.failing[name])]
            found.update((name, Counterexample(self.universe, valuation)) for name in hit)
        return found

    def _ground(self, denied: Mapping[str, Denied]) -> tuple[dict[str, Term], z3.Expr]:
        """The failures, for all objects there are by now, and what stands for one of them."""
        for _ in range(ROUNDS):
            count = self.universe.count
            failures = [self._own.ground(goal, False, fresh) for goal, fresh in denied.values()]
            if self._count != self.universe.count:
                self._count = self.universe.count
                self.known = [self._own.ground(each) for each in self._given(self.universe)]
                self._here = [z3.bool_variable(f"{GIVEN}{number}") for number in range(len(self.known))]
                pairs = zip(self._here, self.known, strict=True)
                self.solver.add(*(z3.implies(here, self.encoding.truth(each)) for here, each in pairs))
            if count == self.universe.count:
                break
        self.asked += 1
        asked = z3.bool_variable(f"question {self.asked}")
        self.solver.add(z3.implies(asked, z3.disjoin(map(self.encoding.truth, failures))))
        return dict(zip(denied, failures, strict=True)), asked

    def _settle(
        self, lemmas: Lemmas, assumed: Collection[int], without: Collection[int], denied: Mapping[str, Denied]
    ) -> tuple[Answer, Valuation | None, dict[str, Term]]:
        count = -1
        until = time.monotonic() + self.seconds
        for _ in range(MOST_ROUNDS):
            if time.monotonic() > until:
                break
            if count != self.universe.count:
                failing, asked = self._ground(denied)
                count = self.universe.count
            using = [self._using[number] for number in assumed if number in self._using]
            here = [each for number, each in enumerate(self._here) if number not in without]
            answer = self.solver.check(self.seconds, [asked, *here, *using])
            if answer is not Answer.SAT:
                if answer is Answer.UNSAT:
                    self.core = _numbers(self.solver.core(), LEMMA)
                    self.guards = _numbers(self.solver.core(), GIVEN)
                return answer, None, failing
            valuation = Valuation(self.encoding, self.solver.model())
            new = self._against(lemmas, assumed, valuation)
            if not new:
                return answer, valuation, failing
            self.solver.add(*new)
        return Answer.UNKNOWN, None, failing

    def _against(self, lemmas: Lemmas, assumed: Collection[int], valuation: Valuation) -> list[z3.Expr]:
        """What lemmas say of objects, and is false in a state."""
        found: list[z3.Expr] = []
        met: list[Term] = []
        for number, chosen in lemmas.against(assumed, self.universe, valuation):
            key = (number, tuple(each.key for each in chosen))
            if key in self._assumed or len(met) >= AT_ONCE:
                continue
            self._assumed.add(key)
            frozen = Frozen(self.universe)
            grounding = self._groundings.setdefault(number, Grounding(frozen, FIRST_NUMBER * (1 + number)))
            grounding.universe = frozen
            using = self._using.setdefault(number, z3.bool_variable(f"{LEMMA}{number}"))
            instance = lemmas.instance(number, chosen, grounding)
            self.instances.setdefault(number, []).append(instance)
            found.append(z3.implies(using, self.encoding.truth(instance)))
            met += frozen.met
            if frozen.met:
                self.brought.add(number)
        for each in met:
            if self._joined < MOST_WITNESSES:
                self._joined += 1
                self.universe.add(each)
        return found
