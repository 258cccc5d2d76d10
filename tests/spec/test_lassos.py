"""Lassos and rankings: each known trap of progress once, and what an independent look at either refuses."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import attrs
import pytest

from oom_smt import deciding
from oom_smt.deciding import Decision, InternalError, Options, decide
from oom_smt.encoding import Encoding
from oom_smt.lasso import Found
from oom_smt.lasso import find_lasso as ask_z3
from oom_smt.matrix import Matrix
from oom_smt.z3_api import Answer
from oom_spec.eras import find_era
from oom_spec.exploring import Exploration, replay
from oom_spec.graphs import find_stuck
from oom_spec.instances import Instance
from oom_spec.language import Property, Scenario, Step, World, every, negate
from oom_spec.language.errors import SpecError
from oom_spec.lassos import Judged, Lasso, judge_lasso
from oom_spec.progress import Ranked, find_blocked, find_lasso, judge_progress
from oom_spec.properties import find_properties
from oom_spec.properties.health import DEADLOCK
from oom_spec.racing import look
from oom_spec.ranking import NamedRank, Ranking, flaw
from oom_spec.scenarios import find_scenario
from oom_spec.verdicts import Cell, Verdict, Word

from .kitchen import (
    BREAD,
    NEVER_WAITS,
    Baker,
    BakerAt,
    Oven,
    bakes,
    calls,
    cools,
    era_of,
    explored,
    fiddles,
    flickers,
    goes_to_work,
    heats,
    idles,
    kitchen,
    leaves,
    looks,
    moves_bread,
    occupies,
    rings,
    turns,
    turns_in_time,
    works,
)

(L1,) = find_properties("L1")
PLAIN = Options(bounded=False)


def judged(exploration: Exploration, subject: Property = BREAD) -> tuple[Lasso, Judged]:
    """The lasso that breaks ``subject``, which must begin at the start, and who is treated how on it."""
    lasso = find_lasso(exploration, subject)
    assert lasso is not None
    return lasso, judge_lasso(exploration.instance, subject, exploration.instance.concrete.initial, lasso)


def is_ranked(exploration: Exploration, subject: Property = BREAD) -> bool:
    """Whether nothing breaks ``subject``, and a ranking that stands its test says so."""
    return isinstance(judge_progress(exploration, subject), Ranked)


def verdict_of(*steps: Step, subject: Property = BREAD, scenario: Scenario | None = None) -> Verdict:
    """What the explorer and Z3 say."""
    (verdict,) = decide(era_of(*steps), scenario or kitchen(), [subject], Options(z3_seconds=2.0))
    return verdict


# -- the traps --------------------------------------------------------------------------------


def test_a_strongly_connected_part_is_no_fair_cycle() -> None:
    """Somebody fiddles for ever; the baker could bake all the time, and would."""
    assert is_ranked(explored(fiddles, bakes))


def test_a_fair_cycle_may_hide_in_a_part_that_is_unfair_as_a_whole() -> None:
    """The baker can bake in half of the states, and never does within them; in the other half somebody fiddles."""
    lasso, told = judged(explored(fiddles, leaves, occupies, bakes, taken=True))
    assert calls(lasso.cycle) == ["fiddle", "fiddle"]
    assert told == Judged({"ann": "has no step anywhere on it (stands at HOME)"}, {"oven": "oven.idle.leave(oven)"})


def test_stuttering_is_no_run_without_end() -> None:
    """A step that changes nothing closes a cycle at once; but the baker waits beside it, able to act."""
    assert is_ranked(explored(idles, bakes))
    lasso, _ = judged(explored(idles, bakes, taken=True))
    assert calls(lasso.cycle) == ["idle"]


def test_fairness_is_judged_on_the_cycle_and_not_over_its_part() -> None:
    """The shortest way round is to idle, which leaves out the baker, who could look."""
    exploration = explored(idles, looks)
    lasso, told = judged(exploration)
    assert "look" in calls(lasso.cycle)
    assert told.fair == {"ann": "acts: baker.bake.look(ann, oven)"}
    idle = attrs.evolve(lasso, cycle=tuple(a for a in exploration.instance.actions if a.step is idles))
    with pytest.raises(SpecError, match="ann can act on the cycle and does not"):
        judge_lasso(exploration.instance, BREAD, exploration.instance.concrete.initial, idle)


def test_everybody_who_is_counted_on_acts_on_one_cycle() -> None:
    lasso, told = judged(explored(looks, scenario=kitchen(bakers=2)))
    assert {action.actor for action in lasso.cycle} == set(told.fair) == {"ann", "bob"}


def test_a_counter_does_not_keep_a_loop_from_closing_unnoticed() -> None:
    """The baker may turn the oven for ever; no state comes twice, as the turns are counted."""
    assert find_lasso(explored(turns, bakes), BREAD) is None
    verdict = verdict_of(turns, bakes)
    assert (verdict.word, verdict.reason) == (Word.UNKNOWN, "a count leaves its range: see count-range")
    looked = look(Instance(era_of(turns, bakes), kitchen()), BREAD)
    assert (looked.race, looked.cut_short) == (None, True)


def test_a_counter_that_is_full_is_no_progress_either() -> None:
    verdict = verdict_of(turns_in_time)
    assert (verdict.word, verdict.depth, verdict.cycle) == (Word.VIOLATED, 2, ())


def test_a_truncated_exploration_is_not_reported_as_no_cycle() -> None:
    exploration = Exploration(Instance(era_of(fiddles), kitchen()), (), most=1, keep_edges=True)
    for ask in (find_lasso, judge_progress):
        with pytest.raises(SpecError, match="needs the whole graph"):
            ask(exploration, BREAD)
    (verdict,) = decide(era_of(fiddles), kitchen(), [BREAD], Options(most_states=1))
    assert (verdict.word, verdict.word.exit_status, verdict.lasso) == (Word.UNKNOWN, 3, None)


def test_a_deadlock_is_not_taken_for_progress() -> None:
    verdict = verdict_of(leaves, bakes, scenario=kitchen(oven={"taken": True}))
    assert (verdict.word, verdict.cycle) == (Word.VIOLATED, ())
    assert verdict.unfair == {"oven": "oven.idle.leave(oven)"}
    assert any("finds a prefix and a cycle of 0 and 0 steps" in text for text in verdict.checked_by)


def test_a_model_in_which_nothing_happens_does_not_pass() -> None:
    assert verdict_of().word is Word.VIOLATED


@pytest.mark.parametrize(
    "subject",
    [attrs.evolve(BREAD, when=lambda world, oven: oven.ordered), NEVER_WAITS, DEADLOCK],
    ids=lambda subject: subject.id,
)
def test_a_model_in_which_nothing_of_the_kind_happens_is_vacuous(subject: Property) -> None:
    """No oven has an order, and no baker ever comes to work."""
    verdict = verdict_of(fiddles, subject=subject)
    cell = Cell("kitchen", (), subject.id, [verdict])
    assert (cell.word, cell.word.exit_status) == (Word.VACUOUS, 1)
    assert verdict_of(fiddles, goes_to_work, works, subject=DEADLOCK).touched


def test_an_actor_that_is_at_work_without_any_step_is_stuck_and_blocked() -> None:
    """Its program counter never changes, so it is no variable of the graph."""
    for steps, goes_on in ((fiddles,), False), ((fiddles, looks), True):
        exploration = explored(*steps, scenario=kitchen(baker_at=BakerAt.WORK))
        stuck, blocked = find_stuck(exploration), find_blocked(exploration, NEVER_WAITS)
        assert (stuck is None, blocked is None) == (goes_on, goes_on)
    at_home = explored(fiddles)
    assert (find_stuck(at_home), find_blocked(at_home, NEVER_WAITS)) == (None, None)


def test_two_objects_that_take_turns_are_both_served() -> None:
    """At every moment some oven is without bread, but none for ever."""
    scenario = kitchen(left={"bread": True}, right={})
    assert is_ranked(explored(moves_bread, scenario=scenario))
    lasso, _ = judged(explored(moves_bread, scenario=kitchen(left={}, right={})))
    assert lasso.cycle == ()


def test_each_timer_fires_not_just_some_timer() -> None:
    """One timer flickers for ever: the other one fires all the same."""
    scenario = kitchen(idle={}, busy={"ordered": True})
    timed = attrs.evolve(BREAD, when=lambda world, oven: oven.ordered, actors=(World,))
    assert is_ranked(explored(flickers, rings, scenario=scenario), timed)
    assert find_lasso(explored(flickers, scenario=scenario), timed) is not None


def test_a_proper_end_is_no_run_without_end() -> None:
    scenario = kitchen(ends=lambda world: negate(every_oven_cold(world)))
    assert is_ranked(explored(heats, scenario=scenario))
    instance = Instance(era_of(heats), scenario)
    (heat,) = instance.actions
    end = replay(instance, [heat])[-1]
    with pytest.raises(SpecError, match="the run ends properly"):
        judge_lasso(instance, BREAD, end, Lasso(0, (), objects=("oven",)))


def test_a_cycle_does_not_lead_through_a_proper_end() -> None:
    """The plain steps know nothing of where the scenario ends."""
    exploration = explored(fiddles, scenario=kitchen(ends=lambda world: negate(every_oven_cold(world))))
    with pytest.raises(SpecError, match="the run ends properly"):
        judge_lasso(
            exploration.instance,
            BREAD,
            exploration.instance.concrete.initial,
            lasso_of(exploration, "fiddle", "fiddle"),
        )


def every_oven_cold(world: World) -> bool:
    """No oven is warm."""
    return every(world.all(Oven), lambda oven: negate(oven.warm))


# -- who is unfair ----------------------------------------------------------------------------


def test_who_is_not_counted_on_anywhere_on_the_cycle_is_owed_nothing() -> None:
    only_warm = {Baker: lambda world, baker: negate(every_oven_cold(world))}
    lasso, told = judged(explored(bakes), attrs.evolve(BREAD, actors=(), counts_on=only_warm))
    assert (lasso.cycle, told) == ((), Judged({}, {"ann": "baker.bake.bake(ann, oven)"}))


def test_who_goes_round_by_its_own_choice_is_treated_unfairly_by_nobody() -> None:
    _, told = judged(explored(looks, bakes))
    assert told.unfair == {}


def test_an_end_that_nobody_can_bring_about_names_nobody() -> None:
    lasso, told = judged(explored(fiddles))
    assert (lasso.way_out, told.unfair) == ((), {})


def test_a_way_out_leads_to_satisfaction_rather_than_to_an_end() -> None:
    """The end is nearer, but what the property waits for is what its reader asks for."""
    scenario = kitchen(oven={"taken": True}, ends=lambda world: negate(every_oven_cold(world)))
    lasso, told = judged(explored(fiddles, leaves, bakes, scenario=scenario))
    assert calls(lasso.way_out) == ["leave", "bake"]
    assert told.unfair == {"oven": "oven.idle.leave(oven)"}


# -- an independent look ----------------------------------------------------------------------


def lasso_of(exploration: Exploration, *names: str) -> Lasso:
    """A cycle of the actions with these calls."""
    by_call = {action.step.call: action for action in exploration.instance.actions}
    return Lasso(0, tuple(by_call[name] for name in names), objects=("oven",))


@pytest.mark.parametrize(
    ("cycle", "complaint"),
    [
        (("fiddle",), "the cycle does not close"),
        (("bake", "fiddle", "cool"), "cannot be taken"),
        (("fiddle", "cool"), "ann can act on the cycle and does not"),
        ((), "ann can act on the cycle and does not"),
    ],
)
def test_what_is_no_fair_lasso_is_refused(cycle: tuple[str, ...], complaint: str) -> None:
    exploration = explored(fiddles, cools, looks, occupies, bakes)
    instance = exploration.instance
    taken = next(v for v in instance.variables if v.declaration.name == "taken")
    start = instance.state_of({taken.slot: 1} if complaint == "cannot be taken" else {})
    with pytest.raises(SpecError, match=complaint):
        judge_lasso(instance, BREAD, start, lasso_of(exploration, *cycle))


def test_a_cycle_on_which_the_property_is_satisfied_is_refused() -> None:
    instance = explored(bakes, idles).instance
    bake = next(action for action in instance.actions if action.step is bakes)
    baked = replay(instance, [bake])[-1]
    with pytest.raises(SpecError, match="it is satisfied on the cycle"):
        judge_lasso(instance, BREAD, baked, Lasso(0, (), objects=("oven",)))


def test_a_way_out_that_leads_nowhere_is_refused() -> None:
    exploration = explored(fiddles)
    lasso, _ = judged(exploration)
    wrong = attrs.evolve(lasso, way_out=lasso.cycle)
    with pytest.raises(SpecError, match="the way out of the cycle leads nowhere"):
        judge_lasso(exploration.instance, BREAD, exploration.instance.concrete.initial, wrong)


@cache
def v4_12() -> tuple[Exploration, Ranked]:
    exploration = Exploration(Instance(find_era("v4.12"), find_scenario("marked")), (), keep_edges=True)
    ranked = judge_progress(exploration, L1)
    assert isinstance(ranked, Ranked)
    return exploration, ranked


def _without_one(rank: NamedRank) -> NamedRank:
    return rank[:-1]


def _of_nobody(rank: NamedRank) -> NamedRank:
    return (*rank[:-1], (rank[-1][0], frozenset()))


def _twice(rank: NamedRank) -> NamedRank:
    return (*rank, rank[-1])


def _on_one_level(rank: NamedRank) -> NamedRank:
    return tuple((0, names) for _, names in rank)


def _upside_down(rank: NamedRank) -> NamedRank:
    return tuple((-level, names) for level, names in rank)


@pytest.mark.parametrize(
    ("spoil", "complaints"),
    [
        (_without_one, {"a state that waits has no rank", "nobody of a last pair can act"}),
        (_of_nobody, {"nobody of a last pair can act"}),
        (_twice, {"somebody of an earlier pair can act"}),
        (_on_one_level, {"one level has two sets of actors", "reaper acts and lowers no level"}),
        (_upside_down, {"a level rises"}),
    ],
)
def test_a_ranking_that_proves_nothing_is_refused(
    spoil: Callable[[NamedRank], NamedRank], complaints: set[str]
) -> None:
    exploration, ranked = v4_12()
    ((check, ranking),) = ranked.checks
    assert flaw(exploration, check, ranking) is None
    spoiled: Ranking = {state: spoil(rank) for state, rank in ranking.items()}
    found = flaw(exploration, check, spoiled)
    assert found is not None
    assert found.partition(", at ")[0] in complaints


def test_an_actor_that_acts_without_lowering_a_level_spoils_a_ranking() -> None:
    exploration = explored(looks, bakes)
    (check,) = exploration.instance.invariants(BREAD)
    ranking = dict.fromkeys(exploration.parents, ((0, frozenset({"ann"})),))
    assert flaw(exploration, check, ranking) == "ann acts and lowers no level, at baker.bake.look(ann, oven)"


def test_a_level_belongs_to_one_set_of_actors() -> None:
    """Else two could wait for each other for ever, each in the states in which it is not its turn."""
    exploration = explored(fiddles, bakes, scenario=kitchen(bakers=2))
    (check,) = exploration.instance.invariants(BREAD)
    names = [frozenset({"ann"}), frozenset({"bob"})]
    ranking = {state: ((0, names[number % 2]),) for number, state in enumerate(exploration.parents)}
    assert flaw(exploration, check, ranking) == "one level has two sets of actors, at oven.idle.fiddle(oven)"


def test_an_actor_that_is_counted_on_in_some_states_may_stop_in_the_others() -> None:
    only_warm = {Baker: lambda world, baker: negate(every_oven_cold(world))}
    subject = attrs.evolve(BREAD, actors=(), counts_on=only_warm)
    lasso, told = judged(explored(fiddles, bakes), subject)
    assert (calls(lasso.cycle), told.fair) == ([], {})
    warm = kitchen(oven={"warm": True})
    assert not is_ranked(explored(cools, bakes, scenario=warm), subject)
    assert is_ranked(explored(heats, bakes, scenario=warm), subject)


@pytest.mark.parametrize("steps", [(bakes,), (bakes, fiddles)])
def test_a_ranking_of_an_actor_that_is_not_counted_on_here_proves_nothing(steps: tuple[Step, ...]) -> None:
    """It is counted on in some states only, or in none."""
    exploration = explored(*steps)
    subject = attrs.evolve(BREAD, actors=(), counts_on={Baker: lambda world, baker: negate(every_oven_cold(world))})
    (check,) = exploration.instance.invariants(subject)
    ranking = dict.fromkeys(exploration.parents, ((0, frozenset({"ann"})),))
    assert flaw(exploration, check, ranking) == "nobody of a last pair can act"


def test_a_wrong_ranking_is_a_loud_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oom_spec.progress._with_names", lambda ranks, counted: {})
    with pytest.raises(SpecError, match=r"^internal error: .*its ranking is wrong: a state that waits has no rank"):
        judge_progress(explored(bakes), BREAD)


def test_what_holds_says_how_many_states_are_ranked() -> None:
    (verdict,) = decide(find_era("v4.12"), find_scenario("single"), [L1], PLAIN)
    assert verdict.word is Word.PROVED_INSTANCE
    assert any(text.startswith("ranking of ") for text in verdict.checked_by)


# -- Z3 ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "taken", "prefix", "cycle", "answer"),
    [
        ((fiddles, bakes), False, 0, 2, Answer.UNSAT),
        ((fiddles, bakes), True, 0, 2, Answer.SAT),
        ((fiddles, bakes), True, 0, 1, Answer.UNSAT),
        ((idles, bakes), False, 0, 1, Answer.UNSAT),
        ((idles, looks), False, 0, 1, Answer.UNSAT),
        ((idles, looks), False, 0, 2, Answer.SAT),
        ((bakes,), True, 0, 0, Answer.SAT),
        ((bakes,), False, 0, 0, Answer.UNSAT),
        ((bakes, idles), False, 1, 1, Answer.UNSAT),
        ((occupies, bakes), False, 1, 0, Answer.SAT),
    ],
)
def test_z3_finds_a_fair_lasso_where_there_is_one(
    steps: tuple[Step, ...], taken: bool, prefix: int, cycle: int, answer: Answer
) -> None:
    instance = Instance(era_of(*steps), kitchen(oven={"taken": taken}))
    encoding = Encoding(instance)
    found = ask_z3(encoding, encoding.packing.initial, BREAD, prefix, cycle)
    assert found.answer is answer
    if answer is Answer.SAT:
        start = replay(instance, found.prefix)[-1]
        assert judge_lasso(instance, BREAD, start, Lasso(0, found.cycle, objects=found.objects)).fair


def test_z3_keeps_to_a_schedule_that_is_given() -> None:
    instance = Instance(era_of(idles, looks), kitchen())
    encoding = Encoding(instance)
    number = {path.action.step.call: path.number for path in instance.paths}
    for names, answer in (("look", "look"), Answer.SAT), (("idle", "idle"), Answer.UNSAT):
        schedule = [number[name] for name in names]
        found = ask_z3(encoding, encoding.packing.initial, BREAD, 0, 2, schedule=schedule)
        assert (found.answer, found.guided) == (answer, True)


def test_z3_finds_no_lasso_in_a_proper_end_nor_for_objects_that_take_turns() -> None:
    ended = Instance(era_of(heats), kitchen(ends=lambda world: negate(every_oven_cold(world))))
    encoding = Encoding(ended)
    assert ask_z3(encoding, encoding.packing.initial, BREAD, 1, 0).answer is Answer.UNSAT
    shared = Instance(era_of(moves_bread), kitchen(left={"bread": True}, right={}))
    encoding = Encoding(shared)
    assert ask_z3(encoding, encoding.packing.initial, BREAD, 0, 2).answer is Answer.UNSAT


def test_z3_counts_on_an_actor_only_where_the_property_does() -> None:
    def counted_on_if(warm: bool) -> Property:
        return attrs.evolve(
            BREAD, actors=(), counts_on={Baker: lambda world, baker: every_oven_cold(world) == (not warm)}
        )

    encoding = Encoding(Instance(era_of(bakes, fiddles), kitchen()))
    assert ask_z3(encoding, encoding.packing.initial, counted_on_if(False), 0, 0).answer is Answer.UNSAT
    assert ask_z3(encoding, encoding.packing.initial, counted_on_if(True), 0, 0).answer is Answer.SAT


def _l1(era: str, options: Options) -> Verdict:
    (verdict,) = decide(find_era(era), find_scenario("marked"), [L1], options)
    return verdict


def test_z3_confirms_the_violation_of_l1_on_its_own_and_otherwise_says_so() -> None:
    found = _l1("v4.6", Options(z3_seconds=60.0))
    assert (found.word, found.method, len(found.run), len(found.cycle)) == (Word.VIOLATED, "explore+bounded", 6, 4)
    assert any(text.endswith("finds a prefix and a cycle of 6 and 4 steps") for text in found.checked_by)
    guided = _l1("v4.6", Options(z3_seconds=0.0))
    assert any(text.endswith("allows the explorer's prefix and cycle of 6 and 4 steps") for text in guided.checked_by)
    alone = _l1("v4.6", PLAIN)
    assert (alone.method, alone.cycle) == ("explore", found.cycle)
    assert not any(text.startswith("z3") for text in alone.checked_by)


@pytest.mark.parametrize(("seconds", "what"), [(60.0, "finds no such prefix and cycle"), (0.0, "does not allow the")])
def test_z3_disagreeing_about_a_lasso_is_a_loud_internal_error(
    monkeypatch: pytest.MonkeyPatch, seconds: float, what: str
) -> None:
    def without_the_last(exploration: Exploration, subject: Property) -> Lasso | Ranked:
        lasso = judge_progress(exploration, subject)
        assert isinstance(lasso, Lasso)
        return attrs.evolve(lasso, cycle=lasso.cycle[:-1], numbers=lasso.numbers[:-1])

    monkeypatch.setattr(deciding, "judge_progress", without_the_last)
    with pytest.raises(InternalError, match=f"violates L1 at 6 in E1, scenario marked, but z3 {what}"):
        _l1("v4.6", Options(z3_seconds=seconds))


def test_a_wrong_lasso_of_the_explorer_is_a_loud_internal_error() -> None:
    decision = Decision(find_era("v4.6"), find_scenario("marked"), [L1], PLAIN)
    lasso = judge_progress(decision.exploration, L1)
    assert isinstance(lasso, Lasso)
    decision._progress["L1"] = attrs.evolve(lasso, cycle=lasso.cycle[:-1])
    with pytest.raises(SpecError, match=r"^internal error: .* the cycle does not close"):
        decision.verdicts()


def test_a_wrong_lasso_of_z3_is_a_loud_internal_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_the_last(*asked: object) -> Found:
        found = ask_z3(*asked)  # type: ignore[arg-type]  # as they came
        return attrs.evolve(found, cycle=found.cycle[:-1])

    monkeypatch.setattr(deciding, "find_lasso", without_the_last)
    with pytest.raises(SpecError, match=r"^internal error: .* the cycle does not close"):
        _l1("v4.6", Options(z3_seconds=60.0))


def test_the_matrix_has_z3_confirm_the_lasso_of_a_violated_cell() -> None:
    table = Matrix([find_era("v4.6")], [L1], [find_scenario("marked")], jobs=1, z3_seconds=20.0)
    table.run()
    (cell,) = table.cells().values()
    assert (cell.leading.method, cell.leading.lasso is not None) == ("explore+bounded", True)
    assert any("finds a prefix and a cycle" in text for text in cell.leading.checked_by)


# -- a verdict as data ------------------------------------------------------------------------


def test_a_verdict_has_prefix_cycle_and_who_is_treated_how() -> None:
    verdict = verdict_of(fiddles, leaves, occupies, bakes, scenario=kitchen(oven={"taken": True}))
    assert verdict.as_json()["lasso"] == {
        "prefix": [],
        "cycle": ["oven.idle.fiddle(oven)"] * 2,
        "fair": {"ann": "has no step anywhere on it (stands at HOME)"},
        "unfair": {"oven": "oven.idle.leave(oven)"},
    }
    assert Verdict.from_stored(verdict.as_stored()).as_json() == verdict.as_json()
    assert verdict_of(bakes).as_json()["lasso"] is None
    broken = {**verdict.as_stored(), "unfair": {"oven": 1}}
    with pytest.raises(ValueError, match="a text or a truth value is none"):
        Verdict.from_stored(broken)


def test_a_run_that_stops_where_there_is_nobody_is_a_lasso_too() -> None:
    assert verdict_of().lasso == {"prefix": [], "cycle": [], "fair": {}, "unfair": {}}
