"""A witness of a hardware model checker, read back as a run: what the inputs of an exported circuit chose."""

from __future__ import annotations

from functools import partial

from oom_spec.exploring import Exploration, replay
from oom_spec.hardware import choice_width, unfit
from oom_spec.instances import Action, Instance
from oom_spec.language.errors import SpecError
from oom_spec.language.properties import Property
from oom_spec.stepping import State
from oom_spec.traces import Run, run_of


def run_in(instance: Instance, subject: Property, text: str) -> Run:
    """The run of a witness up to where it first violates ``subject``, by plain steps and plain formulas.

    ``text`` is what ABC's ``write_cex -a`` writes, or a witness as the AIGER tools write it: the latches at the
    start, then the inputs of each moment, one line of bits each. Moments in which nothing is done are left out.
    Where only an excuse (N3) covers the violation, the run names it.

    Raises `SpecError` for a text that is no witness, or none of this instance, or that violates nothing.
    """
    reason = unfit(instance, subject)
    if reason:
        raise SpecError(reason)
    exploration = Exploration(instance, most=0)
    packing = exploration.packing
    packed = next(iter(exploration.parents))
    start, *moments = _bits(text)
    if len(start) != packing.bits or any(len(moment) != choice_width(instance) for moment in moments):
        raise SpecError(
            f"this is a witness of another circuit: {instance.era.id} in {instance.scenario.id} has {packing.bits} "
            f"latches and {choice_width(instance)} inputs"
        )
    if any(int(bit) != packed >> place & 1 for place, bit in enumerate(start) if bit != "x"):
        raise SpecError(f"this is a witness of another circuit: it does not begin as {instance.scenario.id} does")
    run: list[Action] = []
    for moment in moments:
        state = packing.unpack(packed)
        chosen = int(moment[::-1].replace("x", "0"), 2)
        following = {number: target for target, number in exploration.generated.successors(packed)}
        action = instance.paths[chosen].action if chosen in following else None
        told = _told(instance, subject, action, state)
        found = _fails(instance, subject, told, state)
        if action is not None and (found is None or subject.event is not None):
            run.append(action)
            packed = following[chosen]
        if found is not None:
            prefix = exploration.prefix_run
            if packing.pack(replay(instance, [*prefix, *run])[-1]) != packed:
                raise SpecError("internal error: the circuit and the steps end in different states; please report it")
            return run_of(instance, run, start=prefix, violated=subject, depth=len(run), excuse=found)
    raise SpecError(
        f"{subject.id} is not violated by this run of {len(run)} steps: is it a witness of another property?"
    )


def _bits(text: str) -> list[str]:
    """The lines of bits of a witness."""
    lines = [line.strip() for line in text.split("#", maxsplit=1)[0].splitlines()]
    while lines and not lines[-1].strip("."):
        lines.pop()
    properties = [number for number, line in enumerate(lines) if line.startswith("b")]
    lines = lines[properties[-1] + 1 :] if properties else lines
    if len(lines) < 2 or any(not line or line.strip("01x") for line in lines):
        raise SpecError(
            "this is no witness in AIGER's form: expected a line of bits for the latches and one per moment for the "
            "inputs, as ABC's `write_cex -a FILE` writes them"
        )
    return lines


def _told(instance: Instance, subject: Property, action: Action | None, state: State) -> list[tuple[object, ...]]:
    """The objects that ``subject`` speaks of: all, or those that the ``action`` taken in ``state`` announces."""
    if subject.event is None:
        return [check.arguments for check in instance.invariants(subject)]
    if action is None:
        return []
    instance.concrete.run(action.step, action.arguments, state)
    return [each.arguments for each in instance.concrete.events if each.event is subject.event]


def _fails(instance: Instance, subject: Property, told: list[tuple[object, ...]], state: State) -> str | None:
    """Empty where ``subject`` is violated for objects ``told``, the excuse where one covers that, None if it holds."""
    holds = instance.holds
    failing = [each for each in told if holds(subject.when, each, state) and not holds(subject.then, each, state)]
    if not failing:
        return None
    if subject.excuse is None or not all(holds(subject.excuse, each, state) for each in failing):
        return ""
    excuses = subject.excuses
    assert excuses is not None
    named = [m for m in subject.excuse_members if holds(partial(excuses, m), failing[0], state)]
    return str(named[0].value)
