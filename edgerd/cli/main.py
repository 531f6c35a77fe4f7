"""`edgerd`: the table of commands, which are loaded when they are used, and the exit codes of their errors."""

from __future__ import annotations

import errno
import io
import sys
import traceback
from importlib import import_module
from typing import Final

import click

from edgerd.cli.output import colours, lossy_streams
from edgerd.errors import EdgerdError, MissingDependencyError

COMMANDS: Final = {
    "demo": ("edgerd.cli.demo:demo", "All steps on built-in sample parts, without a network."),
    "frames": ("edgerd.cli.frames:frames", "Take pictures to train on out of a video, or from a camera."),
    "train": ("edgerd.cli.train:train", "Train on pictures of good parts."),
    "export": ("edgerd.cli.export:export", "Export a trained run as a bundle that works at once."),
    "calibrate": ("edgerd.cli.calibrate:calibrate", "Add good pictures, and find the threshold from all of them."),
    "quantize": ("edgerd.cli.quantize:quantize", "Write FP16 and INT8 graphs for other machines."),
    "build-engine": ("edgerd.cli.build_engine:build_engine", "Build a faster engine, check it, install it."),
    "evaluate": ("edgerd.cli.evaluate:evaluate", "Measure a bundle on labelled pictures."),
    "inspect": ("edgerd.cli.inspect:inspect", "Judge single pictures."),
    "run": ("edgerd.cli.run:run", "Watch a camera and raise defect alerts."),
    "outbox": ("edgerd.cli.outbox:outbox", "What waits for delivery, and what was refused."),
    "bench": ("edgerd.cli.bench:bench", "Measure milliseconds per frame."),
    "show": ("edgerd.cli.show:show", "Show what is in a bundle, and verify it."),
    "init": ("edgerd.cli.init:init", "Write a recipe for a camera that was tried."),
    "audit": ("edgerd.cli.audit:audit", "Check that an audit trail is as it was written."),
    "doctor": ("edgerd.cli.doctor:doctor", "What this machine can do, and what to install for the rest."),
}
"""Name of a command to where it is and its line of help. The lines are here so that `--help` loads no command."""

LOST_OUTPUT = 1
"""The exit code where all went well, but the output could not be written. A reader that has gone, as `head` does, is
no such case: it wanted no more."""
INTERRUPTED = 130


class _Commands(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], COMMANDS, n=1)
            also = f" Did you mean {near[0]!r}?" if near else ""
            raise click.UsageError(f"There is no command named {args[0]!r}.{also}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edgerd", prog_name="edgerd")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def edgerd(debug: bool) -> None:
    """From a folder of pictures of good parts to real-time defect alerts.

    Start with `edgerd demo`, or with your own pictures: train, export, build-engine, run.
    """


def main(argv: list[str] | None = None) -> None:
    """Entry point of the command line; exits with the codes of `edgerd.errors`."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    stdout = lossy_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file name that is not UTF-8 must not end a run; stderr is as lax
        sys.stdout.reconfigure(errors="backslashreplace")
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        # a command that ends early with click's Exit gives its code as the result
        code = edgerd.main(args=arguments or ["--help"], prog_name="edgerd", standalone_mode=False, color=colours())
    except BaseException as error:  # noqa: BLE001  whatever it is, it ends here, as a line and an exit code
        if debug:
            traceback.print_exc()
        code = _report(error)
    if stdout:
        sys.stdout.flush()
    is_lost = stdout is not None and stdout.lost is not None and stdout.lost.errno != errno.EPIPE
    sys.exit(code or (LOST_OUTPUT if is_lost else 0))


def _report(error: BaseException) -> int:
    """Print what a user needs to know of an error; returns the exit code."""
    if isinstance(error, click.Abort) or _was_interrupted(error):
        print_error("Interrupted.")
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        print_error(_click_message(error))
        return error.exit_code
    if isinstance(error, ImportError):
        error = MissingDependencyError(
            f"{error.name or 'A library'} cannot be imported: {error}.",
            hint="edgerd doctor says what is missing on this machine, and how to get it.",
        )
    if isinstance(error, EdgerdError):
        print_error(str(error))
        return error.exit_code
    print_error(
        f"Internal error: {type(error).__name__}: {error}\nNext: run it again with --debug and report what it prints."
    )
    return 1


def _was_interrupted(error: BaseException) -> bool:
    """Whether this is Ctrl-C, or an error that a library raised because of it."""
    if isinstance(error, (EdgerdError, click.ClickException)):
        return False
    found: BaseException | None = error
    while found is not None and not isinstance(found, KeyboardInterrupt):
        found = found.__cause__ or found.__context__
    return found is not None


def _click_message(error: click.ClickException) -> str:
    """The text of a usage error in the form of all our errors: what happened, what was expected, what to type next."""
    message = error.format_message()
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return message
    usage = error.ctx.get_usage().removeprefix("Usage: ")
    return f"{message}\nExpected: {usage}\nNext: {error.ctx.command_path} --help"


def print_error(message: str) -> None:
    """Print a message on stderr, its first line marked as an error."""
    click.echo(click.style("error: ", fg="red", bold=True) + message, err=True, color=colours())
