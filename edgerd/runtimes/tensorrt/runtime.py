"""TensorRT: what `edgerd.runtimes.RUNTIMES` names. The library is imported when it is used."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from edgerd import __version__
from edgerd.bundle.manifest import EngineKey
from edgerd.cuda.context import Context
from edgerd.cuda.properties import gpu_properties
from edgerd.errors import BundleError, InputError, MissingDependencyError
from edgerd.runtimes.base import BaseRuntime, Place
from edgerd.runtimes.fit import ANY_DEVICE, LATER, misfit
from edgerd.runtimes.protocol import Probe
from edgerd.runtimes.tensorrt.engine_cache import CacheKey, EngineCache
from edgerd.runtimes.tensorrt.library import FIX, LIBRARY, library_version, tensorrt_version
from edgerd.runtimes.tensorrt.options import (
    DLA_PRECISIONS,
    OLDEST_CAPABILITY,
    PRECISIONS,
    BuildOptions,
    refuse_impossible,
)
from edgerd.runtimes.tensorrt.progress import BuildProgress
from edgerd.runtimes.tensorrt.record import BUILD_FILE, BuildRecord, build_record

if TYPE_CHECKING:
    from edgerd.runtimes.tensorrt.engine import TensorRtEngine

_FLAVOUR = "trt"
"""`edgerd.precision.tensorrt.FLAVOUR`, spelled again because runtimes do not import `precision`."""
_PROFILED_RUNS = 10
"""How many runs the times of layers are averaged over."""


class TensorRt(BaseRuntime):
    """Builds plans for this machine's GPU and runs them. Precision stands in the graph: networks are strongly typed.

    An engine that is built to be compatible with other GPUs or versions has a key that fits those too.

    Args:
        options: The options of `build`.
        timing_cache: A file for the builder's timings; None for one in the user's cache.
        say: Called with what a person should know, a line at a time.
        on_progress: Called with how far a build is, in another thread; it must not raise.
    """

    name = "tensorrt"
    library = LIBRARY

    def __init__(
        self,
        options: BuildOptions | None = None,
        *,
        timing_cache: Path | None = None,
        say: Callable[[str], None] = lambda _: None,
        on_progress: Callable[[BuildProgress], None] = lambda _: None,
    ) -> None:
        self.options = options or BuildOptions()
        self._timing_cache = timing_cache
        self._say = say
        self._on_progress = on_progress

    def probe(self) -> Probe:
        """What this machine offers; where a DLA was asked for, what that computes in."""
        version = None
        try:
            version = tensorrt_version()
            gpu = gpu_properties()
        except MissingDependencyError as error:
            return Probe(version=version, reason=error.what, fix=error.hint or FIX)
        if gpu.capability < OLDEST_CAPABILITY:
            return Probe(version=version, reason=f"{gpu.name} is too old: {gpu.architecture}, TensorRT needs sm_75")
        precisions = PRECISIONS if self.options.dla_core is None else DLA_PRECISIONS
        return Probe(version=version, precisions=precisions, int8_flavour=_FLAVOUR)

    def _place(self) -> Place:
        version, gpu = tensorrt_version(), gpu_properties()
        return Place(
            version + LATER if self.options.version_compatible else version,
            ANY_DEVICE if self.options.hardware_compatible else gpu.model,
            ("sm_80" + LATER if self.options.hardware_compatible else gpu.architecture, gpu.platform),
        )

    def _build(self, graph: bytes, precision: str) -> dict[str, bytes]:
        """Keep the plan, and how it was built; both come from a cache where the same was built before.

        Raises:
            DeviceError: There is not enough memory, or the builder finds no way.
            StorageError: A timing cache was named and cannot be read or written.
            KeyboardInterrupt: Ctrl-C was pressed; the timings so far are kept.
        """
        cache, key = EngineCache(self._say), self._cache_key(graph, precision)
        with _opened_gpu() as gpu:
            files = self._cached(gpu, graph, cache, key)
            if files is None:
                files = self._built(gpu, graph, key.engine)
                cache.put(key, files)
            elif self._timing_cache is not None:
                self._say(f"{self._timing_cache} was neither read nor written: nothing had to be timed.")
        for line in build_record(files).layers.lines():
            self._say(f"  {line}")
        return files

    def dry_run(self, graph: bytes, precision: str) -> list[str]:
        """What `build` would do, a line each: the graph is parsed and the builder configured, nothing more.

        Raises:
            MissingDependencyError: TensorRT is not installed.
            InputError: It cannot build that precision here, or the options do not go together or with this GPU.
            BundleDamagedError: It cannot read the graph.
            DeviceError: There is not enough memory, or TensorRT does not start.
        """
        self._check_wanted(precision)
        from edgerd.runtimes.tensorrt.dry_run import described

        with _opened_gpu() as gpu:
            return described(graph, self._cache_key(graph, precision), gpu, self._timing_cache)

    def target_lines(self) -> list[str]:
        """This device, as the TOML file that `edgerd build-engine --target` reads."""
        from edgerd.runtimes.tensorrt.dry_run import target_lines

        with _opened_gpu():
            return target_lines()

    def _load(self, graph: bytes, key: EngineKey, files: Mapping[str, bytes], threads: int) -> TensorRtEngine:
        """Open an engine; only the thread that opened it may run it.

        Raises:
            EngineMismatchError: The key is of another GPU, TensorRT or graph; nothing was deserialised.
        """
        del threads  # the CPU has no part in it
        if files:
            self._check_key(key, graph)
        else:
            files = self.build(graph, key.precision)
        gpu = Context()
        try:
            return _loaded(gpu, graph, key, files)
        except BaseException:
            gpu.close()
            raise

    def _check_wanted(self, precision: str) -> None:
        """Refuse options that do not go together, or not with this precision or GPU.

        Raises:
            MissingDependencyError: TensorRT is not installed.
            InputError: It cannot build that here.
        """
        refuse_impossible(self.options, precision)
        super()._check_wanted(precision)
        refuse_impossible(self.options, precision, gpu_properties().capability)

    def _check_key(self, key: EngineKey, graph: bytes) -> None:
        error = misfit(key, TensorRt().key(key.precision, hashlib.sha256(graph).hexdigest()))
        if error:
            raise error

    def _cache_key(self, graph: bytes, precision: str) -> CacheKey:
        engine = self.key(precision, hashlib.sha256(graph).hexdigest())
        return CacheKey(
            engine=engine,
            options=self.options,
            library=library_version(tensorrt_version()),
            edgerd=__version__,
        )

    def _cached(self, gpu: Context, graph: bytes, cache: EngineCache, key: CacheKey) -> dict[str, bytes] | None:
        """The files of an engine that was built before, and loads; None where there is none."""
        files = cache.get(key)
        if files is None:
            return None
        try:
            if build_record(files).options == key.options:
                _loaded(gpu, graph, key.engine, files).close()
                return files
            reason = "It was built with other options than its entry says."
        except (BundleError, InputError) as error:  # without a new build it would fail again every time
            reason = error.what
        self._say(f"The cached engine cannot be used, and is built again: {reason}")
        return None

    def _built(self, gpu: Context, graph: bytes, key: EngineKey) -> dict[str, bytes]:
        from edgerd.runtimes.tensorrt.build import configured, plan_from
        from edgerd.runtimes.tensorrt.layers import layer_report
        from edgerd.runtimes.tensorrt.log import Log
        from edgerd.runtimes.tensorrt.network import parsed
        from edgerd.runtimes.tensorrt.plan import PLAN_FILE
        from edgerd.runtimes.tensorrt.preflight import check_memory
        from edgerd.runtimes.tensorrt.timing_cache import TimingCache

        check_memory(gpu, graph)
        log = Log()
        network = parsed(graph, log)
        config = configured(network, self.options, log)
        timings = TimingCache(self._timing_cache, gpu_properties(), self._say)
        timings.give_to(config, log)
        started_s = time.monotonic()
        try:
            plan = plan_from(network, config, log, self._on_progress, self.options.flags)
        finally:
            timings.take_from(config)
        build_s = round(time.monotonic() - started_s, 1)
        del network, config  # they hold a copy of the weights, and the engine needs that memory
        self._say(f"TensorRT {key.precision}: built in {build_s} s, {len(plan) / 1e6:.1f} MB")
        empty = BuildRecord(options=self.options, build_s=build_s, layers=layer_report("", key.precision, {}))
        with closing(_loaded(gpu, graph, key, {PLAN_FILE: plan, BUILD_FILE: empty.to_bytes()})) as engine:
            report = layer_report(engine.layer_information(), key.precision, engine.profiled(_PROFILED_RUNS))
        return {PLAN_FILE: plan, BUILD_FILE: empty.model_copy(update={"layers": report}).to_bytes()}


@contextmanager
def _opened_gpu() -> Iterator[Context]:
    gpu = Context()
    try:
        yield gpu
    finally:
        gpu.close()


def _loaded(gpu: Context, graph: bytes, key: EngineKey, files: Mapping[str, bytes]) -> TensorRtEngine:
    from edgerd.runtimes.tensorrt.engine import TensorRtEngine
    from edgerd.runtimes.tensorrt.log import Log
    from edgerd.runtimes.tensorrt.plan import PLAN_FILE, engine_from

    options, log = build_record(files).options, Log()
    return TensorRtEngine(engine_from(files.get(PLAN_FILE, b""), graph, options, log), gpu, key, log)
