"""What a build would do, without doing it."""

from __future__ import annotations

from pathlib import Path

import tensorrt as trt

from edgerd.cuda.context import Context
from edgerd.cuda.properties import gpu_properties
from edgerd.paths import exists
from edgerd.runtimes.tensorrt.build import configured
from edgerd.runtimes.tensorrt.engine_cache import CacheKey, EngineCache
from edgerd.runtimes.tensorrt.log import Log, started
from edgerd.runtimes.tensorrt.network import Parsed, parsed
from edgerd.runtimes.tensorrt.preflight import free_bytes, needed_bytes
from edgerd.runtimes.tensorrt.timing_cache import TimingCache


def described(graph: bytes, key: CacheKey, gpu: Context, timing_cache: Path | None) -> list[str]:
    """What a build would do: a line for each thing that a person should know before.

    Args:
        graph: The fused graph, ONNX.
        key: What the engine depends on, its options included.
        gpu: What it would be built on.
        timing_cache: A file of timings; None for the one in the user's cache.

    Raises:
        BundleDamagedError: The graph cannot be parsed.
        InputError: The options ask for what is not there.
    """
    log, options, properties = Log(), key.options, gpu_properties()
    network = parsed(graph, log)
    config = configured(network, options, log)
    said: list[str] = []
    cached = EngineCache(said.append).get(key) is not None
    timings = TimingCache(timing_cache, properties, said.append).file
    free, needed = (value >> 20 for value in (free_bytes(gpu), needed_bytes(graph)))
    lines = [
        f"TensorRT {trt.__version__} on {properties.name} ({properties.architecture})",
        f"{network.network.num_layers} layers, {len(graph) / 1e6:.1f} MB of ONNX, strongly typed, TF32 off",
        f"tiles in one run: {':'.join(map(str, options.profile))}; flags: {options.flags or 'none'}",
        f"memory: {free} MiB free, about {needed} MiB needed{'' if free >= needed else ': TOO LITTLE'}",
        f"timing cache: {timings} ({f'{timings.stat().st_size} bytes' if exists(timings) else 'empty'})",
    ]
    if options.dla_core is not None:
        lines.append(f"DLA core {options.dla_core}: takes {_n_on_dla(network, config)} layers, the GPU the rest")
    return lines + said + ([] if cached else ["no engine of this kind is cached: it would be built"])


def _n_on_dla(network: Parsed, config: trt.IBuilderConfig) -> int:
    layers = (network.network.get_layer(index) for index in range(network.network.num_layers))
    return sum(config.can_run_on_DLA(layer) for layer in layers)


def target_lines() -> list[str]:
    """This device, as the TOML file that `edgerd.building.target.Target` reads.

    Raises:
        MissingDependencyError: There is no GPU.
        DeviceError: TensorRT does not start.
    """
    gpu, builder = gpu_properties(), started(trt.Builder, Log())
    return [
        f'name = "{gpu.model}"',
        f'compute_capability = "{gpu.capability[0]}.{gpu.capability[1]}"',
        f'tensorrt = "{trt.__version__}"',
        f"memory_gb = {gpu.memory_bytes / 1e9:.1f}",
        f"dla_cores = {builder.num_DLA_cores}",
    ]
