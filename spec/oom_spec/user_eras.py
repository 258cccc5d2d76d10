"""A user's patch: an era in a Python file outside this package, read, checked and kept.

Whatever is wrong with such a file is its author's, so each complaint is one line: the file, the line in it,
what is wrong there and what to do. `oom_spec.eras.find_era` comes here for every name that is a path.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import hashlib
import inspect
import os
import re
import signal
import sys
import threading
import types
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Never

import attrs

from oom_spec.language import Era, Object, Scenario, SpecError, Standing, Step, step
from oom_spec.language.errors import MisuseError
from oom_spec.language.objects import Field, Indexed
from oom_spec.lifting import Path as LiftedPath
from oom_spec.lifting import SymbolicStore, lift_step
from oom_spec.protocol.names import Event
from oom_spec.scenarios import SCENARIOS
from oom_spec.scenarios.gallery import GALLERY
from oom_spec.stepping import arguments_of, bounds_of

SECONDS = 20.0
"""How long importing a file, and then lifting its steps, may each take."""
MOST_PATHS = 4096
"""Paths through one step for given objects before it is taken for several steps written as one."""
SANE_ID = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,59}")
HOW = "`oomspec new-era NAME --from ERA` writes one to start from"


class UserEraError(SpecError):
    """A user's file is no era; the message begins with the file and, where there is one, the line."""


class _TimeOut(BaseException):
    """The file, or a step of it, is still busy."""


_known: dict[str, tuple[bytes, Era, types.ModuleType]] = {}
"""By absolute path: the contents that were read, the era in them, and the module that they became."""
_loading: list[str] = []


def load(name: str) -> Era:
    """The era of the file ``name``; the same object as long as the file is unchanged.

    Raises `UserEraError` where the file cannot be read or is no era.
    """
    path = os.path.abspath(name)  # noqa: PTH100 - a link stays the name that the user gave
    contents = _read(name)
    known = _known.get(path)
    if known is not None and known[0] == contents:
        return known[1]
    if path in _loading:
        raise UserEraError(f"{name}: is its own parent, perhaps by way of another file: begin from an era of the list")
    _loading.append(path)
    try:
        file = _File(name, path, contents)
        era = file.era()
    finally:
        _loading.pop()
    if known is not None:
        sys.modules.pop(known[2].__name__, None)
    _known[path] = (contents, era, file.module)
    return era


def own_steps(era: Era) -> tuple[Step, ...]:
    """The steps that ``era`` adds or replaces."""
    return (*era.added, *era.replaced)


def steps_in_file(era: Era) -> tuple[Step, ...]:
    """The steps that the file of ``era`` defines, whether it uses them or not."""
    known = _known.get(era.file)
    defined = () if known is None else vars(known[2]).values()
    steps = (each for each in defined if isinstance(each, Step))
    return tuple(dict.fromkeys(each for each in steps if each.function.__code__.co_filename == era.file))


def point_name(era: Era, point: Enum) -> str:
    """The name of a program point; a spare one also has the name that the file of ``era`` gives it, if it does."""
    known = _known.get(era.file)
    given = {} if known is None or not point.name.startswith("PATCH_") else vars(known[2])
    own = next((name for name, value in given.items() if value is point), None)
    return point.name if own is None else f"{own} ({point.name})"


def new_field(kind: type[Object], name: str, declaration: Any) -> None:
    """Give the objects of ``kind`` one more field: ``new_field(Mm, "my_flag", flag("MMF_MY_FLAG"))``.

    It keeps its initial value in every era that does not assign it.
    Raises `MisuseError` where the class has another attribute of that name.
    """
    field = declaration.declaration if isinstance(declaration, Indexed) else declaration
    if not isinstance(field, Field) or field.program_counter:
        raise MisuseError(f"new_field({kind.__name__}, {name!r}, ...): give a flag, choice, count or reference")
    file = _loading[-1] if _loading else ""
    before, by = _new_fields.get((kind, name), (None, ""))
    declaration.__set_name__(kind, name)
    if before is None:
        if hasattr(kind, name):
            raise MisuseError(f"{kind.__name__} has `{name}` already: use it, or choose another name")
    elif by != file and _meaning(before) != _meaning(field):
        raise MisuseError(f"{kind.__name__}.{name} is declared otherwise by {by}: choose another name")
    _new_fields[kind, name] = field, file
    setattr(kind, name, declaration)
    kind.fields[name] = field


