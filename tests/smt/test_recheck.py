"""Second opinions: the same questions, who answers them, and what becomes of those who do not."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from oom_smt import recheck, second_solver
from oom_smt.cnf import clauses_of
from oom_smt.finite import Builder, Question
from oom_smt.ground_obligations import at_start, at_step, ground_obligations, z3_answers
from oom_smt.induction import Obligation, Prover, formula_of, keeping, obligations
from oom_smt.proving import Invariant, Proof, Use, prove
from oom_smt.recheck import PACKAGES, Disagreement, Opinions, Reply, ask, missing, second_opinions
from oom_smt.reducing import finite
from oom_smt.smtlib import smtlib
from oom_smt.z3_api import Answer
from oom_spec.applicability import why_not
from oom_spec.eras import find_era
from oom_spec.language import World, both, negate, some, terms
from oom_spec.language.errors import SpecError
from oom_spec.language.terms import Kind, Op, Sort, Term
from oom_spec.properties import find_properties
from oom_spec.protocol.state import Mm, Task
from oom_spec.unbounded.grounding import absent_classes
from oom_spec.unbounded.lemmas import LEMMAS
from oom_spec.unbounded.opening import object_of, open_formula
from oom_spec.verdicts import Word

from .test_reducing import Atoms, about_choices, about_counts, about_objects, formula

E6 = find_era("v4.15")
ABSENT = absent_classes(E6)
LEMMA = LEMMAS[0]

installed = {name: not missing(name) for name in PACKAGES}
present = [
    pytest.param(name, marks=pytest.mark.skipif(not there, reason=f"{name} is not installed"))
    for name, there in installed.items()
]


def names(*which: str) -> list[Term]:
    return [object_of("Task", name) for name in which]


ONE, OTHER = names("Task1", "Task2")
SAME = terms.equals(ONE, OTHER)
MEMDIE = [terms.field("Task.memdie", terms.BOOL, (each,)) for each in (ONE, OTHER)]
IMPOSSIBLE = [SAME, MEMDIE[0], terms.negate(MEMDIE[1])]
POSSIBLE = [SAME, MEMDIE[0]]
HEADER = {"era": "E6", "goal": "none"}


def pigeons(holes: int) -> Question:
    """One pigeon more than holes, each in a hole of its own: hard for solvers of clauses."""
    builder = Builder()
    inside = [[builder.variable(f"p{pigeon}h{hole}", 0) for hole in range(holes)] for pigeon in range(holes + 1)]
    for each in inside:
        builder.add(builder.disjoin(*each))
    for one, other in combinations(inside, 2):
        for left, right in zip(one, other, strict=True):
            builder.add(builder.disjoin(builder.negate(left), builder.negate(right)))
    return builder.question()


# -- real solvers ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", present)
def test_a_solver_says_what_can_be_and_what_cannot(name: str) -> None:
    assert ask(finite(IMPOSSIBLE), name).answer is Answer.UNSAT
    assert ask(finite(POSSIBLE), name).answer is Answer.SAT
    assert ask(pigeons(4), name).answer is Answer.UNSAT


@pytest.mark.parametrize("name", present)
@pytest.mark.parametrize("atoms", [about_objects, about_counts, about_choices])
def test_solvers_agree_with_z3_on_questions_at_random(atoms: Atoms, name: str) -> None:
    chooser = random.Random(23)
    answers = set()
    for _ in range(6):
        assertions = [formula(chooser, atoms) for _ in range(chooser.randint(2, 14))]
        expected = z3_answers(assertions, 10)
        answers.add(expected)
        assert ask(finite(assertions), name).answer is expected, assertions
    assert answers == {Answer.SAT, Answer.UNSAT}


@pytest.mark.parametrize("name", present)
def test_who_has_too_little_time_does_not_answer(name: str) -> None:
    assert ask(pigeons(12), name, seconds=0.5).reason == "no answer in 0.5 s"


@pytest.mark.parametrize("name", present)
def test_who_has_too_little_memory_does_not_answer(name: str) -> None:
    assert ask(pigeons(4), name, megabytes=20).reason == "no answer in 20 MB"


UNKNOWN = """
from oom_smt import second_solver
def unknown(file):
    kept = []
    try:
        while file == "much":
            kept.append(bytearray(10**6))
    except MemoryError:
        pass
    raise RuntimeError("Unknown exception")
