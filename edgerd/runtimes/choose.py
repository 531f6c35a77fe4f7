"""Which engine a command uses: the one named by flags, else the default if it fits here, else FP32 on ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from shlex import quote
from types import TracebackType

from edgerd.bundle.bundle import Bundle
from edgerd.bundle.manifest import GRAPH_FILE, EngineRecord, ThresholdRecord
from edgerd.errors import DeviceNotReadyError, EdgerdError, EngineMismatchError, InputError, MissingDependencyError
from edgerd.runtimes import load_runtime
from edgerd.runtimes.fit import misfit
from edgerd.runtimes.protocol import Engine

REFERENCE_RUNTIME, REFERENCE_PRECISION = "onnxruntime", "fp32"
"""Opens in every bundle on every machine, built or not: what other engines are compared with."""


@dataclass(frozen=True)
class OpenedEngine:
    """An engine ready to run; a context manager that closes it.

    Attributes:
        engine: The open engine.
        threshold: The engine's own, or the FP32 graph's for FP32; None where the bundle is not calibrated.
        why: One line for people: which engine this is and why this one.
    """

    engine: Engine
    threshold: ThresholdRecord | None
    why: str

    def __enter__(self) -> OpenedEngine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.engine.close()


def open_engine(
    bundle: Bundle, runtime: str | None = None, precision: str | None = None, threads: int = 0
) -> OpenedEngine:
    """Open the engine that flags name, or the best that the bundle has for this machine.

    Args:
        bundle: Where the engine is.
        runtime: An entry of `RUNTIMES`; None for whichever the bundle has.
        precision: "fp32", "bf16", ...; None for whichever the bundle has.
        threads: CPU threads; 0 for all the cores this process may use.

    Raises:
        EngineMismatchError: What was asked for is not in the bundle, or was built for another machine or version.
        MissingDependencyError: The runtime that was asked for is not installed.
        DeviceNotReadyError: The driver of an engine's GPU does not answer yet.
        BundleDamagedError: A file of the bundle is missing or changed.
        InputError: There is no such runtime.
    """
    if runtime is not None:
        load_runtime(runtime)
    if runtime is None and precision is None:
        return _open_default(bundle, threads)
    named = [
        record
        for record in bundle.manifest.engines
        if runtime in (None, record.key.runtime) and precision in (None, record.key.precision)
    ]
    named.sort(key=lambda record: (not record.default, record.median_ms or float("inf")))
    misfits: list[EdgerdError] = []
    for record in named:
        misfit = _misfit(bundle, record)
        if misfit is None:
            return _open_record(bundle, record, threads, "as asked for")
        misfits.append(misfit)
    is_reference = runtime in (None, REFERENCE_RUNTIME)
    if precision in (None, REFERENCE_PRECISION) and (is_reference or not named):
        reason = f"from the graph, because: {misfits[0].what}" if misfits else "as asked for, from the graph"
        return _open_graph(bundle, runtime or REFERENCE_RUNTIME, threads, reason)
    raise misfits[0] if misfits else _not_built(bundle, runtime, precision)


def _open_default(bundle: Bundle, threads: int) -> OpenedEngine:
    default = next((record for record in bundle.manifest.engines if record.default), None)
    if default is None:
        return _open_graph(bundle, REFERENCE_RUNTIME, threads, "from the graph, no engine was built yet")
    misfit = _misfit(bundle, default)
    if misfit is None:
        return _open_record(bundle, default, threads, "the default engine")
    others = [record for record in bundle.manifest.engines if record is not default and not _misfit(bundle, record)]
    reason = f"instead of the default engine: {misfit.what}"
    if misfit.hint:
        reason += f" To use it: {misfit.hint}"
    if others:
        key = min(others, key=lambda record: record.median_ms or float("inf")).key
        reason = f"{reason.removesuffix('.')}. Another that fits: --runtime {key.runtime} --precision {key.precision}"
    return _open_graph(bundle, REFERENCE_RUNTIME, threads, reason)


def _open_record(bundle: Bundle, record: EngineRecord, threads: int, reason: str) -> OpenedEngine:
    graph = bundle.read(record.graph)
    files = {PurePosixPath(name).name: bundle.read(name) for name in record.files}
    engine = load_runtime(record.key.runtime).load(graph, record.key, files, threads=threads)
    return OpenedEngine(engine, record.threshold, f"{record.name}: {reason}")


def _open_graph(bundle: Bundle, name: str, threads: int, reason: str) -> OpenedEngine:
    """Compile the FP32 graph now: FP32 is the one precision whose threshold is known without a build."""
    runtime = load_runtime(name)
    key = runtime.key(REFERENCE_PRECISION, bundle.manifest.files[GRAPH_FILE].sha256)
    engine = runtime.load(bundle.read(GRAPH_FILE), key, {}, threads=threads)
    return OpenedEngine(engine, bundle.manifest.threshold, f"{name} {REFERENCE_PRECISION}: {reason}")


def _misfit(bundle: Bundle, record: EngineRecord) -> EdgerdError | None:
    """Why an engine cannot run here; None where its key fits."""
    key = record.key
    try:
        here = load_runtime(key.runtime).key(key.precision, bundle.manifest.files[record.graph].sha256)
    except DeviceNotReadyError:  # the engine will run in a moment: a line must not stay on the CPU because of that
        raise
    except (InputError, MissingDependencyError) as error:  # the runtime is not installed, or this version has none such
        return error
    return misfit(key, here, bundle.path)


def _not_built(bundle: Bundle, runtime: str | None, precision: str | None) -> EngineMismatchError:
    there = ", ".join(record.name for record in bundle.manifest.engines) or "none"
    named = (("runtime", runtime), ("precision", precision))
    flags = "".join(f" --{flag} {value}" for flag, value in named if value is not None)
    return EngineMismatchError(
        f"{bundle.path} has no engine for{flags}; built ones: {there}.",
        expected="an engine that was built: every precision but fp32 has a threshold of its own",
        hint=f"edgerd build-engine {quote(str(bundle.path))}{flags}",
    )
