"""Ground formulas brought to bit-vectors: the answer stays what it was."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from oom_smt import z3_api as z3
from oom_smt.cnf import clauses_of
from oom_smt.ground_obligations import z3_answers
from oom_smt.reducing import NoFiniteForm, finite
from oom_smt.smtlib import quoted, smtlib
from oom_smt.z3_api import Answer
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.objects import Object
from oom_spec.language.terms import COUNT, Kind, Op, Sort, Term
from oom_spec.protocol.state import Scanner, Writer
from oom_spec.unbounded.opening import class_of, object_of

ROOT = Path(__file__).resolve().parents[2]

TASKS = ("Task1", "Task2", "Killer1.current", "Killer2.current", "Killer1->victim", "reaper->job")
TASK = Sort(Kind.OBJECT, "Task")
NOTHING = terms.const(TASK, None)


def field(qualified: str, *owners: str) -> Term:
    """A field or fixed attribute of named objects; counts without their bounds."""
    kind, name = qualified.split(".")
    declared = Object.classes[kind]
    owner = object_of(kind, owners[0])
    if name in declared.statics:
        return terms.static(qualified, declared.statics[name].sort, owner)
    index = declared.fields[name].index
    found = (owner,) if index is None else (owner, object_of(index, owners[1]))
    return terms.field(qualified, declared.fields[name].sort, found)


Atoms = Callable[[random.Random], Term]


def about_objects(chooser: random.Random) -> Term:
    """Which objects are the same, where references lead, and one flag of what is there."""
    which = chooser.randrange(6)
    killer = chooser.choice(("Killer1", "Killer2"))
    if which == 0:
        return field("Task.has_mm", chooser.choice(TASKS))
    if which == 1:
        return field("Process.frozen", chooser.choice(TASKS) + ".process", chooser.choice(TASKS))
    if which == 2:
        one, other = (object_of("Process", chooser.choice(TASKS) + ".process") for _ in range(2))
        return terms.equals(one, other)
    if which == 3:
        return terms.equals(object_of("Killer", "Killer1"), object_of("Killer", killer))
    return terms.equals(thread(chooser), thread(chooser))


def thread(chooser: random.Random, depth: int = 1) -> Term:
    """A thread, or what a reference leads to, or nothing."""
    which = chooser.randrange(6)
    if which == 0 and depth:
        return terms.choose(field("Task.has_mm", "Task1"), thread(chooser, 0), thread(chooser, 0))
    if which == 1:
        return NOTHING
    if which == 2:
        return field("Killer.victim", chooser.choice(("Killer1", "Killer2")))
    return field("Reaper.job", "reaper") if which == 3 else object_of("Task", chooser.choice(TASKS))


def about_counts(chooser: random.Random) -> Term:
    """Counts of three threads and a limit, with sums; sometimes which of the threads are the same."""
    which = chooser.randrange(7)
    if which == 0:
        one, other = (object_of("Task", chooser.choice(TASKS[:2])) for _ in range(2))
        return terms.equals(one, other)
    if which <= 3:
        return terms.at_least(count(chooser), chooser.randint(-2, 4))
    return terms.equals(count(chooser), count(chooser))


def count(chooser: random.Random, depth: int = 2) -> Term:
    which = chooser.randrange(8)
    if which == 0 and depth:
        return terms.choose(field("Task.has_mm", "Task1"), count(chooser, depth - 1), count(chooser, depth - 1))
    if which <= 3 and depth:
        return terms.add(count(chooser, depth - 1), chooser.choice((-2, -1, 1, 2)))
    if which == 4:
        return terms.static("limit.retries", COUNT, object_of("World", "world"))
    return field("Task.queue_depth", chooser.choice(("Task1", "Task2", "Task3")))


def about_choices(chooser: random.Random) -> Term:
    """What three mms say of their writer."""
    value = field("Mm.writer", chooser.choice(("Mm1", "Mm2", "Mm3")))
    if chooser.random() < 0.3:
        return terms.equals(value, field("Mm.writer", chooser.choice(("Mm1", "Mm2", "Mm3"))))
    if chooser.random() < 0.2:
        return terms.equals(object_of("Mm", "Mm1"), object_of("Mm", chooser.choice(("Mm2", "Mm3"))))
    member = terms.const(value.sort, chooser.choice(list(Writer)).name)
    other = terms.choose(field("Mm.oom_skip", "Mm1"), member, value)
    return terms.equals(value, chooser.choice((member, member, other)))


def formula(chooser: random.Random, atoms: Atoms) -> Term:
    """One to three literals, at least one of which must hold; or one literal if another holds, else a third."""
    parts = [atoms(chooser) for _ in range(3)]
    parts = [part if chooser.random() < 0.5 else terms.negate(part) for part in parts]
    if chooser.random() < 0.1:
        return terms.choose(parts[0], parts[1], parts[2])
    return terms.disjoin(*parts[: chooser.choice((1, 1, 2, 3))])


def satisfiable(assertions: list[Term]) -> bool:
    """By Z3 on the clauses of the finite form; a model is tried on the form itself."""
    question = finite(assertions)
    made = clauses_of(question)
    truths = {str(number): z3.bool_variable(str(number)) for number in range(1, made.variables + 1)}
    solver = z3.Solver()
    for clause in made.clauses:
        literals = [truths[str(each)] if each > 0 else z3.negate(truths[str(-each)]) for each in clause]
        solver.add(z3.disjoin(literals))
    answer = solver.check(10)
    assert answer is not Answer.UNKNOWN
    if answer is Answer.SAT:
        true = {int(name) for name in solver.true_of(truths)}
        values = {name: sum((bit in true) << n for n, bit in enumerate(bits)) for name, bits in made.names.items()}
        assert question.holds(values)
    return answer is Answer.SAT


@pytest.mark.parametrize("atoms", [about_objects, about_counts, about_choices])
def test_z3_gives_the_same_answer_over_unknown_sorts_and_on_the_clauses(atoms: Atoms) -> None:
    chooser = random.Random(3)
    answers = {Answer.SAT: 0, Answer.UNSAT: 0}
    for _ in range(60):
        assertions = [formula(chooser, atoms) for _ in range(chooser.randint(2, 10))]
        answer = z3_answers(assertions, 10)
        answers[answer] += 1
        assert satisfiable(assertions) == (answer is Answer.SAT), assertions
    assert min(answers.values()) >= 10, answers


def named(*names: str) -> list[Term]:
    return [object_of(class_of(name), name) for name in names]


def differ(*found: Term) -> list[Term]:
    return [terms.negate(terms.equals(one, two)) for number, one in enumerate(found) for two in found[:number]]


X, Y, Z = (field("Task.queue_depth", name) for name in ("Task1", "Task2", "Task3"))
FLAGS = [field("Task.has_mm", name) for name in ("Task1", "Task2")]
SAME_KILLER = terms.equals(*named("Killer1", "Killer2"))
VICTIM, OTHER_VICTIM = field("Killer.victim", "Killer1"), field("Killer.victim", "Killer2")
SCANNER = field("Mm.scanner", "Mm1")
NOBODY = [terms.negate(terms.equals(SCANNER, terms.const(SCANNER.sort, each.name))) for each in Scanner]


def deep_sum() -> Term:
    """``X + 9``, but that no number above 3 is written down."""
    alive = field("Task.has_mm", "Task1")
    found = X
    for _ in range(3):
        found = terms.add(terms.choose(alive, X, found), 3)
    return terms.conjoin(terms.negate(alive), terms.equals(found, Y))


@pytest.mark.parametrize(
    ("assertions", "possible"),
    [
        ([terms.equals(*named("Task1", "Task2")), *differ(*named("Task1.process.mm", "Task2.process.mm"))], False),
        ([terms.equals(*named("Task1.process", "Task2.process")), *differ(*named("Task1", "Task2"))], True),
        (differ(*named("Task1", "Task2", "Task3", "Task4", "Task5")), True),
        ([SAME_KILLER, terms.equals(VICTIM, NOTHING), *differ(OTHER_VICTIM, NOTHING)], False),
        ([SAME_KILLER, *differ(VICTIM, OTHER_VICTIM)], False),
        ([*FLAGS, terms.equals(*FLAGS)], True),
        ([FLAGS[0], terms.negate(FLAGS[1]), terms.equals(*FLAGS)], False),
        ([terms.equals(VICTIM, NOTHING), terms.equals(OTHER_VICTIM, NOTHING), *differ(VICTIM, OTHER_VICTIM)], False),
        (
            [
                SAME_KILLER,
                terms.equals(named("Killer1.current")[0], NOTHING),
                *differ(named("Killer2.current")[0], NOTHING),
            ],
            False,
        ),
        # What a reference that is not set would lead to is anything.
        (
            [terms.equals(VICTIM, NOTHING), terms.equals(OTHER_VICTIM, NOTHING), terms.equals(VICTIM, OTHER_VICTIM),
             *differ(*named("Killer1->victim", "Killer2->victim"))],
            True,
        ),
        ([terms.equals(terms.choose(field("Task.has_mm", "Task1"), VICTIM, NOTHING), OTHER_VICTIM),
          *differ(OTHER_VICTIM, VICTIM), *differ(OTHER_VICTIM, NOTHING)], False),
        # Counts: no end above, none below, and no wrapping around.
        ([terms.equals(Y, terms.add(X, 7)), terms.equals(Z, terms.add(Y, 7)), terms.at_least(X, 7)], True),
        ([terms.equals(Y, terms.add(X, 1)), terms.negate(terms.at_least(Y, 1))], True),
        ([terms.equals(Y, terms.add(X, 2)), terms.at_least(X, 1), terms.negate(terms.at_least(Y, 3))], False),
        ([terms.equals(Y, terms.add(X, -2)), terms.negate(terms.at_least(X, 3)), terms.at_least(Y, 1)], False),
        ([terms.equals(terms.choose(field("Task.has_mm", "Task1"), terms.add(X, 5), terms.add(X, -5)), terms.add(Y, 9)),
          terms.equals(X, Y)], False),
        ([deep_sum(), terms.at_least(X, 3)], True),
        # Here -27 - 7 would be 23, in the 6 bits that three counts and the numbers from -7 to 1 need.
        (
            [
                terms.equals(Y, terms.add(X, -7)),
                terms.negate(terms.at_least(X, 1)),
                terms.at_least(Y, 1),
                terms.at_least(Z, 1),
            ],
            False,
        ),
        (differ(X, Y, Z, terms.static("limit.retries", COUNT, object_of("World", "world"))), True),
        # A choice has its members only.
        (NOBODY, False),
        (NOBODY[1:], True),
    ],
)  # fmt: skip
def test_hand_made_questions(assertions: list[Term], possible: bool) -> None:
    assert z3_answers(assertions, 10) is (Answer.SAT if possible else Answer.UNSAT)
    assert satisfiable(assertions) == possible


# -- what is refused -------------------------------------------------------------------------

BOUND = terms.bound(TASK, 0)
ELSEWHERE = terms.field("Task.has_mm", terms.BOOL, (VICTIM,))


@pytest.mark.parametrize(
    ("assertion", "message"),
    [
        (
            terms.quantify(Op.EVERY, TASK, 0, terms.field("Task.has_mm", terms.BOOL, (BOUND,))),
            "(every ?task0: ?task0.has_mm) has no finite form: it is not ground",
        ),
        (ELSEWHERE, "Killer1.victim.has_mm has no finite form: Killer1.victim is no name of an object"),
        (
            terms._make(Op.AT_LEAST, terms.BOOL, None, (X, Y)),
            "(>= Task1.queue_depth Task2.queue_depth) has no finite form: Task2.queue_depth is no given number",
        ),
        (
            terms.equals(terms._make(Op.ADD, COUNT, None, (X, Y)), Z),
            "(+ Task1.queue_depth Task2.queue_depth) has no finite form: Task2.queue_depth is no given number",
        ),
        (
            terms.equals(terms.const(TASK, "t0"), VICTIM),
            "t0 has no finite form: it is an object of a scenario",
        ),
        (
            terms.equals(terms.static("Task.process", Sort(Kind.OBJECT, "Process"), object_of("Task", "Task1")),
                         object_of("Process", "Process1")),
            "Task1.process has no finite form: what it leads to has a name of its own",
        ),
    ],
)  # fmt: skip
def test_what_is_outside_the_fragment_is_refused_by_name(assertion: Term, message: str) -> None:
    with pytest.raises(NoFiniteForm) as refused:
        finite([assertion])
    assert str(refused.value) == message


def test_a_choice_that_no_field_has_is_a_mistake_of_ours() -> None:
    unheard = Sort(Kind.CHOICE, "Unheard")
    with pytest.raises(SpecError, match="internal error: no field has the sort Unheard"):
        finite([terms.equals(terms.field("Task.at", unheard, tuple(named("Task1"))), terms.const(unheard, "OF"))])


# -- as text ---------------------------------------------------------------------------------

TEXT = """\
; oomspec obligation, schema 1
; era: E6
; step: reaper.one line
(set-logic QF_BV)
(set-info :status unsat)
(declare-fun |Killer1->victim| () (_ BitVec 1))
(declare-fun |Killer1.holds_oom_lock| () Bool)
(declare-fun |Killer1.victim?| () Bool)
(declare-fun |Task1| () (_ BitVec 1))
(declare-fun |Task1.queue_depth| () (_ BitVec 3))
(define-fun shared!3 () Bool (bvuge |Task1.queue_depth| #b011))
(assert (or |Killer1.holds_oom_lock| shared!3))
(assert (or shared!3 |Killer1.victim?|))
(assert |Killer1.victim?|)
(assert (or (not |Killer1.victim?|) (= |Killer1->victim| |Task1|)))
(assert (not (bvuge |Task1.queue_depth| #b101)))
(check-sat)
(exit)
"""


def test_the_text_of_a_question() -> None:
    flag = field("Killer.holds_oom_lock", "Killer1")
    assertions = [
        terms.disjoin(flag, terms.at_least(X, 1)),
        terms.disjoin(terms.at_least(X, 1), terms.negate(terms.equals(VICTIM, NOTHING))),
        terms.equals(VICTIM, named("Task1")[0]),
    ]
    assert smtlib(finite(assertions), {"era": "E6", "step": "reaper.one\nline"}) == TEXT


@pytest.mark.parametrize("name", ["a|b", "a\\b", "a\nb", "shared!1"])
def test_a_name_that_cannot_be_quoted_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match="cannot be a symbol of SMT-LIB"):
        quoted(name)


HASHED = """
from tests.smt.test_reducing import *
chooser = random.Random(11)
for atoms in (about_objects, about_counts, about_choices):
    question = finite([formula(chooser, atoms) for _ in range(9)])
    print(smtlib(question, {}), clauses_of(question).dimacs())
"""


def test_the_same_question_gives_the_same_bytes_whatever_the_hash_seed() -> None:
    texts = set()
    for seed in ("0", "1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", HASHED],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(["", *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        )
        texts.add(done.stdout)
    assert len(texts) == 1
    assert len(texts.pop()) > 2000
