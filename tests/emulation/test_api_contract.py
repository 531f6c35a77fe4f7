"""What edgerd uses of TensorRT is there, with these names, in each version that is supported."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

from emulation import api
from emulation.stubs import mypy, used_members, write_stubs

pytestmark = pytest.mark.emulated

CODE = Path(__file__).parents[2] / "edgerd" / "runtimes" / "tensorrt"
ORDINARY = {
    "name",
    "shape",
    "dtype",
    "type",
    "code",
    "log",
    "parse",
    "format",
    "flags",
    "reset",
    "copy",
    "values",
    "stream",
    "path",
    "file",
    "append",
    "pop",
    "size",
    "engine",
    "builder",
}
"""Names of TensorRT members that other objects have as well: an attribute of that name says nothing."""


@pytest.mark.parametrize("kind", api.USED)
def test_members_and_arguments(trt, kind):
    for item in api.USED[kind]:
        name, _, arguments = item.rstrip(")").partition("(")
        assert hasattr(getattr(trt, kind), name), f"{kind}.{name}"
        if arguments:
            signatures = getattr(trt, kind).__dict__[name].__doc__
            for argument in arguments.split(", "):
                assert re.search(rf"\b{argument}: ", signatures), f"{item}: {signatures.splitlines()[0]}"


def test_functions(trt):
    assert [name for name in api.FUNCTIONS if not hasattr(trt, name)] == []


def test_data_types_have_the_values_of_the_stand_ins(trt):
    assert {name: int(getattr(trt.DataType, name)) for name in api.DATA_TYPES} == api.DATA_TYPES


# what the code uses


def uses(source, members):
    """What a file uses that is not in the contract: `trt.Kind`, `trt.Kind.MEMBER`, and members of its objects."""
    allowed = {name for kind in api.USED for name in api.members(kind)}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Name) and owner.id in ("trt", "tensorrt"):
            if node.attr not in api.USED and node.attr not in api.FUNCTIONS:
                yield f"trt.{node.attr}"
        elif (
            isinstance(owner, ast.Attribute)
            and isinstance(owner.value, ast.Name)
            and owner.value.id in ("trt", "tensorrt")
        ):
            if node.attr not in api.members(owner.attr):
                yield f"trt.{owner.attr}.{node.attr}"
        elif node.attr in members - allowed - ORDINARY:
            yield node.attr


@pytest.fixture
def members(trt):
    kinds = (getattr(trt, name) for name in dir(trt) if isinstance(getattr(trt, name), type))
    return {name for kind in kinds for name in vars(kind) if not name.startswith("_")}


def sources():
    files = {file.name: file.read_text("utf-8") for file in CODE.rglob("*.py")}
    return {name: text for name, text in files.items() if "import tensorrt as trt" in text}


def test_the_code_keeps_to_the_contract(members):
    found = {name: list(uses(text, members)) for name, text in sources().items()}
    assert len(found) > 5
    assert {name: missing for name, missing in found.items() if missing} == {}


def test_the_search_finds_what_is_not_in_the_contract(members):
    source = (
        "trt.Builder(l); trt.Lexer(); trt.BuilderFlag.NONSENSE; engine.has_implicit_batch_dimension; engine.num_layers"
    )
    assert set(uses(source, members | {"has_implicit_batch_dimension"})) == {
        "trt.Lexer",
        "trt.BuilderFlag.NONSENSE",
        "has_implicit_batch_dimension",
    }


def named(source):
    """Attributes by names that only TensorRT's objects have, and methods of classes that inherit from TensorRT's."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr not in ORDINARY:
            yield node.attr
        elif isinstance(node, ast.ClassDef) and any(ast.unparse(base).startswith("trt.") for base in node.bases):
            yield from (item.name for item in node.body if isinstance(item, ast.FunctionDef))


@pytest.mark.emulated(once=True)
def test_the_contract_has_what_the_code_uses_and_no_more(emulation, tmp_path):
    too_much = {"ICudaEngine": "num_layers", "ITensor": "dtype", "ILayer": "name", "ParserError": "code"}
    contract = {kind: api.members(kind) for kind in api.USED}
    for kind, name in too_much.items():
        contract.setdefault(kind, set()).add(name)
    write_stubs(emulation, tmp_path)
    used = used_members(tmp_path, contract, "-p", "edgerd.runtimes.tensorrt")
    # where mypy does not know the type, a name does that only one class of the contract has
    owners = Counter(name for names in contract.values() for name in names)
    by_name = {name for text in sources().values() for name in named(text) if owners[name] == 1}
    unused = {f"{kind}.{name}" for kind, names in contract.items() for name in names - by_name} - used
    assert unused == {f"{kind}.{name}" for kind, name in too_much.items()}


# types


def test_the_code_has_the_right_types(emulation, tmp_path):
    write_stubs(emulation, tmp_path)
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import tensorrt as trt\n\n\n"
        "def use(config: trt.IBuilderConfig, context: trt.IExecutionContext) -> None:\n"
        "    config.set_flag(trt.BuilderFlag.REFIT)\n"
        "    config.set_timing_cach(None, False)\n"
        "    context.set_input_shape('frame', 3)\n"
    )
    findings = mypy(tmp_path, str(wrong)).splitlines()
    assert [re.search(r"wrong.py:(\d)", line)[1] for line in findings if "error:" in line] == ["6", "7"], findings
    if CODE.is_dir():
        assert mypy(tmp_path, "-p", "edgerd.runtimes.tensorrt") == ""
