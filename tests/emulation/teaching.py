"""How a Python object answers for a TensorRT object.

Each class of TensorRT has a `StandIn` class here, each of its C++ methods a Python method:

    class Engine(StandIn):
        @answers(lambda engine: engine.get_tensor_mode("x"))
        def get_tensor_mode(self, name: Text) -> int:
            return ...

The lambda is the lesson: it calls the method through the real bindings, once, and the number that arrives in the
native library (native/tensorrt.cpp) is from then on this method's. Where a version has no such method, the lesson ends
in an AttributeError and the method is left out. The annotations say how to read the C++ arguments.
"""

import ctypes
import traceback
import warnings
from collections.abc import Callable
from typing import Any

Shape = tuple[int, ...]
MAX_DIMS = 8


class _Dims(ctypes.Structure):
    _fields_ = (("count", ctypes.c_int32), ("extents", ctypes.c_int64 * MAX_DIMS))


def Int(value: int) -> int:  # noqa: N802  used as an annotation
    """An int32, an enum or a bool."""
    return ctypes.c_int32(value & 0xFFFFFFFF).value


def Long(value: int) -> int:  # noqa: N802
    """An int64, a size or an address."""
    return ctypes.c_int64(value).value


def Text(value: int) -> str:  # noqa: N802
    """A C string."""
    return ctypes.string_at(value).decode() if value else ""


def Dims(value: int) -> Shape:  # noqa: N802
    """A `Dims` by reference."""
    dims = _Dims.from_address(value)
    return tuple(dims.extents[: dims.count])


def Ref(value: int) -> "StandIn | None":  # noqa: N802
    """Another stand-in, by its address."""
    return World.current.object_at(value)


