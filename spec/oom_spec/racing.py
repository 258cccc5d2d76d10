"""The shortest race that breaks a property in an era, one scenario at a time, ready to be drawn."""

from __future__ import annotations

import attrs

from oom_spec.exploring import MOST_STATES, Exploration, Hit, replay
from oom_spec.graphs import path_to
from oom_spec.instances import Action, Instance
from oom_spec.language import Property
from oom_spec.language.properties import Graph
from oom_spec.lassos import FOR_EVER, NOBODY_ACTS, Judged, judge_lasso
from oom_spec.progress import cut_open, find_lasso, look_at_graph
from oom_spec.traces import Run, run_of


@attrs.frozen(eq=False)
class Race:
    """What breaks a property, and, for one of progress, what is wrong from there on."""

    exploration: Exploration
    subject: Property
    hit: Hit
    excuse: str = ""
    """The excuse (N3) that covers it, where one was asked for."""
    ending: str = ""
    cycle: tuple[Action, ...] = ()
    judged: Judged | None = None

    @property
    def run(self) -> Run:
        """The run to it, as data."""
        return run_of(
            self.exploration.instance,
            self.exploration.run_to(self.hit),
            start=self.exploration.prefix_run,
            violated=self.subject,
            depth=self.hit.depth,
            excuse=self.excuse,
            ending=self.ending,
            cycle=self.cycle,
            judged=self.judged,
        )


@attrs.frozen(eq=False)
class Looked:
    """What one exploration found."""

    race: Race | None
    cut_short: bool
    """The exploration met too many states, or a count left its range, so that None says nothing."""


def look(instance: Instance, subject: Property, *, excuse: bool = False, depth_limit: int | None = None) -> Looked:
    """The shortest race of ``instance`` that breaks ``subject``; with ``excuse``, that only an excuse covers.

    ``depth_limit`` is the longest run, in steps from the scenario's start, that is of interest; questions about the
    whole graph have no such limit.
    """
    if subject.graph is not None:
        exploration = Exploration(instance, keep_edges=True)
        if exploration.truncated:
            return Looked(None, True)
        found = _in_graph(exploration, subject)
        return Looked(found, found is None and cut_open(exploration))
    exploration = Exploration(instance, [subject], depth_limit=depth_limit, first_only=not excuse)
    finding = exploration.findings[subject.id]
    name, hit = "", finding.violated
    if excuse:
        name, hit = min(finding.excuses.items(), key=lambda each: each[1].depth, default=("", None))
    told = next((str(member.value) for member in subject.excuse_members if member.name == name), name)
    return Looked(
        None if hit is None else Race(exploration, subject, hit, excuse=told), exploration.states >= MOST_STATES
    )


def _in_graph(exploration: Exploration, subject: Property) -> Race | None:
    """The nearest state that breaks a property about the graph, and what comes after it."""
    cycle: tuple[Action, ...] = ()
    judged = None
    if subject.graph is Graph.FAIR:
        lasso = find_lasso(exploration, subject)
        if lasso is None:
            return None
        state, cycle = lasso.state, lasso.cycle
        run = [*exploration.prefix_run, *path_to(exploration, state)]
        judged = judge_lasso(exploration.instance, subject, replay(exploration.instance, run)[-1], lasso)
        ending = FOR_EVER if cycle else NOBODY_ACTS
    else:
        broken = look_at_graph(exploration, subject)
        if broken is None:
            return None
        state, ending = broken
    hit = Hit(len(path_to(exploration, state)), state, None, None)
    return Race(exploration, subject, hit, ending=ending, cycle=cycle, judged=judged)