_new_fields: dict[tuple[type[Object], str], tuple[Field[Any], str]] = {}


def _meaning(field: Field[Any]) -> tuple[object, ...]:
    members = None if field.members is None else tuple(field.members.__members__)
    return (field.sort, members, field.upto, field.default, field.index, field.history, field.constant)


def _read(name: str) -> bytes:
    path = Path(name)
    if path.is_dir():
        raise UserEraError(f"{name}: is a folder: name the Python file of your patch in it")
    if not path.exists():
        near: tuple[str, ...] = ()
        with contextlib.suppress(OSError):
            near = tuple(each.name for each in path.parent.iterdir() if each.suffix == ".py")
        found = difflib.get_close_matches(path.name, near, n=1)
        hint = f"did you mean {str(path.with_name(found[0]))!r}?" if found else HOW
        raise UserEraError(f"{name}: no such file; {hint}")
    if not path.is_file():
        raise UserEraError(f"{name}: is no regular file; {HOW}")
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserEraError(f"{name}: cannot be read ({error.strerror}): check its permissions") from None


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Interrupt what is done within after ``seconds``; only the main thread can be interrupted."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: types.FrameType | None) -> Never:
        raise _TimeOut

    before = signal.signal(signal.SIGALRM, ring)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, left)  # that of the file whose parent this is, if any
        signal.signal(signal.SIGALRM, before)


class _LimitedStore(SymbolicStore):
    """The lifting's store, with a limit on the number of paths."""

    def paths(self, run: Callable[[], object]) -> Iterator[Any]:
        """As in the lifting."""
        for number, path in enumerate(super().paths(run)):
            if number >= MOST_PATHS:
                raise MisuseError(f"more than {MOST_PATHS} paths: make each outcome a step of its own")
            yield path


