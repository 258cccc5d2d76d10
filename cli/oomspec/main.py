"""Entry point: parses the command line, loads one command, and turns errors into one line.

Nothing heavy is imported here: `oomspec --help` must answer at once.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

COMMANDS = {
    "eras": ("listing", "List the eras and proposals."),
    "properties": ("listing", "List the properties, or show one whole."),
    "scenarios": ("listing", "List the scenarios."),
    "show": ("showing", "Show an era whole, or one of its steps."),
    "check": ("checking", "Decide one property, or all, in one era."),
    "matrix": ("matrix", "Decide every era against every property."),
    "claims": ("claims", "Decide the questions and claims of the mail."),
    "proof": ("proving", "Prove a property for runs of every length in worlds of any size."),
    "lemmas": ("searching", "Search for lemmas that prove what is not proved yet."),
    "vacuity": ("doubting", "Ask whether what holds says anything: could it fail, and is it put to the test?"),
    "recheck": ("rechecking", "Put the obligations of a proof to other solvers."),
    "explain": ("explaining", "Draw the shortest race that breaks a property."),
    "replay": ("replaying", "Read a race diagram and ask whether an era allows it."),
    "explore": ("exploring", "Explore an era in a scenario: states, depth, step coverage."),
    "new-era": ("new_era", "Write a commented file for a patch of your own."),
    "diff": ("diffing", "Compare two eras: steps, and the shortest behaviour that one allows and the other forbids."),
    "mutate": ("mutating", "Mutate an era's steps and say which property notices."),
    "export": ("exporting", "Write an era in a scenario for another tool: a circuit for hardware model checkers."),
    "vectors": ("vectors", "Write test vectors: schedules, and what an implementation must show after each action."),
    "campaign": ("campaign", "Try many schedules against an implementation, in every era, and keep what was found."),
    "planted": ("planting", "Put every race back into the reference implementation: is it caught and named?"),
    "slips": ("planting", "Make every small mistake in the reference implementation: is it noticed?"),
    "runs": ("running", "Check the possible and impossible runs written beside the eras."),
}

EPILOG = """\b
Examples:
  oomspec explain v4.12 N1s        the shortest race, as a diagram
  oomspec check v4.14 all          every property in one era
  oomspec matrix v4.12 v4.14       two eras against all properties
  oomspec claims                   the mail, decided

An ERA is an id (E4), a release (v4.12, 4.12), a proposal's name (hocko-2017-07-24)
or the file of a patch of your own (./my-patch.py; `oomspec new-era` writes one).
A PROPERTY is an id (N1s), a family (N1) or a name; `all` means all.

Exit status: 0 holds or agrees, 1 violated or differs, 2 bad usage or input, 3 unknown, 4 internal error."""

EXIT_USAGE, EXIT_UNKNOWN, EXIT_INTERNAL, EXIT_PIPE = 2, 3, 4, 141


class OutputClosed(Exception):  # noqa: N818 - control flow: nobody reads our output any more
    """The reader of standard output has gone, as in `oomspec eras | head -1`."""


class Lazy(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the contract."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that has the command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"oomspec.commands.{COMMANDS[cmd_name][0]}")
        command = getattr(module, cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggest the nearest command."""
        import difflib

        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise click.ClickException(f"no such command {name!r}{hint or '; `oomspec --help` lists them all'}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; a closed pipe is told apart from a verdict (click would exit with 1, our `violated`)."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as gone:
            raise OutputClosed from gone

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=Lazy, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="oomspec", message="%(prog)s %(version)s")
def cli() -> None:
    """A formal specification of the Linux OOM reaper and exit_mmap, and its proofs and races."""


def main() -> None:
    """Run the command; the only place that decides how a failure leaves the process."""
    _open_standard_streams()
    try:
        status = cli.main(prog_name="oomspec", standalone_mode=False, color=False if _plain() else None)
        sys.stdout.flush()
        sys.exit(status if isinstance(status, int) else 0)
    except (click.exceptions.Abort, KeyboardInterrupt):
        _leave("interrupted: what was not decided is unknown", EXIT_UNKNOWN)
    except (BrokenPipeError, OutputClosed):
        _leave("", EXIT_PIPE)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(EXIT_USAGE)
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "oomspec"
        _leave(f"{error.format_message().rstrip('.')}; `{path} --help` says how", EXIT_USAGE)
    except click.ClickException as error:
        _leave(error.format_message(), EXIT_USAGE)
    except OSError as error:
        _leave(f"{error.filename or 'cannot write the output'}: {error.strerror or error}", EXIT_USAGE)
    except Exception as error:  # noqa: BLE001 - the last resort, so that a bug of ours never looks like a verdict
        from oom_spec.language.errors import SpecError

        if isinstance(error, SpecError):
            _leave(str(error), EXIT_INTERNAL if str(error).startswith("internal error") else EXIT_USAGE)
        import traceback

        traceback.print_exc()
        _leave("internal error: please report it with the lines above", EXIT_INTERNAL)


def _plain() -> bool:
    """Whether the user wants no colours, whatever standard output is (the convention of NO_COLOR)."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def _open_standard_streams() -> None:
    """Where a caller has closed a standard stream, /dev/null stands in for it."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - open until we exit


def _leave(message: str, status: int) -> NoReturn:
    """Say ``message`` on standard error and exit; output that cannot be written is dropped."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if message:
        with contextlib.suppress(OSError):
            click.echo(f"oomspec: {message}", err=True)
    sys.exit(status)
