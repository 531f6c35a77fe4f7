import inspect
import re

import pytest

from edgerd import errors
from edgerd.errors import EdgerdError

CLASSES = [item for _, item in inspect.getmembers(errors, inspect.isclass) if issubclass(item, EdgerdError)]

EXIT_CODES = {
    "EdgerdError": 1,
    "InputError": 2,
    "BundleError": 3,
    "AuditError": 3,
    "CameraError": 4,
    "GateError": 5,
    "DeviceNotReadyError": 1,
    "MissingDependencyError": 6,
    "StorageError": 1,
    "DeliveryError": 1,
    "DownloadError": 1,
}
"""The command line's contract; classes below these have the same."""


def drawn_tree():
    """Class name to (parent, exit code if it is written) as the docstring's tree draws it."""
    tree, line_of_parents = {}, {}
    for line in errors.__doc__.splitlines():
        found = re.match(r"^(?P<branch>[ |`-]*)(?P<name>[A-Z]\w+)(?: +(?P<code>\d))?(?: {2,}|$)", line)
        if found and found["name"].endswith("Error"):
            depth = len(found["branch"])
            line_of_parents = {d: n for d, n in line_of_parents.items() if d < depth}
            parent = line_of_parents[max(line_of_parents)] if line_of_parents else "Exception"
            line_of_parents[depth] = found["name"]
            tree[found["name"]] = (parent, int(found["code"]) if found["code"] else None)
    return tree


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes():
    drawn = drawn_tree()
    assert {name: parent for name, (parent, _) in drawn.items()} == {
        error.__name__: error.__base__.__name__ for error in CLASSES
    }


@pytest.mark.parametrize("error", CLASSES)
def test_exit_codes(error):
    expected = next(EXIT_CODES[parent.__name__] for parent in error.__mro__ if parent.__name__ in EXIT_CODES)
    assert error.exit_code == expected
    drawn_code = drawn_tree()[error.__name__][1]
    assert drawn_code in (None, expected)


def test_what_a_user_reads():
    error = errors.CameraError("No camera.", expected="a camera", hint="edgerd doctor")
    assert str(error) == "No camera.\nExpected: a camera\nNext: edgerd doctor"
    assert str(errors.CameraError("No camera.")) == "No camera."
    assert (error.what, error.expected, error.hint) == ("No camera.", "a camera", "edgerd doctor")