class _File:
    """One file while it is read; every complaint about it is made here."""

    def __init__(self, name: str, path: str, contents: bytes) -> None:
        self.name = name
        self.path = path
        self.contents = contents
        self.tree = ast.Module([], [])
        digest = hashlib.sha256(path.encode() + b"\0" + contents).hexdigest()
        self.module = types.ModuleType(f"user_era_{digest[:16]}")
        self.module.__file__ = path

    # -- complaints --------------------------------------------------------------------------

    def wrong(self, line: int | None, what: str) -> UserEraError:
        """``patch.py:12: what``"""
        return UserEraError(
            f"{self.name}{'' if line is None else f':{line}'}: {what.replace(f'{self.module.__name__}.', '')}"
        )

    def frame_of(self, error: BaseException) -> tuple[int | None, list[str]]:
        """The last line of this file that ``error``, or what it hides, passed through; and the names known there."""
        found: tuple[int | None, list[str]] = (None, [])
        seen: BaseException | None = error
        while seen is not None:
            trace = seen.__traceback__
            while trace is not None:
                if trace.tb_frame.f_code.co_filename == self.path:
                    found = trace.tb_lineno, list(trace.tb_frame.f_locals)
                trace = trace.tb_next
            seen = seen.__context__
        return found

    def failed(self, error: BaseException, where: str = "", line: int | None = None) -> UserEraError:
        """The complaint behind what the file, or a step of it, has raised."""
        if isinstance(error, UserEraError):
            return error
        place, names = self.frame_of(error)
        found = place or line
        if isinstance(error, SpecError):
            text = str(error)
            if where:
                text = re.sub(rf"^{re.escape(self.path)}:\d+: step {re.escape(where)}: ", "", text)
            return self.wrong(found, f"step {where}: {text}" if where else text)
        if isinstance(error, _TimeOut):
            what = f"still busy after {SECONDS:g} s: an endless loop? make each round a step of its own"
        elif isinstance(error, SystemExit):
            what = "it ends the program: leave out `exit`; a patch only defines ERA"
        else:
            text = re.sub(r" \(/.*\)$", "", str(error).replace("\n", " "))
            what = f"{type(error).__name__}{': ' if text else ''}{text}; {self._remedy(error, names)}"
        return self.wrong(found, f"step {where}: {what}" if where else what)

    def _remedy(self, error: BaseException, names: list[str]) -> str:
        name = getattr(error, "name", None)
        known: list[str] = []
        quoted = re.search(r"(?:cannot import name|unexpected keyword argument) '(\w+)'", str(error))
        if isinstance(error, NameError):
            import oom_spec.language

            if name in oom_spec.language.__all__:
                return f"write `from oom_spec.language import {name}`"
            known = [*names, *vars(self.module), *oom_spec.language.__all__]
        elif isinstance(error, ModuleNotFoundError):
            return "a patch is one file, which imports from oom_spec"
        elif isinstance(error, ImportError) and quoted:
            known = list(vars(sys.modules.get(str(name), self.module)))
            name = quoted[1]
        elif isinstance(error, AttributeError):
            known = [each for each in dir(error.obj) if not each.startswith("_")]
        elif isinstance(error, TypeError) and quoted:
            called = Era if str(error).startswith("Era.") else step
            name, known = quoted[1], list(inspect.signature(called).parameters)
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5) if isinstance(name, str) else []
        return f"did you mean `{near[0]}`?" if near else "mend this line"

    # -- reading -----------------------------------------------------------------------------

    def era(self) -> Era:
        """The checked era."""
        self._import()
        era = self._era_object()
        self._check_lists(era)
        era = attrs.evolve(
            era,
            aliases=tuple(era.aliases),
            added=tuple(era.added),
            replaced=tuple(era.replaced),
            removed=tuple(era.removed),
            file=self.path,
        )
        self._check_delta(era)
        for each in own_steps(era):
            self._check_declaration(each)
        self._lift(own_steps(era))
        return era

    def _import(self) -> None:
        try:
            text = self.contents.decode("utf-8")
        except UnicodeDecodeError as error:
            line = self.contents[: error.start].count(b"\n") + 1
            raise self.wrong(line, f"no text in UTF-8 (byte {error.start}): a patch is a Python file; {HOW}") from None
        if "\0" in text:
            line = text[: text.index("\0")].count("\n") + 1
            raise self.wrong(line, f"a binary file (it has a zero byte): a patch is a Python file; {HOW}")
        try:
            self.tree = ast.parse(text, self.path)
            code = compile(self.tree, self.path, "exec", dont_inherit=True)
        except SyntaxError as error:
            shown = f" at {error.text.strip()!r}" if error.text else ""
            raise self.wrong(error.lineno, f"{error.msg}{shown}: Python cannot read this; mend it") from None
        except (RecursionError, MemoryError, ValueError) as error:
            raise self.wrong(None, f"Python cannot read this ({type(error).__name__}): simplify it") from None
        if not self.tree.body:
            raise self.wrong(None, f"an empty file; {HOW}")
        classes = dict(Object.classes)
        sys.modules[self.module.__name__] = self.module
        try:
            with _at_most(SECONDS), contextlib.redirect_stdout(sys.stderr):
                exec(code, self.module.__dict__)  # noqa: S102 - the user's own file, which the user asks us to run
            self._check_classes(classes)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the file's
            Object.classes.update(classes)
            del sys.modules[self.module.__name__]
            raise self.failed(error) from None

    def _check_classes(self, before: dict[str, type[Object]]) -> None:
        """No class of ours is hidden by one of the same name."""
        for name, kind in before.items():
            if Object.classes[name] is not kind:
                classes = (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))
                lines = [node.lineno for node in classes if node.name == name]
                text = f"class {name}(Object) hides ours: import it, or give yours another name"
                raise self.wrong(max(lines, default=None), text)

    def _assigned(self, name: str) -> int | None:
        """The line that assigns ``name`` at the top level."""
        for node in self.tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                return node.lineno
        return None

    def _keyword(self, name: str) -> int | None:
        """The line of ``name=`` in ``ERA = Era(...)``, else the line of ERA."""
        for node in self.tree.body:
            value = getattr(node, "value", None)
            if isinstance(value, ast.Call) and node.lineno == self._assigned("ERA"):
                for keyword in value.keywords:
                    if keyword.arg == name:
                        return keyword.value.lineno
        return self._assigned("ERA")

    def _era_object(self) -> Era:
        found = vars(self.module).get("ERA")
        if "ERA" not in vars(self.module):
            last = len(self.contents.splitlines())
            from oom_spec.eras import all_eras

            ours = {id(era) for era in all_eras()}
            named = [n for n, era in vars(self.module).items() if isinstance(era, Era) and id(era) not in ours]
            if named:
                raise self.wrong(self._assigned(named[-1]) or last, f"no ERA: call it ERA, not {named[-1]}")
            raise self.wrong(last, "no ERA: end the file with `ERA = Era(id=..., parent=find_era(...), ...)`")
        if not isinstance(found, Era):
            line = self._assigned("ERA")
            raise self.wrong(line, f"ERA is {_described(found)}: write `ERA = Era(id=..., parent=find_era(...), ...)`")
        return found

    # -- checking ----------------------------------------------------------------------------

    def _check_lists(self, era: Era) -> None:
        """Every argument of Era has the right type."""
        for name in ("id", "title", "opened_by", "why"):
            value = getattr(era, name)
            if not isinstance(value, str):
                raise self.wrong(self._keyword(name), f"{name}= is {_described(value)}: write a text in quotes")
        if not SANE_ID.fullmatch(era.id):
            raise self.wrong(
                self._keyword("id"),
                f"id={era.id!r}: begin with a letter, and use letters, digits, `-`, `_` and `.` (60 at most)",
            )
        if not isinstance(era.standing, Standing):
            raise self.wrong(self._keyword("standing"), f"standing= is {_described(era.standing)}: Standing.PROPOSED")
        parent: object = era.parent
        if not isinstance(parent, Era):
            what = "no parent" if parent is None else f"parent= is {_described(parent)}"
            raise self.wrong(self._keyword("parent"), f'{what}: write `parent=find_era("v4.14")`, or another era')
        for name in ("aliases", "added", "replaced", "removed"):
            self._check_list(name, getattr(era, name))

    def _check_list(self, name: str, value: object) -> None:
        line = self._keyword(name)
        wanted = Step if name in ("added", "replaced") else str
        if isinstance(value, Step | str):
            shown = value.function.__name__ if isinstance(value, Step) else repr(value)
            raise self.wrong(line, f"{name}= is no tuple: write `{name}=({shown},)`, with the comma")
        if not isinstance(value, tuple | list):
            raise self.wrong(line, f"{name}= is {_described(value)}: write a tuple, `{name}=(...,)`")
        for each in value:
            if isinstance(each, wanted):
                continue
            if isinstance(each, Step):
                raise self.wrong(line, f"{name}= holds a step: write its id, `{each.function.__name__}.id`")
            if isinstance(each, types.FunctionType):
                raise self.wrong(
                    each.__code__.co_firstlineno, f"`{each.__name__}` is a plain function: put `@step(...)` above it"
                )
            kind = "steps" if wanted is Step else "texts in quotes"
            raise self.wrong(line, f"{name}= holds {_described(each)}: it takes {kind}")

    def _check_delta(self, era: Era) -> None:
        """The delta fits the parent, and the names are free."""
        from oom_spec.eras import all_eras

        parent = era.parent
        assert parent is not None
        taken = {name.lower(): other for other in all_eras() for name in (other.id, *other.aliases)}
        for name in (era.id, *era.aliases):
            if name.lower() in taken:
                line = self._keyword("id" if name == era.id else "aliases")
                raise self.wrong(line, f"the name {name!r} is that of {taken[name.lower()].id}: choose another")
        base = {each.id for each in parent.steps}
        seen: dict[str, Step] = {}
        for each in own_steps(era):
            if each.id in seen:
                where = "" if seen[each.id] is each else f" (lines {self._line(seen[each.id])} and {self._line(each)})"
                raise self.wrong(
                    self._line(each),
                    f"two steps have the id {each.id}{where}: give them different outcomes, or leave one out",
                )
            seen[each.id] = each
        for each in era.added:
            if each.id in base and each.id not in era.removed:
                raise self.wrong(self._line(each), f"{parent.id} has a step {each.id}: name yours in replaced=")
        for each in era.replaced:
            if each.id not in base:
                raise self.wrong(self._line(each), self._lacks(parent, "replaced", each.id, base))
            if each.id in era.removed:
                raise self.wrong(self._line(each), f"{each.id} is both replaced and removed: keep one of the two")
        for gone in era.removed:
            if gone not in base:
                raise self.wrong(self._keyword("removed"), self._lacks(parent, "removed", gone, base))
        if era.id == parent.id:
            raise self.wrong(self._keyword("id"), f"the name {era.id!r} is its parent's: choose another")

    @staticmethod
    def _lacks(parent: Era, what: str, name: str, base: set[str]) -> str:
        near = difflib.get_close_matches(name, sorted(base), n=1, cutoff=0.4)
        hint = f"did you mean `{near[0]}`?" if near else f"`oomspec show {parent.locator}` lists its steps"
        new = " (a new step goes into added=)" if what == "replaced" else ""
        return f"{what}= names {name}, but {parent.id} has no such step{new}; {hint}"

    def _line(self, declared: Step) -> int | None:
        code = declared.function.__code__
        return code.co_firstlineno if code.co_filename == self.path else self._assigned("ERA")

    def _check_declaration(self, each: Step) -> None:
        """What the declaration of a step names exists, and no object is taken for a truth value."""
        names = dict(each.parameters)
        for parameter, pointer in each.binds.items():
            if parameter not in names:
                text = f"step {each.id}: binds= names `{parameter}`, which is no parameter of it"
                raise self.wrong(self._line(each), f"{text}: they are {', '.join(names)}")
            if pointer not in each.actor.fields and pointer not in each.actor.statics:
                near = difflib.get_close_matches(pointer, [*each.actor.fields, *each.actor.statics], n=1)
                hint = f"did you mean `{near[0]}`?" if near else f"name a field of {each.actor.__name__}"
                raise self.wrong(self._line(each), f"step {each.id}: {each.actor.__name__} has no `{pointer}`: {hint}")
        code = each.function.__code__
        if code.co_filename != self.path:
            return
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.FunctionDef) or code.co_name != node.name:
                continue
            if code.co_firstlineno not in range(_first_line(node), node.lineno + 1):
                continue
            for test in _tests(node):
                if isinstance(test, ast.Name) and test.id in names:
                    raise self.wrong(
                        test.lineno,
                        f"step {each.id}: `{test.id}` is an object, which is always true: ask for a field of it",
                    )

    def _lift(self, steps: tuple[Step, ...]) -> None:
        """Lift each step, in the world of all objects first, then in every scenario."""
        stores = [(s, _LimitedStore(s.structure(), bounds_of(s))) for s in (GALLERY, *SCENARIOS)]
        for each in steps:
            try:
                with _at_most(SECONDS), contextlib.redirect_stdout(sys.stderr):
                    for scenario, store in stores:
                        self._lift_in(each, scenario, store)
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is the step's
                raise self.failed(error, each.id, self._line(each)) from None

    def _lift_in(self, each: Step, scenario: Scenario, store: SymbolicStore) -> None:
        for arguments in arguments_of(each, store.structure):
            paths = lift_step(each, arguments, store)
            self._check_paths(each, paths, scenario)
            if scenario is GALLERY and outline(lift_step(each, arguments, store)) != outline(paths):
                raise MisuseError("it does not do the same when it is run again: a step depends on its objects alone")

    def _check_paths(self, each: Step, paths: tuple[LiftedPath, ...], scenario: Scenario) -> None:
        objects = scenario.structure().objects
        for path in paths:
            for guard, _ in path.guards:
                if not isinstance(guard, Enum):
                    raise MisuseError(f"requires(..., {guard!r}): name the reason by a member of Guard")
            for announced in path.events:
                if not isinstance(announced.event, Event):
                    raise MisuseError(f"announce({announced.event!r}, ...): name a member of Event")
                wanted = [name.strip() for name in str(announced.event.value).partition(":")[0].split(",")]
                given = announced.arguments
                for name, argument in zip(wanted, given, strict=False):
                    if name.capitalize() in objects and argument not in objects[name.capitalize()]:
                        given = ()
                if len(given) != len(wanted):
                    raise MisuseError(f"announce({announced.event}, ...) takes these objects: {', '.join(wanted)}")


def outline(paths: tuple[LiftedPath, ...]) -> list[tuple[object, ...]]:
    """What ``paths`` do, in a form that is equal where they do the same: terms are hash-consed."""
    return [
        (
            {part.key for part in path.site},
            {part.key for part in path.condition},
            {slot: term.key for slot, term in path.updates.items()},
            [(field.qualified, owner, term.key) for field, owner, term in path.fills],
            [(announced.event, announced.arguments) for announced in path.events],
        )
        for path in paths
    ]


def _described(value: object) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouE' else 'a'} {kind}"


def _first_line(node: ast.FunctionDef) -> int:
    return min([node.lineno, *(each.lineno for each in node.decorator_list)])


def _tests(function: ast.FunctionDef) -> Iterator[ast.expr]:
    """Every expression that is used as a truth value."""
    for node in ast.walk(function):
        if isinstance(node, ast.If | ast.While | ast.IfExp | ast.Assert):
            yield node.test
        elif isinstance(node, ast.BoolOp):
            yield from node.values
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node.operand


__all__ = ["SANE_ID", "UserEraError", "load", "new_field", "outline", "own_steps", "point_name", "steps_in_file"]
