"""The plot of the time against the number of victims: drawn from the recorded figures, and only from these."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from bench import victims
from bench.plotting import Curve, Point, plot
from click.testing import CliRunner

from oom_smt.proving import find_invariant
from oom_spec.eras import find_era
from oom_spec.instances import Instance
from oom_spec.language.errors import SpecError
from oom_spec.properties import find_properties

ROOT = Path(__file__).resolve().parent.parent


def test_the_page_shows_the_plot_of_the_recorded_figures(tmp_path: Path) -> None:
    drawn = tmp_path / "victims.svg"
    arguments = ["--from", str(ROOT / "bench" / "victims.json"), "--plot", str(drawn)]
    done = CliRunner().invoke(victims.main, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    assert drawn.read_bytes() == (ROOT / "docs" / "victims.svg").read_bytes()


def test_a_lower_bound_is_drawn_and_printed_as_one() -> None:
    curve = Curve("a & b", (Point(1, 0.1), Point(2, 40.0, exact=False)))
    svg = plot("title", "victims", [curve])
    assert (svg.count("<circle"), svg.count("<path"), "a &amp; b (cut short)" in svg) == (1, 1, True)
    ET.fromstring(svg)  # noqa: S314 - our own text
    (_, line) = victims.table([curve]).splitlines()
    assert " ".join(line.split()) == "a & b 0.1 s (1 x) > 40 s (400 x)"


def test_a_world_has_so_many_victims_that_all_are_eligible() -> None:
    structure = victims.victims(3).structure()
    assert len(structure.objects["Mm"]) == len(structure.objects["Process"]) == len(structure.objects["Task"]) == 3


def test_what_is_cut_short_is_asked_no_further_and_no_proof_is_measured_of_what_is_violated(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    explorer_only = [curve for curve in victims.curves() if curve[1] is victims.explored]
    monkeypatch.setattr(victims, "curves", lambda: explorer_only)
    monkeypatch.setattr(victims, "MOST", 10)
    file = tmp_path / "points.json"
    done = CliRunner().invoke(victims.main, ["--victims", "2", "--rounds", "1", "--json", str(file)])
    assert done.exit_code == 0
    (curve,) = json.loads(file.read_text("utf-8"))["curves"]
    assert [(point["number"], point["exact"]) for point in curve["points"]] == [(1, False)]
    monkeypatch.setattr(victims, "MOST", 10_000)
    monkeypatch.setattr(victims, "curves", lambda: [("explorer: L6", victims.explored, ("L6",))])
    done = CliRunner().invoke(victims.main, ["--victims", "1", "--rounds", "1"])
    assert isinstance(done.exception, SpecError)
    assert str(done.exception) == "L6 is violated in victims-1: it is no proof that is measured"


def test_a_proof_for_any_number_of_victims_is_measured_where_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    by_hand_only = find_invariant(find_era(victims.ERA), recorded=())
    monkeypatch.setattr(victims, "find_invariant", lambda era: by_hand_only)
    instance = Instance(find_era(victims.ERA), victims.victims(1))
    assert victims.proved(instance, find_properties("S5r"), 60).decided
    with pytest.raises(SpecError, match=r"^S1 is not proved in E6: it is no proof that is measured$"):
        victims.proved(instance, find_properties("S1"), 60)
