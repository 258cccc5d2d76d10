"""What README.md and docs/*.md show is true: their commands are run, their Python is executed.

A fenced `console` block holds commands (``$ oomspec ...``) and lines that must occur in the real output, in
order. A line ``...`` stands for any lines, and ``...`` inside a line for any text. ``$ echo $?`` and a number
give the exit status of the command before it; without it the status must be 0. Runs of spaces count as one.

A page with a block that names a file (``python my-patch.py``) is a story: all its commands run in one empty
folder, in order, and such a block writes its file there when its turn comes.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if page.is_file()]
FENCE = re.compile(r"^```(\w*) *([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)")
STATUS = "echo $?"
SECONDS = 120


@attrs.frozen
class Shown:
    """One command of a page, and what the page says about it."""

    page: str
    command: str
    lines: tuple[str, ...]
    status: int


def blocks(text: str, language: str) -> list[str]:
    """The contents of the fenced blocks of one language that are no files."""
    return [body for found, file, body in FENCE.findall(text) if found == language and not file]


def files_of(text: str) -> list[tuple[str, str]]:
    """The files that the blocks of a page write, by name, in order."""
    return [(file, body) for _, file, body in FENCE.findall(text) if file]


def commands_of(page: str, text: str) -> Iterator[Shown]:
    """The commands of the `console` blocks of ``text``.

    Raises `ValueError` for a block that does not begin with a command, and for a command other than `oomspec`.
    """
    for block in blocks(text, "console"):
        entries: list[tuple[str, list[str]]] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                entries.append((line[2:].strip(), []))
            elif entries:
                entries[-1][1].append(line)
            else:
                raise ValueError(f"{page}: a console block begins with {line!r}: begin it with `$ oomspec ...`")
        for number, (command, lines) in enumerate(entries):
            if command == STATUS:
                continue
            if command.split()[0] != "oomspec":
                raise ValueError(f"{page}: `{command}` is no oomspec command: show it in another kind of block")
            after = entries[number + 1] if number + 1 < len(entries) else None
            status = int(after[1][0]) if after is not None and after[0] == STATUS else 0
            yield Shown(page, command, tuple(lines), status)


def missing(lines: tuple[str, ...], output: str) -> str | None:
    """The first of ``lines`` that does not occur in ``output`` after the ones before it; None if all do."""
    remaining = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in lines:
        wanted = " ".join(line.split())
        if wanted in ("", "..."):
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("...")))
        if not any(pattern.fullmatch(real) for real in remaining):
            return line
    return None


def run_in(folder: Path, command: str) -> tuple[int, str, str]:
    """Exit status, output and messages of a command, in a process of its own."""
    found = os.pathsep.join(str(Path(path).absolute()) for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-m", "oomspec", *shlex.split(command)[1:]],
        cwd=folder,
        env={**os.environ, "COLUMNS": "100", "PYTHONIOENCODING": "utf-8", "PYTHONPATH": found},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    return done.returncode, done.stdout, done.stderr


@cache
def run(command: str) -> tuple[int, str, str]:
    """The same in the repository, once."""
    return run_in(ROOT, command)


STORIES = [page for page in PAGES if files_of(page.read_text("utf-8"))]


def all_commands() -> list[Shown]:
    """Every command that some page shows, but for the stories."""
    pages = [page for page in PAGES if page not in STORIES]
    return [shown for page in pages for shown in commands_of(page.name, page.read_text("utf-8"))]


@pytest.mark.parametrize("shown", all_commands(), ids=lambda shown: f"{shown.page}: {shown.command}")
def test_commands_do_what_the_pages_show(shown: Shown, tmp_path: Path) -> None:
    writes = "--out" in shown.command
    check(shown, run_in(tmp_path, shown.command) if writes else run(shown.command))


@pytest.mark.parametrize("page", STORIES, ids=lambda page: page.name)
def test_a_story_can_be_followed_from_start_to_end(page: Path, tmp_path: Path) -> None:
    for block in FENCE.finditer(page.read_text("utf-8")):
        _, file, body = block.groups()
        if file:
            (tmp_path / file).write_text(body, "utf-8")
        for shown in commands_of(page.name, block[0]):
            check(shown, run_in(tmp_path, shown.command))


def check(shown: Shown, done: tuple[int, str, str]) -> None:
    """A command did what its page shows."""
    status, output, messages = done
    assert status == shown.status, f"{shown.page}: {shown.command} exits with {status}\n{output}{messages}"
    lost = missing(shown.lines, output)
    assert lost is None, f"{shown.page}: the output of `{shown.command}` has no {lost!r} in that place\n{output}"


WITH_PYTHON = [page for page in PAGES if blocks(page.read_text("utf-8"), "python")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_python_of_the_pages_runs(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `python` blocks of one page are one module, executed from top to bottom."""
    module = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = "\n".join(blocks(page.read_text("utf-8"), "python"))
    exec(compile(source, str(page), "exec"), module.__dict__)  # noqa: S102 - our own documentation


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    prose = FENCE.sub("", page.read_text("utf-8"))  # an action, such as mmput[last](P1.t0), looks like a link
    targets = [target for target in LINK.findall(prose) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_page_is_on_the_reading_list() -> None:
    listed = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in listed} == set()


OUTPUT = "first\n    second  # of three\nthird\n"


@pytest.mark.parametrize(
    ("lines", "lost"),
    [
        (("first", "third"), None),
        (("first", "...", "  second # of three"), None),
        (("sec... three",), None),
        (("...", ""), None),
        (("third", "first"), "first"),
        (("second",), "second"),
        (("first", "first"), "first"),
    ],
)
def test_shown_lines_must_occur_whole_and_in_order(lines: tuple[str, ...], lost: str | None) -> None:
    assert missing(lines, OUTPUT) == lost


def test_a_block_gives_commands_lines_and_statuses() -> None:
    text = "text\n\n```console\n$ oomspec eras\nE4\n...\n$ oomspec check a b\n$ echo $?\n1\n```\n\n```sh\nmake\n```\n"
    assert list(commands_of("page", text)) == [
        Shown("page", "oomspec eras", ("E4", "..."), 0),
        Shown("page", "oomspec check a b", (), 1),
    ]


def test_a_block_that_names_a_file_is_no_other_block() -> None:
    text = "```python mine.py\nx = 1\n```\n\n```python\ny = 2\n```\n"
    assert files_of(text) == [("mine.py", "x = 1\n")]
    assert blocks(text, "python") == ["y = 2\n"]


def test_a_block_without_a_command_or_with_another_one_is_an_error() -> None:
    with pytest.raises(ValueError, match="console block") as headless:
        list(commands_of("page", "```console\nE4\n```\n"))
    assert str(headless.value) == "page: a console block begins with 'E4': begin it with `$ oomspec ...`"
    with pytest.raises(ValueError, match="no oomspec command") as other:
        list(commands_of("page", "```console\n$ make\n```\n"))
    assert str(other.value) == "page: `make` is no oomspec command: show it in another kind of block"