class World:
    """All stand-ins of a process: who answers, and what went wrong while answering."""

    current: "World"

    def __init__(self, library: ctypes.CDLL) -> None:
        World.current = self
        self.library = library
        self.failures: list[str] = []
        self._objects: dict[int, StandIn] = {}
        self._methods: dict[tuple[type, int], Callable[..., Any]] = {}
        self._unknown: list[tuple[type, int]] | None = None
        self._texts: dict[str, ctypes.Array[ctypes.c_char]] = {}
        library.emulation_new_object.restype = ctypes.c_void_p
        library.emulation_object_id.restype = ctypes.c_int64
        handler = ctypes.CFUNCTYPE(
            ctypes.c_uint64, ctypes.c_int64, ctypes.c_int, ctypes.c_void_p, *([ctypes.c_uint64] * 5)
        )
        self._handler = handler(self._answer)  # kept: the library has only its address
        library.emulation_set_handler(self._handler)

    def text(self, value: str) -> int:
        """Address of a C string that stays."""
        return ctypes.addressof(self._texts.setdefault(value, ctypes.create_string_buffer(value.encode())))

    def register(self, stand_in: "StandIn") -> int:
        """Make the native object that goes with a stand-in; returns its address."""
        number = len(self._objects)
        self._objects[number] = stand_in
        return int(self.library.emulation_new_object(ctypes.c_int64(number)))

    def object_at(self, address: int) -> "StandIn | None":
        """The stand-in behind an address, None for a null pointer."""
        return self._objects[self.library.emulation_object_id(ctypes.c_void_p(address))] if address else None

    def teach(self, kind: "type[StandIn]", example: Any, *, partly: bool = False) -> None:
        """Go through the lessons of a class, with an object of it from the real bindings.

        Args:
            kind: Its stand-in.
            example: The object.
            partly: Lessons whose arguments are not there yet are left for a second call.
        """
        known = {method.__name__ for (owner, _), method in self._methods.items() if owner is kind}
        for name, lesson in kind.lessons.items():
            if getattr(kind, name).__name__ in known:
                continue
            self._unknown = []
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # some methods are deprecated in some versions
                    lesson(example)
            except AttributeError:
                continue  # not in this version
            except Exception:  # noqa: BLE001  the bindings may dislike the empty answer; the number came all the same
                pass
            finally:
                numbers, self._unknown = list(dict.fromkeys(self._unknown)), None
            if not numbers and partly:
                continue
            if len(numbers) != 1:
                raise LookupError(
                    f"{kind.__name__}.{name}: its lesson called {numbers or 'no method'}, not one new one"
                )
            self._methods[numbers[0]] = getattr(kind, name)

    def teach_end(self, kind: "type[StandIn]", examples: list[Any]) -> None:
        """Learn which method is the destructor of a pure interface, by letting its only example go."""
        self._unknown = []
        examples.clear()
        (number,), self._unknown = set(self._unknown), None
        self._methods[number] = lambda stand_in: self._end(stand_in)

    def _answer(self, number: int, method: int, result: int | None, *arguments: int) -> int:
        stand_in = self._objects[number]
        known = self._methods.get((type(stand_in), method))
        if known is None and method < 2 and stand_in.destructor_first:
            return self._end(stand_in)
        if known is None:
            if result:
                ctypes.memset(result, 0, ctypes.sizeof(_Dims))
            if self._unknown is None:
                self.failures.append(f"{type(stand_in).__name__}: method {method} was called, which no lesson knows")
            else:
                self._unknown.append((type(stand_in), method))
            return 0
        try:
            if stand_in.ended:
                raise RuntimeError(f"{type(stand_in).__name__} was used after its end")  # noqa: TRY301
            readers = [reader for name, reader in known.__annotations__.items() if name != "return"]
            answer = known(stand_in, *(read(value) for read, value in zip(readers, arguments, strict=False)))
            return self._give(answer, result)
        except Exception:  # noqa: BLE001  it cannot cross the C++ code; a fixture fails the test with it
            self.failures.append(traceback.format_exc())
            return 0

    def _end(self, stand_in: "StandIn") -> int:
        if not stand_in.ended:
            stand_in.ended = True
            stand_in.on_end()
        return 0

    def _give(self, answer: Any, result: int | None) -> int:
        if result:
            dims = _Dims.from_address(result)
            dims.count = len(answer) if answer is not None else -1
            for axis, extent in enumerate(answer or ()):
                dims.extents[axis] = extent
            return 0
        if answer is None:
            return 0
        if isinstance(answer, StandIn):
            return answer.address
        if isinstance(answer, str):
            return self.text(answer)
        return int(answer) & 0xFFFFFFFFFFFFFFFF


def answers(lesson: Callable[[Any], object]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a method as the answer to what `lesson` calls."""

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        method.lesson = lesson  # type: ignore[attr-defined]
        return method

    return mark


class StandIn:
    """A TensorRT object that Python plays."""

    destructor_first = True
    """False for the pure interfaces (the parsers), whose destructor is an ordinary method at the end."""
    lessons: dict[str, Callable[[Any], object]]

    def __init_subclass__(cls) -> None:
        cls.lessons = {name: item.lesson for name, item in vars(cls).items() if hasattr(item, "lesson")}

    def __init__(self) -> None:
        self.ended = False
        self.address = World.current.register(self)

    def on_end(self) -> None:
        """Called once, when TensorRT's object would be destroyed."""


def stored(**defaults: Any) -> Callable[[type], type]:
    """Class decorator: properties of the bindings that are only kept, each with its default."""

    def add(cls: type) -> type:
        for name, default in defaults.items():

            def read(self: Any, key: str = f"_{name}", value: Any = default) -> Any:
                return getattr(self, key, value)

            def write(self: Any, value: Long, key: str = f"_{name}") -> None:
                setattr(self, key, value)

            read.__name__, write.__name__ = f"get {name}", f"set {name}"
            write.__annotations__ = {"value": Text if isinstance(default, str) else Int}
            read.__annotations__ = {}
            cls.lessons[f"get {name}"] = lambda example, name=name: getattr(example, name)
            cls.lessons[f"set {name}"] = lambda example, name=name: setattr(example, name, getattr(example, name))
            setattr(cls, f"get {name}", read)
            setattr(cls, f"set {name}", write)
        return cls

    return add
