"""Write docs/reference/exit-codes.md from the exception classes: `python tools/exit_codes_page.py`.

A test fails where the page is not what this script writes, or where an exit code has no meaning here.
"""

from __future__ import annotations

import inspect
from pathlib import Path

from edgerd import errors
from edgerd.cli.main import INTERRUPTED
from edgerd.errors import EdgerdError

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "exit-codes.md"

MEANINGS = {
    0: "Done. A live camera that was stopped has done its work, too.",
    1: "Anything else: disk, network, GPU, or an internal error.",
    2: "The command was typed wrongly, or its input cannot be used: an empty folder, pictures, a recipe, weights.",
    3: "A bundle or an engine does not fit, or an audit trail was changed.",
    4: "A camera does not open, or is lost.",
    5: "The gate refused an engine.",
    6: "Something is not installed.",
    INTERRUPTED: "Interrupted with Ctrl-C, or stopped before all files were inspected.",
}
"""Exit code -> what it means."""

INTRODUCTION = """\
# Exit codes

Every command of edgerd ends with one of these codes. Every error says what happened, what was expected, and what to
type next; `edgerd --debug COMMAND` shows the traceback too. This page is written by `tools/exit_codes_page.py`; a test
compares.

The systemd unit in [`deploy/`](../../deploy/README.md) gives up after 2, 3 and 6, which somebody has to mend, and
starts the line again after all others.
"""

ERRORS = """\
## The errors in Python

All are in `edgerd.errors`, and all are an `EdgerdError`. Each has `what` (what happened, one sentence), `expected` and
`hint` (what to type next; both may be None), and `exit_code`, the code that the command line ends with. An error
further to the right is a kind of the one above it.
"""


def error_classes() -> list[type[EdgerdError]]:
    """Every class of error, in the order of their file."""
    found = vars(errors).values()
    return [one for one in found if isinstance(one, type) and issubclass(one, EdgerdError)]


def page() -> str:
    """The text of docs/reference/exit-codes.md."""
    return "\n\n".join(part.strip() for part in (INTRODUCTION, _codes(), ERRORS, _errors())) + "\n"


def _codes() -> str:
    rows = ["| code | what it means | errors |", "|---|---|---|"]
    for code, meaning in MEANINGS.items():
        names = [f"`{one.__name__}`" for one in error_classes() if one.exit_code == code]
        rows.append(f"| {code} | {meaning} | {', '.join(names)} |")
    return "\n".join(rows)


def _errors() -> str:
    lines = []
    for error in error_classes():
        depth = len(error.__mro__) - len(EdgerdError.__mro__)
        meaning = (inspect.getdoc(error) or "").partition("\n\n")[0].replace("\n", " ")
        lines.append(f"{'    ' * depth}- `{error.__name__}` ({error.exit_code}): {meaning}")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
