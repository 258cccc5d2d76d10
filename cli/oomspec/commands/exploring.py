"""`oomspec explore`"""

from __future__ import annotations

import click

from oom_spec.eras import find_era
from oom_spec.exploring import Exploration
from oom_spec.instances import Instance
from oom_spec.scenarios import SCENARIOS, find_scenario
from oomspec.advising import say_advice, say_untaken
from oomspec.output import json_line, progress_bar


@click.command()
@click.argument("era")
@click.option("--scenario", "name", metavar="NAME", help="Only this scenario.  [default: all that are not slow]")
@click.option("--untaken", is_flag=True, help="List the steps that no transition takes in any of them.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each scenario.")
def explore(era: str, name: str | None, untaken: bool, as_json: bool) -> int:
    """Visit every reachable state of ERA: states, transitions, depth, speed, step coverage.

    \b
    Examples:
      oomspec explore v4.14
      oomspec explore v4.12 --scenario sharer --untaken
    """
    chosen = find_era(era)
    say_advice(chosen)
    scenarios = [find_scenario(name)] if name else [s for s in SCENARIOS if not s.slow]
    never = dict.fromkeys(each.id for each in chosen.steps)
    truncated = False
    if not as_json:
        click.echo(
            f"{'scenario':18}{'states':>9}{'transitions':>13}{'depth':>7}{'states/s':>10}{'bits':>6}{'steps taken':>13}"
        )
    with progress_bar(f"explore {chosen.id}") as progress:
        for done, scenario in enumerate(scenarios, 1):
            found = Exploration(Instance(chosen, scenario))
            missing = found.untaken()
            never = dict.fromkeys(each for each in never if each in set(missing))
            taken = len(chosen.steps) - len(missing)
            truncated = truncated or found.truncated
            speed = int(found.states / max(found.seconds, 1e-9))
            progress(done, len(scenarios), scenario.id)
            if as_json:
                json_line(
                    {
                        "schema": 1,
                        "era": chosen.id,
                        "scenario": scenario.id,
                        "states": found.states,
                        "transitions": found.transitions,
                        "depth": found.depth,
                        "complete": not found.truncated,
                        "seconds": round(found.seconds, 3),
                        "bits": found.packing.bits,
                        "steps": len(chosen.steps),
                        "untaken": missing,
                    }
                )
            else:
                mark = "  cut short: unknown" if found.truncated else ""
                click.echo(
                    f"{scenario.id:18}{found.states:9}{found.transitions:13}{found.depth:7}{speed:10}"
                    f"{found.packing.bits:6}{taken:6} of {len(chosen.steps)}{mark}"
                )
    say_untaken(chosen, never, [scenario.id for scenario in scenarios])
    if not as_json:
        click.echo(f"steps that nothing takes: {len(never)} of {len(chosen.steps)}")
        if untaken:
            for each in never:
                click.echo(f"    {each}")
    return 3 if truncated else 0