second_solver.ask_cvc5 = unknown
second_solver.main("cvc5", "{file}", "200")
"""


@pytest.mark.parametrize(("file", "said"), [("much", "MemoryError"), ("little", "RuntimeError: Unknown exception")])
def test_an_unknown_exception_is_told_from_the_end_of_memory(file: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNKNOWN.format(file=file)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == said


@pytest.mark.parametrize("name", present)
@pytest.mark.parametrize(("assertions", "answer"), [(IMPOSSIBLE, "unsat"), (POSSIBLE, "sat")])
def test_solvers_read_our_files(name: str, assertions: list[Term], answer: str, tmp_path: Path) -> None:
    """What the process does, in this one; what the text expects must not change the answer."""
    file, log = tmp_path / "question", tmp_path / "log"
    if name == "drup":
        file.write_text(clauses_of(finite(assertions)).dimacs(), "ascii")
        assert second_solver.ask_glucose(str(file), str(log)) == answer
        assert log.exists() == (answer == "unsat")
        return
    ask_it = second_solver.ask_cvc5 if name == "cvc5" else second_solver.ask_bitwuzla
    for expected in ("sat", "unsat"):
        file.write_text(smtlib(finite(assertions), HEADER, expected), "utf-8")
        assert ask_it(str(file)) == answer


@pytest.mark.skipif(not all(installed.values()), reason="not all second solvers are installed")
def test_who_agreed_is_listed_with_versions() -> None:
    found = second_opinions(IMPOSSIBLE, HEADER)
    assert [each.split()[0] for each in found.checked_by] == ["cvc5", "bitwuzla", "drup"]
    assert all(len(each.split()) > 1 for each in found.checked_by)
    assert found.not_rechecked == {}
    with pytest.raises(
        Disagreement, match=r"^internal error: cvc5 .* answers sat where z3 answers unsat: era E6, goal"
    ):
        second_opinions(POSSIBLE, HEADER)
    assert len(second_opinions(POSSIBLE, HEADER, expected=Answer.SAT).checked_by) == 3


# -- solvers that misbehave ------------------------------------------------------------------

Fake = Callable[..., None]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """A few lines of Python in place of every solver; all of them count as installed."""

    def install(*lines: str) -> None:
        file = tmp_path / "solver.py"
        file.write_text("\n".join(("import sys", *lines)), "utf-8")
        monkeypatch.setattr("oom_smt.second_solver.__file__", str(file))

    monkeypatch.setattr(recheck, "missing", lambda name: "")
    monkeypatch.setattr("importlib.metadata.version", lambda package: "0")
    return install


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["print('unknown')"], "gave up"),
        (["print('maybe')"], "crashed with status 0: maybe"),
        (["print('unsat')", "sys.exit(7)"], "crashed with status 7: unsat"),
        (["sys.exit(7)"], "crashed with status 7"),
        (["print('terminate: std::bad_alloc', file=sys.stderr)", "sys.exit(1)"], "no answer in 4096 MB"),
        (["import os", "os.abort()"], "crashed with status -6"),
        (["import time", "time.sleep(9)"], "no answer in 1 s"),
    ],
)
def test_who_ends_otherwise_has_not_agreed(fake: Fake, lines: list[str], reason: str) -> None:
    fake(*lines)
    found = second_opinions(IMPOSSIBLE, HEADER, seconds=1, who=["bitwuzla"])
    assert found == Opinions((), {"bitwuzla": reason})


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("0", "its log is refused: line 1 does not follow by unit propagation: 0"),
        ("", "its log is refused: the log ends without the empty clause"),
        ("unsat, believe me", "its log is refused: line 1 is no clause: 'unsat, believe me'"),
    ],
)
def test_a_solver_of_clauses_is_not_believed_without_its_log(fake: Fake, log: str, reason: str) -> None:
    fake(f"open(sys.argv[4], 'w').write({log!r})", "print('unsat')")
    assert ask(pigeons(2), "drup") == Reply(None, "drup (Glucose 4)", reason)


def test_the_log_shares_the_time_of_its_solver(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oom_smt.drup.LOOKS_AT_CLOCK", 1)
    fake("import time", "time.sleep(0.5)", "open(sys.argv[4], 'w').write('0')", "print('unsat')")
    monkeypatch.setattr(recheck, "_run", _slowly(recheck._run))
    assert ask(pigeons(2), "drup", seconds=1).reason == "no time left to check the log"


def _slowly(run: Callable[..., Reply]) -> Callable[..., Reply]:
    """As if the solver had taken all the time and a little more."""

    def slow(arguments: list[str], seconds: float, by: str) -> Reply:
        import time

        reply = run(arguments, seconds, by)
        time.sleep(seconds)
        return reply

    return slow


def test_who_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda module: None)
    assert second_opinions(IMPOSSIBLE, HEADER, who=["drup", "cvc5"]) == Opinions(
        (),
        {
            "drup": "python-sat is not installed: `pip install python-sat`",
            "cvc5": "cvc5 is not installed: `pip install cvc5`",
        },
    )


def test_a_solver_that_nobody_knows_is_refused() -> None:
    with pytest.raises(SpecError, match="no second solver is called 'yices'; there are cvc5, bitwuzla, drup"):
        ask(finite(IMPOSSIBLE), "yices")


def test_what_has_no_finite_form_is_rechecked_by_nobody() -> None:
    task = Sort(Kind.OBJECT, "Task")
    everybody = terms.quantify(Op.EVERY, task, 0, terms.field("Task.memdie", terms.BOOL, (terms.bound(task, 0),)))
    found = second_opinions([everybody], HEADER, who=["cvc5"])
    assert found == Opinions((), {"cvc5": "(every ?task0: ?task0.memdie) has no finite form: it is not ground"})


# -- obligations -----------------------------------------------------------------------------


def test_obligations_say_what_the_prover_says() -> None:
    """Each step of an era against a lemma and two properties, one of which steps break."""
    prover = Prover(ABSENT)
    (broken,) = find_properties("S1")
    (held,) = find_properties("S5r")
    asked: list[tuple[Obligation, list[Term]]] = [(each, []) for _, each in obligations(E6, broken)]
    asked += [(each, []) for _, each in obligations(E6, held)]
    asked += [(each, [LEMMA.formula]) for _, each in keeping(E6, LEMMA.formula)]
    asked += [(each, []) for _, each in keeping(E6, LEMMA.formula)]
    answers = set()
    for obligation, lemmas in asked:
        denied = obligation.denied
        lost = prover.failures(obligation.path, {"": denied}, prover.numbers(lemmas))
        answer = z3_answers(at_step(obligation, lemmas, prover), 10)
        answers.add(answer)
        assert (answer is Answer.UNSAT) == (not lost)
    assert answers == {Answer.SAT, Answer.UNSAT}


def test_every_obligation_of_an_era_has_a_finite_form() -> None:
    era = find_era("v6.14")
    prover = Prover(absent_classes(era))
    lemmas = [lemma.formula for lemma in LEMMAS[:2]]
    asked = 0
    for subject in find_properties("all"):
        if subject.graph is None and not why_not(era, subject):
            for _, obligation in obligations(era, subject):
                assert finite(at_step(obligation, lemmas, prover)).asserted
                asked += 1
            if subject.event is None:
                finite(at_start(formula_of(subject), prover))
    assert asked > 90


def test_a_start_says_what_the_prover_says() -> None:
    (subject,) = find_properties("S1")

    def none_given_up(world: World) -> bool:
        return negate(some(world.all(Mm), lambda mm: mm.oom_skip))

    witnessed = open_formula(none_given_up, ())
    goals = {"lemma": LEMMA.formula, "safe": formula_of(subject), "never": terms.FALSE, "witnessed": witnessed}
    prover = Prover(ABSENT)
    lost = prover.at_start(goals)
    assert "never" in lost
    assert not {"lemma", "witnessed"} & lost.keys()
    for name, goal in goals.items():
        assert (z3_answers(at_start(goal, prover), 10) is Answer.UNSAT) == (name not in lost)


def test_witnesses_of_lemmas_are_objects_of_the_obligation() -> None:
    """A guard with "every" says something of the thread that a lemma says exists."""

    def used(world: World, mm: Mm) -> bool:
        return some(world.all(Task), lambda task: task.process.mm == mm)

    def killed(world: World, mm: Mm) -> bool:
        return some(world.all(Task), lambda task: both(task.process.mm == mm, task.process.sigkill))

    def idle(world: World, task: Task) -> bool:
        return negate(task.has_mm)

    lemma, goal = open_formula(used, (Mm,)), open_formula(killed, (Mm,))
    prover = Prover(ABSENT)
    (a_sharer,) = (each for declared, each in keeping(E6, goal) if "sharer" in declared.id)
    assert z3_answers(at_step(a_sharer, [open_formula(idle, (Task,))], prover), 10) is Answer.UNSAT
    for lemmas in ([], [goal], [lemma, goal]):
        for _, obligation in keeping(E6, goal):
            lost = prover.after_step(obligation.path, {"": obligation.goal}, lemmas)
            answer = z3_answers(at_step(obligation, lemmas, prover), 10)
            assert (answer is Answer.UNSAT) == (not lost) == (goal in lemmas)


def test_a_state_property_must_hold_at_the_start_and_be_kept() -> None:
    (subject,) = find_properties("count-range")
    invariant = Invariant(E6, Prover(ABSENT), {})
    proof = prove(invariant, subject, support=True)
    assert proof.word is Word.PROVED
    found = list(ground_obligations(invariant, proof))
    assert [each.step for each in found][:1] == ["start"]
    assert {each.lemmas for each in found} <= {(), (subject.id,)}
    assert len(found) == 1 + proof.obligations
    assert {z3_answers(each.assertions, 10) for each in found} == {Answer.UNSAT}


def test_a_proof_has_the_obligations_of_its_lemmas_too() -> None:
    (subject,) = find_properties("S5r")
    invariant = Invariant(E6, Prover(ABSENT), {LEMMA.name: LEMMA.formula})
    own = [Use(step, each, (LEMMA.name,), (), 0.0) for step, each in obligations(E6, subject)]
    others = [Use(step, each, (LEMMA.name,), (), 0.0) for step, each in keeping(E6, LEMMA.formula)]
    proof = Proof(subject, Word.PROVED, 4, uses={"S5r": own, LEMMA.name: others})
    found = list(ground_obligations(invariant, proof))
    assert [each.lemmas for each in found if each.goal == "S5r"] == [(LEMMA.name,)] * 4
    kept = [each for each in found if each.goal == LEMMA.name]
    assert kept[0].step == "start"
    assert len(kept) == 1 + len(keeping(E6, LEMMA.formula))
    assert {z3_answers(each.assertions, 10) for each in found} == {Answer.UNSAT}
    assert found[0].header("E6") == {
        "era": "E6",
        "goal": "S5r",
        "step": found[0].step,
        "assumes 1": LEMMA.name,
        "expected": "unsat",
    }
