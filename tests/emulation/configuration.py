"""Stand-ins for what a build is told: profile, timing cache, configuration."""

import ctypes
import json
from typing import Any

from .basics import ERROR, Example, HostMemory, Logging, bindings, flag
from .teaching import Dims, Int, Long, Ref, StandIn, Text, answers, stored


class Profile(StandIn):
    """An optimisation profile."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[str, list[list[int]]] = {}

    @answers(lambda profile: profile.set_shape("x", (1,), (1,), (1,)))
    def set_dimensions(self, name: Text, which: Int, shape: Dims) -> bool:
        self.shapes.setdefault(name, [[], [], []])[which] = list(shape)
        return True

    def is_valid(self) -> bool:
        """True where minimum, optimum and maximum are in this order."""
        return all(
            a <= b <= c for low, best, high in self.shapes.values() for a, b, c in zip(low, best, high, strict=True)
        )


class TimingCache(StandIn):
    """What earlier builds measured: here, the digests of the layers they had."""

    HEAD = b"EMULATED TIMING CACHE\n"

    def __init__(self, device: str, layers: set[str]) -> None:
        super().__init__()
        self.device = device
        self.layers = layers

    @classmethod
    def from_bytes(cls, data: bytes, device: str) -> "TimingCache | None":
        if not data:
            return cls(device, set())
        if not data.startswith(cls.HEAD):
            return None
        content = json.loads(data[len(cls.HEAD) :])
        return cls(content["device"], set(content["layers"]))

    @answers(lambda cache: cache.serialize())
    def serialize(self) -> HostMemory:
        content = {"device": self.device, "layers": sorted(self.layers)}
        return HostMemory(self.HEAD + json.dumps(content).encode())


@stored(
    builder_optimization_level=3,
    hardware_compatibility_level=0,
    profiling_verbosity=0,
    DLA_core=-1,
    default_device_type=0,
)
class Config(Logging):
    """A builder's configuration."""

    def __init__(self, logger: int, device: str) -> None:
        super().__init__(logger)
        self.device = device
        self.pools: dict[int, int] = {}
        self.profiles: list[Profile] = []
        self.cache: TimingCache | None = None
        self.monitor = 0
        self.flags = 1 << int(flag("TF32"))  # on, as in TensorRT

    def settings(self) -> dict[str, Any]:
        """All that was set, for the plan."""
        kept = {name.removeprefix("_"): value for name, value in vars(self).items() if name.startswith("_")}
        return kept | {"pools": self.pools}

    @answers(lambda config: config.set_flag(flag("REFIT")))
    def set_flag(self, flag: Int) -> None:
        self.flags |= 1 << flag

    @answers(lambda config: config.clear_flag(flag("REFIT")))
    def clear_flag(self, flag: Int) -> None:
        self.flags &= ~(1 << flag)

    @answers(lambda config: config.get_flag(flag("REFIT")))
    def get_flag(self, flag: Int) -> bool:
        return bool(self.flags >> flag & 1)

    @answers(lambda config: config.set_memory_pool_limit(bindings().MemoryPoolType.WORKSPACE, 1))
    def set_memory_pool_limit(self, pool: Int, size_bytes: Long) -> None:
        self.pools[pool] = size_bytes

    @answers(lambda config: config.get_memory_pool_limit(bindings().MemoryPoolType.WORKSPACE))
    def get_memory_pool_limit(self, pool: Int) -> int:
        return self.pools.get(pool, 0)

    @answers(lambda config: config.add_optimization_profile(Example.profile))
    def add_optimization_profile(self, profile: Ref) -> int:
        if not profile.shapes or not profile.is_valid():
            return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    @answers(lambda config: config.create_timing_cache(b""))
    def create_timing_cache(self, data: Long, size: Long) -> TimingCache | None:
        cache = TimingCache.from_bytes(ctypes.string_at(data, size), self.device)
        if cache is None:
            self.log(ERROR, "IBuilderConfig::createTimingCache: Error Code 1: Serialization (magic tag does not match)")
        return cache

    @answers(lambda config: config.set_timing_cache(Example.timing_cache, True))
    def set_timing_cache(self, cache: Ref, ignore_mismatch: Int) -> bool:
        if not ignore_mismatch and cache.device != self.device:
            self.log(ERROR, "The timing cache was made on another device")
            return False
        self.cache = cache
        return True

    @answers(lambda config: config.get_timing_cache())
    def get_timing_cache(self) -> TimingCache | None:
        return self.cache

    @answers(lambda config: setattr(config, "progress_monitor", None))
    def set_progress_monitor(self, monitor: Long) -> None:
        self.monitor = monitor

    @answers(lambda config: config.can_run_on_DLA(Example.layer))
    def can_run_on_dla(self, layer: Ref) -> bool:
        return layer.node.op_type in {"Conv", "Relu", "Clip", "Add", "ConvTranspose"}
