"""From a plan to an engine: deserialise it, and put the weights back into one that was stripped of them."""

from __future__ import annotations

import tensorrt as trt

from edgerd.errors import BundleDamagedError, EdgerdError, EngineMismatchError, InputError
from edgerd.runtimes.interface import unreadable
from edgerd.runtimes.tensorrt.log import Complaint, Log, refusal, started
from edgerd.runtimes.tensorrt.options import BuildOptions

PLAN_FILE = "engine.plan"
_SHOWN = 5
"""How many of the parser's errors, and of the missing weights, a message shows."""
_SIGNS_OF_ANOTHER_MACHINE = ("compatible", "version tag does not match", "platform specific tag")
"""Words of TensorRT's for a plan that another device or version made: "incompatible device", "not compatible with this
version"; the tags are the plan's first bytes."""


def engine_from(plan: bytes, graph: bytes, options: BuildOptions, log: Log) -> trt.ICudaEngine:
    """Deserialise a plan. Its hash and key must have been checked, because TensorRT trusts what is in it.

    Args:
        plan: The plan as it was built.
        graph: The graph that it was built from; read where the plan is stripped.
        options: The options that it was built with.
        log: Where the engine will log.

    Raises:
        BundleDamagedError: The plan cannot be read, or the graph's weights are not its own.
        EngineMismatchError: TensorRT finds that the plan is of another GPU or version.
        DeviceError: There is no memory for it, or TensorRT does not start.
        InputError: The DLA core that it was built for is not there.
    """
    if not plan:
        raise unreadable(PLAN_FILE, ValueError("the file is empty"))
    runtime = started(trt.Runtime, log)
    if options.version_compatible:
        runtime.engine_host_code_allowed = True  # the plan carries the runtime that it was built with
    if options.dla_core is not None:
        if options.dla_core >= runtime.num_DLA_cores:
            raise InputError(
                f"The engine was built for DLA core {options.dla_core}; this device has {runtime.num_DLA_cores}.",
                expected="the device that it was built on",
                hint="Build it again on this device: edgerd build-engine --runtime tensorrt",
            )
        runtime.DLA_core = options.dla_core
    engine = runtime.deserialize_cuda_engine(plan)
    if not engine:
        raise _undeserialisable(log.take())
    if options.strip:
        _refit(engine, graph, log)
    log.take()  # errors that did not keep it from loading are no errors of a run
    return engine


def _undeserialisable(complaint: Complaint) -> EdgerdError:
    if complaint.is_about_memory:
        return refusal(complaint, "load the engine")
    if any(sign in str(complaint).lower() for sign in _SIGNS_OF_ANOTHER_MACHINE):
        return EngineMismatchError(
            f"The engine does not fit this GPU or TensorRT: {complaint}.",
            expected="an engine built on this device, with this TensorRT",
            hint="edgerd build-engine --runtime tensorrt builds it here.",
        )
    return unreadable(PLAN_FILE, ValueError(str(complaint)))


def _refit(engine: trt.ICudaEngine, graph: bytes, log: Log) -> None:
    refitter = started(lambda log: trt.Refitter(engine, log), log)
    weights = started(lambda log: trt.OnnxParserRefitter(refitter, log), log)
    filled = weights.refit_from_bytes(graph) and refitter.refit_cuda_engine()
    missing = refitter.get_missing_weights()
    if filled and not missing:
        return
    errors = [weights.get_error(index).desc().strip() for index in range(weights.num_errors)]
    reasons = [*errors[:_SHOWN], *([f"missing: {', '.join(missing[:_SHOWN])}"] if missing else [])]
    raise BundleDamagedError(
        f"The stripped engine cannot be given the graph's weights: {'; '.join(reasons) or log.take()}.",
        expected="the graph that it was built from",
        hint="edgerd build-engine --runtime tensorrt builds it again.",
    )
