"""From a network to a plan: TensorRT tries kernels on this GPU for seconds to minutes, and can be watched and stopped.

TF32 is off, whatever the precision: it rounds the inputs of FP32 products to 10 bits, and what is FP32 in a typed graph
is so on purpose (the reference itself, and the head from the cosine on).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, SupportsInt

import tensorrt as trt

from edgerd.errors import InputError
from edgerd.graph_names import FRAME
from edgerd.runtimes.tensorrt.log import Log, made, refusal
from edgerd.runtimes.tensorrt.network import Parsed
from edgerd.runtimes.tensorrt.options import DLA_VERSIONS, BuildOptions
from edgerd.runtimes.tensorrt.progress import STOPPING, BuildProgress
from edgerd.runtimes.tensorrt.values import content_of


def configured(parsed: Parsed, options: BuildOptions, log: Log) -> trt.IBuilderConfig:
    """The builder's configuration for a network.

    Raises:
        InputError: The options ask for what this TensorRT or device does not have.
    """
    builder = parsed.builder
    config = made(builder.create_builder_config(), log, "make a configuration")
    log.take()
    _choose(builder, config, options)
    if log.errors:  # TensorRT only logs the options that it does not take, and goes on without them
        raise InputError(
            f"TensorRT refuses {options.flags or 'its usual configuration'}: {log.take()}.",
            expected="options that this device and this TensorRT have",
            hint="Leave out the one that it names.",
        )
    profile = made(builder.create_optimization_profile(), log, "make a profile")
    shapes: list[Any] = [(batch, *parsed.tile_shape) for batch in options.profile]
    profile.set_shape(FRAME, *shapes)
    if config.add_optimization_profile(profile) < 0:
        raise InputError(
            f"TensorRT refuses the profile {':'.join(map(str, options.profile))}: {log.take()}.",
            expected="--profile MIN:OPT:MAX, tiles in one run",
        )
    return config


def _choose(builder: trt.Builder, config: trt.IBuilderConfig, options: BuildOptions) -> None:
    config.clear_flag(trt.BuilderFlag.TF32)
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # names and types, for the layer report
    if options.workspace_mib is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_mib << 20)
    if options.opt_level is not None:
        config.builder_optimization_level = options.opt_level
    if options.hardware_compatible:
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if options.strip:
        # Not REFIT: the weights that are put back are the same ones, so that the optimiser may rely on them.
        config.set_flag(trt.BuilderFlag.STRIP_PLAN)
    if options.dla_core is not None:
        _use_dla(builder, config, options.dla_core)


def _use_dla(builder: trt.Builder, config: trt.IBuilderConfig, core: int) -> None:
    n_cores = builder.num_DLA_cores
    if core >= n_cores:
        raise InputError(
            f"There is no DLA core {core}: this device and TensorRT {trt.__version__} have {n_cores or 'none'}.",
            expected=f"0 to {n_cores - 1}" if n_cores else f"a Jetson Xavier or Orin, with {DLA_VERSIONS}",
            hint="Leave --dla-core out to build for the GPU.",
        )
    config.default_device_type = trt.DeviceType.DLA
    config.DLA_core = core
    config.set_flag(trt.BuilderFlag.GPU_FALLBACK)


def plan_from(
    parsed: Parsed,
    config: trt.IBuilderConfig,
    log: Log,
    on_progress: Callable[[BuildProgress], None],
    flags: str = "",
) -> bytes:
    """Build a plan.

    Args:
        parsed: The network.
        config: What `configured` gave, with a timing cache where there is one.
        log: The builder's.
        on_progress: Called after every step, in another thread; it must not raise.
        flags: The options as they were typed, for the message where the builder refuses.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed, once or more; the builder has stopped.
        DeviceError: The builder found no way, or did not have enough memory.
    """
    monitor = _Monitor(on_progress)
    config.progress_monitor = monitor
    # In a thread of its own: Python handles no signal while TensorRT works in this one, and an exception must not end
    # in TensorRT's callbacks.
    with _ctrl_c(monitor.cancel), ThreadPoolExecutor(max_workers=1, thread_name_prefix="tensorrt build") as pool:
        future = pool.submit(parsed.builder.build_serialized_network, parsed.network, config)
        wait([future])  # however often Ctrl-C is pressed: what the builder uses must be there until it has ended
    plan = future.result()
    if monitor.is_cancelled:
        raise KeyboardInterrupt
    if not plan:
        raise refusal(log.take(), "build the engine", flags)
    return content_of(plan)


@contextmanager
def _ctrl_c(pressed: Callable[[], None]) -> Iterator[None]:
    """Call a function at Ctrl-C instead of raising; nothing changes where it is ignored, or outside the main thread."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: pressed())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class _Monitor(trt.IProgressMonitor):
    """Hears of each step, and may stop the build after it. Called by TensorRT, in its own threads."""

    def __init__(self, on_progress: Callable[[BuildProgress], None]) -> None:
        super().__init__()
        self.is_cancelled = False
        self._on_progress = on_progress
        self._started_s = time.monotonic()
        self._n_steps: dict[str, int] = {}

    def cancel(self) -> None:
        """Let the build stop after the step that it is at, which may take minutes."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self._tell(STOPPING, 0)

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: SupportsInt) -> None:  # noqa: ARG002
        self._n_steps[phase_name] = int(num_steps)
        self._tell(phase_name, 0)

    def step_complete(self, phase_name: str, step: SupportsInt) -> bool:
        if not self.is_cancelled:
            self._tell(phase_name, int(step) + 1)
        return not self.is_cancelled

    def phase_finish(self, phase_name: str) -> None:
        self._n_steps.pop(phase_name, None)

    def _tell(self, phase: str, step: int) -> None:
        elapsed_s = time.monotonic() - self._started_s
        self._on_progress(BuildProgress(phase, step, self._n_steps.get(phase, step), elapsed_s))
