"""Literals as text both ways, clauses as data, and the sentences that they are told in."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import islice, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oom_smt.suggesting import never
from oom_spec.eras import all_eras
from oom_spec.language import terms
from oom_spec.language.errors import SpecError
from oom_spec.language.objects import Object
from oom_spec.language.terms import BOOL, COUNT, Kind, Op, Sort, Term
from oom_spec.protocol import derived
from oom_spec.unbounded.clauses import (
    Clause,
    clause,
    clause_of,
    names_of,
    read_clause,
    read_clauses,
    write_clauses,
)
from oom_spec.unbounded.lemmas import LEMMAS
from oom_spec.unbounded.literals import among, choice_of, members_of, normal, read_literal, write_literal
from oom_spec.unbounded.opening import SINGLE, object_of, open_condition, open_step
from oom_spec.unbounded.sentences import sentence
from oom_spec.unbounded.start import field_term

# -- literals as text ------------------------------------------------------------------------

TEXTS = (
    "reaper.at is ZAP or UP_READ_REAPED",
    "killer1.at is not IDLE or OOM_LOCK",
    "task1.process.mm.oom_skip",
    "not task1.memdie",
    "reaper.job is task1",
    "killer1 is not killer2",
    "task1.process is task2.process",
    "task1.queue_depth >= 2",
    "task1.queue_depth < 3",
    "task1.queue_depth is 0",
    "task1.queue_depth is world.queue_top + 1",
    "mm1.foreign_users - 2 is 0",
    "world.queue_top is limit.tasks",
    "killer1.eligible[task1.process]",
    "killer1.current is not nobody",
    "mrelease1.found is nobody",
    "mm1.writer is not mm2.writer",
    "no killer: killer.holds_oom_lock",
    "no that_reaper: that_reaper.job is task1",
    "not every task: task.at is RUN or DEAD",
    "every task: task.process is not process1 or (some other_task: other_task.process is task.process)",
    "(task1.memdie iff task2.memdie)",
    "not (task1.memdie iff task2.memdie)",
    "task1.memdie or (task1.exiting and (task1.at is RUN or DEAD))",
    "mm1.foreign_users is (if task1.memdie then mm2.foreign_users else mm2.foreign_readers)",
    "mm1.writer is (if task1.memdie then mm2.writer else FORKER)",
    "some task: task.queue_depth is (if task.memdie then 0 else 1)",
)


@pytest.mark.parametrize("text", TEXTS)
def test_what_is_read_is_written_the_same(text: str) -> None:
    assert write_literal(read_literal(text)) == text


def test_of_a_set_and_its_rest_the_shorter_one_is_written_and_both_are_one_term() -> None:
    most = [name for name in members_of(read_literal("mm1.page_tables is FREED").args[0].sort) if name != "FREED"]
    long = f"mm1.page_tables is {' or '.join(most)}"
    assert write_literal(read_literal(long)) == "mm1.page_tables is not FREED"
    assert read_literal(long) is read_literal("mm1.page_tables is not FREED")
    assert choice_of(read_literal(long)) == (read_literal("mm1.page_tables is FREED").args[0], frozenset(most))


def test_other_ways_to_say_it_are_the_same_term() -> None:
    assert read_literal(" ( not(task1.memdie) ) ") is read_literal("not task1.memdie")
    assert read_literal("task2.process is task1.process") is read_literal("task1.process is task2.process")
    assert read_literal("task1.queue_depth < 1") is read_literal("task1.queue_depth is 0")
    assert read_literal("not some killer: killer.can_reap") is read_literal("no killer: killer.can_reap")
    assert read_literal("task1.memdie and true") is read_literal("task1.memdie")


def lifted() -> Iterator[Term]:
    """What guards and properties are made of, over named objects."""
    for function in vars(derived).values():
        if inspect.isfunction(function) and function.__module__ == derived.__name__:
            kinds = [
                each.annotation.__name__ for each in inspect.signature(function, eval_str=True).parameters.values()
            ]
            if kinds[0] == "World":
                yield open_condition(function, tuple(object_of(kind, f"{kind}1") for kind in kinds[1:]))
    for era in all_eras():
        for step in era.steps:
            for path in open_step(step):
                for term in (*path.site, *path.condition):
                    if not any("->" in str(leaf.payload) for leaf in terms.leaves(term, Op.NAMED)):
                        yield term


def test_all_guards_of_all_eras_can_be_written_and_read() -> None:
    terms_read = {term.key: term for term in lifted()}
    assert len(terms_read) > 300
    for term in terms_read.values():
        assert read_literal(write_literal(term)) is normal(term)


def test_the_worst_of_guards_is_in_plain_words() -> None:
    guard = open_condition(derived.will_free_mem, (object_of("Task", "Task1"),))
    assert (
        "(no fault: fault.mm is task1.process.mm and fault.kernel_thread and fault.pins) and "
        "(every process: process.mm is not task1.process.mm or "
    ) in write_literal(guard)


def objects_of_kind(kind: str) -> st.SearchStrategy[Term]:
    if kind in SINGLE:
        return st.just(object_of(kind, ""))
    own = st.sampled_from((1, 2, 3)).map(lambda number: object_of(kind, f"{kind}{number}"))
    leading = [
        objects_of_kind(name).map(lambda owner, each=each: terms.static(each.qualified, each.sort, owner))  # type: ignore[misc]
        for name in ("Task", "Process", "Killer", "Fault")
        for each in Object.classes[name].statics.values()
        if each.sort == Sort(Kind.OBJECT, kind) and kind != "Task"
    ]
    return st.one_of(own, *leading)


KINDS = ("World", "Reaper", "Killer", "Task", "Process", "Mm")
FIELDS = [declared for kind in KINDS for declared in Object.classes[kind].fields.values()]


@st.composite
def atoms(draw: st.DrawFn) -> Term:
    declared = draw(st.sampled_from(FIELDS))
    owners = [draw(objects_of_kind(declared.owner))]
    if declared.index is not None:
        owners.append(draw(objects_of_kind(declared.index)))
    term = field_term(declared, tuple(owners))
    if term.sort is BOOL:
        return term
    if term.sort == COUNT:
        number = draw(st.integers(1, 4))
        other = draw(st.sampled_from((terms.integer(number), field_term(FIELDS[1], (object_of("World", ""),)))))
        compared = terms.equals(terms.add(term, draw(st.integers(-2, 2))), other)
        return draw(st.sampled_from((terms.at_least(term, number), compared)))
    if term.sort.kind is Kind.CHOICE:
        values = draw(st.sets(st.sampled_from(members_of(term.sort)), min_size=1))
        return among(term, values)
    target = draw(st.one_of(st.just(terms.const(term.sort, None)), objects_of_kind(term.sort.name)))
    return terms.equals(term, target)


@st.composite
def quantified(draw: st.DrawFn, inner: st.SearchStrategy[Term]) -> Term:
    """Some named object of a formula becomes the object of a quantifier, at any level."""
    body, level = draw(inner), draw(st.integers(0, 9))
    names = [leaf for leaf in terms.leaves(body, Op.NAMED) if leaf.sort.name not in SINGLE]
    used = {leaf.payload for leaf in terms.leaves(body, Op.BOUND)}
    if not names or level in used or len(used) > 2:
        return body
    chosen = draw(st.sampled_from(names))
    bound = terms.bound(chosen.sort, level)
    lifted_body = terms.rebuild(body, lambda part: bound if part is chosen else None, {})
    return terms.quantify(draw(st.sampled_from((Op.EVERY, Op.SOME))), chosen.sort, level, lifted_body)


formulas = st.recursive(
    atoms(),
    lambda inner: st.one_of(
        inner.map(terms.negate),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: terms.conjoin(*parts)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: terms.disjoin(*parts)),
        st.tuples(inner, inner, inner).map(lambda parts: terms.choose(*parts)),
        st.tuples(inner, inner).map(lambda parts: terms.equals(*parts)),
        quantified(inner),
    ),
    max_leaves=8,
)


@given(formulas)
@settings(max_examples=150)
def test_any_formula_survives_the_way_through_text(term: Term) -> None:
    text = write_literal(term)
    assert read_literal(text) is normal(term)
    assert write_literal(read_literal(text)) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an object is missing at the end"),
        ("task1.memdi", "Task has no field `memdi`; did you mean `memdie`?"),
        ("reaper.at is ZAPP", "ReapAt has no value `ZAPP`; did you mean `ZAP`?"),
        ("reaper.at is", "an object is missing at the end"),
        ("reaper.at is 3", "`reaper.at` and `3` are of different kinds"),
        ("reaper.at is ZAP and", "an object is missing at the end"),
        ("(task1.memdie", "`)` is missing at the end"),
        ("task1.memdie)", "a `)` has no `(`"),
        ("task1.memdie task2.memdie", "`task2` is left over"),
        ("task1.memdie & task2.memdie", "'&' is no part of a condition"),
        ("task.memdie", "`task` is no object: one is called by its class and a number, as `task1`"),
        ("reaper1.holds_oom_lock", "`reaper1` is no object: one is called by its class and a number, as `task1`"),
        ("Task1.memdie", "`Task1` is no object: objects are written small, with a number, as in `task1`"),
        ("nobody is task1", "`nobody` is what a reference may be, as in `killer1.current is nobody`"),
        ("reaper.job.memdie", "`reaper.job` may lead nowhere: say which object it is, and speak of that one"),
        ("task1.memdie.mm", "`task1.memdie` has no fields"),
        ("task1.process", "`task1.process` is no condition: say what it is, as in `... is ...`"),
        ("task1.memdie is task2.memdie", "`task1.memdie` is a flag: it is said with and without `not`"),
        ("task1 >= 1", "`task1` is no count"),
        ("task1.queue_depth >= task2.queue_depth", "`>=` compares with a number, as in `... >= 1`"),
        ("task1.queue_depth is world.queue_top + task1", "`+` adds a number to a count"),
        ("task1 + 1 is task2", "`+` adds a number to a count"),
        ("task1.queue_depth is limit.task", "no count has the limit `task`; did you mean `tasks`?"),
        ("killer1.eligible", "Killer.eligible has one value per Process: say which, as in `eligible[...]`"),
        ("killer1.eligible[task1]", "Killer.eligible has one value per Process; `task1` is none"),
        ("task1.memdie[task2]", "Task.memdie has one value: it takes no `[...]`"),
        ("no other_task: other_task.memdie", "the object of this quantifier is called `task`, not `other_task`"),
        ("no task task.memdie", "`:` is missing before `task`"),
        ("mm1.writer is (if task1.memdie then FORKER else 1)", "the two branches of an `if` are of different kinds"),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(text: str, why: str) -> None:
    with pytest.raises(SpecError) as refusal:
        read_literal(text)
    assert str(refusal.value) == f"cannot read {text!r}: {why}"


def test_a_class_that_there_is_not_is_refused_with_those_that_there_are() -> None:
    """Other tests declare classes of their own, so which there are is asked here and not when tests are collected."""
    classes = ", ".join(sorted(map(str.lower, Object.classes)))
    with pytest.raises(SpecError) as refusal:
        read_literal("no thing: thing.memdie")
    assert str(refusal.value) == (
        f"cannot read 'no thing: thing.memdie': `thing` is no class of objects: one of {classes}"
    )


def test_terms_that_have_no_text_are_refused() -> None:
    task = Sort(Kind.OBJECT, "Task")

    def memdie(owner: Term) -> Term:
        return terms.field("Task.memdie", BOOL, (owner,))

    with pytest.raises(SpecError, match="named by a reference"):
        write_literal(memdie(terms.named(task, "Reaper->job")))
    with pytest.raises(SpecError, match="which no quantifier introduces"):
        write_literal(memdie(terms.bound(task, 0)))
    with pytest.raises(SpecError, match="make a clause"):
        write_literal(memdie(terms.named(task, "Task$1")))
    with pytest.raises(SpecError, match="no field is a choice of Nothing"):
        members_of(Sort(Kind.CHOICE, "Nothing"))
    body = memdie(terms.bound(task, 4))
    for level in (4, 3, 2, 1, 0):
        one = memdie(terms.bound(task, level))
        body = terms.quantify(Op.SOME, task, level, one if level == 4 else terms.conjoin(one, body))
    with pytest.raises(SpecError, match="more than 4 quantifiers over Task"):
        write_literal(body)


# -- clauses ---------------------------------------------------------------------------------

REAPS = ("reaper.job is task1", "reaper.at is ZAP", "task1.process.mm.oom_skip")


def test_names_and_order_make_no_difference() -> None:
    wanted = read_clause(REAPS)
    assert wanted.texts == REAPS
    assert read_clause(("task7.process.mm.oom_skip", "reaper.at is ZAP", "reaper.job is task7")) == wanted
    found = [terms.rebuild(each, _dollars, {}) for each in reversed(wanted.literals)]
    assert clause(found) == wanted


def _dollars(part: Term) -> Term | None:
    return terms.named(part.sort, f"{part.sort.name}$9") if part.op is Op.NAMED else None


def test_objects_that_are_told_apart_only_by_others_get_the_same_numbers() -> None:
    one = read_clause(("killer1.victim is task1", "killer2.victim is task2", "killer1.can_reap", "task2.memdie"))
    other = read_clause(("killer2.victim is task1", "killer1.victim is task2", "killer2.can_reap", "task2.memdie"))
    assert one == other
    swapped = read_clause(("killer1.victim is task1", "killer2.victim is task2", "killer2.can_reap", "task2.memdie"))
    assert one != swapped


@pytest.mark.parametrize(
    "texts",
    [
        ("killer1.victim is task1", "killer2.victim is task2", "killer1.can_reap", "task2.memdie"),
        ("task1 is not task2", "task2 is not task3", "task3 is not task4", "task4 is not task5", "task1 is not task5"),
    ],
)
def test_whatever_objects_are_called_the_text_is_one(texts: tuple[str, ...]) -> None:
    found = set()
    for tasks in islice(permutations("12345"), 40):
        for killers in permutations("12"):
            names = {f"task{at}": f"task{new}" for at, new in enumerate(tasks, 1)}
            names |= {f"killer{at}": f"killer{new}" for at, new in enumerate(killers, 1)}
            renamed = [re.sub("[a-z]+[0-9]", lambda said, names=names: names[said.group()], text) for text in texts]  # type: ignore[misc]
            found.add(read_clause(renamed).texts)
    found.update(read_clause(order).texts for order in permutations(texts))
    assert len(found) == 1


@given(st.lists(formulas, min_size=1, max_size=3), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_equal_clauses_have_equal_texts(literals: list[Term], chance: object) -> None:
    wanted = clause(literals)
    names = list({str(leaf.payload) for each in literals for leaf in terms.leaves(each, Op.NAMED)})
    numbers = list(range(1, 50))
    chance.shuffle(numbers)  # type: ignore[attr-defined]
    anew = dict(zip(names, numbers, strict=False))

    def leaf(part: Term) -> Term | None:
        return terms.named(part.sort, f"{part.sort.name}{anew[str(part.payload)]}") if part.op is Op.NAMED else None

    renamed = [terms.rebuild(each, leaf, {}) for each in literals]
    chance.shuffle(renamed)  # type: ignore[attr-defined]
    assert clause(renamed).texts == wanted.texts
    assert read_clause(wanted.texts) == wanted
    assert sentence(wanted).endswith(".")


def test_conditions_that_are_joined_are_literals_of_their_own() -> None:
    assert read_clause(("task1.memdie and not (task1.exiting or task1.hashed)",)).texts == (
        "not task1.exiting",
        "not task1.hashed",
        "task1.memdie",
    )


def test_a_closed_formula_is_a_clause_again() -> None:
    for texts in (
        REAPS,
        ("killer1.victim is task1", "killer2.victim is task1", "killer1 is not killer2"),
        TEXTS[17:19],
    ):
        assert clause_of(never(read_clause(texts).literals)) == read_clause(texts)
    for lemma in LEMMAS:
        assert sentence(clause_of(lemma.formula))


def test_that_an_attribute_leads_somewhere_is_said() -> None:
    texts = ("killer1.current.memdie", "killer1.at is IDLE")
    assert "killer1.current is not nobody" in clause_of(never(read_clause(texts).literals)).texts


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        (REAPS, "reaper.at+mm.oom_skip"),
        (("killer1.victim is task1", "killer2.victim is task1"), "killer.victim"),
        (("killer1.current is killer2.current",), "killer.current"),
        (("task1.process.dumping", "reaper.at is ZAP"), "reaper.at+process.dumping"),
        (("reaper.job is nobody", "reaper.at is ZAP"), "reaper.at+reaper.job"),
        (
            ("task1.memdie", "task1.hashed", "task1.exiting", "task1.reads", "task1.linked"),
            "task.exiting+task.hashed+task.linked+task.memdie+more",
        ),
        ((), "nothing"),
    ],
)
def test_a_name_is_made_of_the_fields(texts: tuple[str, ...], name: str) -> None:
    assert read_clause(texts).name == name


def test_names_that_clauses_share_depend_on_their_texts_alone() -> None:
    one, other, third = (read_clause((f"reaper.at is {point}", "task1.memdie")) for point in ("ZAP", "WAIT", "FIND"))
    both, three = names_of([one, other, one]), names_of([third, other, one])
    assert len(both) == 2
    assert set(both) < set(three)
    assert all(name.startswith("reaper.at+task.memdie~") for name in three)
    assert list(names_of([one])) == ["reaper.at+task.memdie"]


# -- files -----------------------------------------------------------------------------------


def test_a_file_is_read_as_it_was_written() -> None:
    clauses = names_of(map(read_clause, (REAPS, ("killer1 is not killer2", "killer1.holds_oom_lock"), TEXTS[:1])))
    text = write_clauses(clauses)
    assert read_clauses(text, "a file") == clauses
    assert text.splitlines()[:7] == [
        "# While the reaper's job is a task and the reaper stands at ZAP, oom_skip of the task's mm is not set.",
        "[[clause]]",
        'name = "reaper.at+mm.oom_skip"',
        "never = [",
        '    "reaper.job is task1",',
        '    "reaper.at is ZAP",',
        '    "task1.process.mm.oom_skip",',
    ]
    assert read_clauses("", "a file") == {}


BLOCK = '[[clause]]\nname = "a"\nnever = ["{}"]\n'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("=", "f is no TOML: Invalid statement (at line 1, column 1)"),
        ("other = 1", "f: a file of clauses has `[[clause]]` blocks and nothing else"),
        ("clause = 1", "f: a file of clauses has `[[clause]]` blocks and nothing else"),
        ("clause = [1]", "f: clause 1 needs `name` and `never`, and nothing else"),
        ('[[clause]]\nname = "a"', "f: clause 1 needs `name` and `never`, and nothing else"),
        ('[[clause]]\nname = "a"\nnever = "b"', "f: clause 1: `name` is a text, and `never` a list of texts"),
        (BLOCK.format("task1.memdie") * 2, "f: two clauses are named a"),
        (BLOCK.format("task1.x"), "f: clause a: cannot read 'task1.x': Task has no field `x`"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(SpecError) as refusal:
        read_clauses(text, "f")
    assert str(refusal.value) == why


# -- sentences -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "wanted"),
    [
        (
            ("killer1.victim is task1", "killer1.at is MARK_MMGRAB or DYING_MMGRAB", "not task1.process.mm.oom_victim"),
            (
                "While a killer's victim is a task and the killer stands at MARK_MMGRAB or DYING_MMGRAB, "
                "oom_victim of the task's mm is set."
            ),
        ),
        (("task1.process.mm.stale_tlb",), "At all times stale_tlb of any task's mm is not set."),
        (
            ("not mm1.unmapped", "mm1.mmput_at is not IDLE", "mm1.vmas is not PRESENT"),
            (
                "While mmput of a mm stands anywhere but at IDLE and vmas of the mm is not PRESENT, "
                "unmapped of the mm is set."
            ),
        ),
        (
            ("killer1 is not killer2", "killer1.holds_oom_lock", "killer2.holds_oom_lock"),
            (
                "While killer 1 is not killer 2 and holds_oom_lock of killer 1 is set, "
                "holds_oom_lock of killer 2 is not set."
            ),
        ),
        (
            ("no killer: killer.holds_oom_lock", "reaper.at is ZAP", "world.queue_top is 0"),
            (
                "While the reaper stands at ZAP and there is no killer such that holds_oom_lock of that killer is set, "
                "queue_top of the world is at least 1."
            ),
        ),
        (
            ("task1.queue_depth is world.queue_top + 1", "killer1.eligible[task1.process]", "task2.queue_depth < 3"),
            (
                "While eligible of a killer for task 1's process is set and queue_depth of task 1 is "
                "queue_top of the world + 1, queue_depth of task 2 is at least 3."
            ),
        ),
        (
            ("killer1.current is nobody", "killer1.at is IDLE"),
            "While a killer stands at IDLE, the killer's current is not nobody.",
        ),
        (
            ("every task: task.memdie or (some other_task: other_task.exiting and other_task is not task)",),
            (
                "At all times there is a task for which it is not so that memdie of that task is set or "
                "(there is another task such that exiting of that other task is set and "
                "that task is not that other task)."
            ),
        ),
        (
            ("not every task: (task.memdie iff task.exiting)", "not (task1.memdie or task1.exiting)"),
            (
                "While exiting of a task is not set and there is a task for which it is not so that "
                "(exiting of that task is set if and only if memdie of that task is set), memdie of the task is set."
            ),
        ),
        (
            ("world.queue_top is (if task1.memdie then limit.tasks else 2)",),
            (
                "At all times queue_top of the world is not "
                "(the limit of tasks where memdie of any task is set, else 2)."
            ),
        ),
        (
            ("some task: (if task.memdie then task.exiting else not (task.reads and task.hashed))",),
            (
                "At all times there is no task such that (where memdie of that task is set, "
                "exiting of that task is set, and elsewhere it is not so that "
                "(reads of that task is set and hashed of that task is set))."
            ),
        ),
        (("mm1.vmas is PRESENT or NEVER or BEING_FREED or FREED",), "At all times this can never be."),
        (
            ("some mm: mm.vmas is not PRESENT or NEVER or BEING_FREED or FREED",),
            "At all times there is no mm such that vmas of that mm has no value.",
        ),
        ((), "This can never be."),
    ],
)
def test_a_clause_is_told_as_a_sentence(texts: tuple[str, ...], wanted: str) -> None:
    assert sentence(read_clause(texts)) == wanted


def test_a_sentence_is_the_same_however_the_clause_was_made() -> None:
    assert sentence(clause_of(never(read_clause(REAPS).literals))) == sentence(Clause(read_clause(REAPS).literals))
