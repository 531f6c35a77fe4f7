"""What edgerd uses of TensorRT's Python API: the contract that test_api_contract.py checks on each version.

A member is written as it is called, with the names of the arguments that are passed by name or counted on. Whoever uses
more of the API adds it here first, and who uses less takes it out.
"""

USED: dict[str, tuple[str, ...]] = {
    "Builder": (
        "create_network(flags)",
        "create_builder_config()",
        "create_optimization_profile()",
        "build_serialized_network(network, config)",
        "num_DLA_cores",
    ),
    "IBuilderConfig": (
        "set_flag(flag)",
        "clear_flag(flag)",
        "set_memory_pool_limit(pool, pool_size)",
        "add_optimization_profile(profile)",
        "builder_optimization_level",
        "hardware_compatibility_level",
        "profiling_verbosity",
        "default_device_type",
        "DLA_core",
        "can_run_on_DLA(layer)",
        "progress_monitor",
        "create_timing_cache(serialized_timing_cache)",
        "set_timing_cache(cache, ignore_mismatch)",
        "get_timing_cache()",
    ),
    "INetworkDefinition": (
        "num_inputs",
        "num_outputs",
        "num_layers",
        "get_input(index)",
        "get_output(index)",
        "get_layer(index)",
    ),
    "ITensor": (
        "name",
        "shape",
    ),
    "IOptimizationProfile": ("set_shape(input, min, opt, max)",),
    "ITimingCache": ("serialize()",),
    "OnnxParser": (
        "parse(model)",
        "num_errors",
        "get_error(index)",
    ),
    "ParserError": (
        "desc()",
        "node()",
        "node_name()",
        "node_operator()",
    ),
    "OnnxParserRefitter": (
        "refit_from_bytes(model)",
        "num_errors",
        "get_error(index)",
    ),
    "Refitter": (
        "refit_cuda_engine()",
        "get_missing_weights()",
    ),
    "Runtime": (
        "deserialize_cuda_engine(serialized_engine)",
        "engine_host_code_allowed",
        "DLA_core",
        "num_DLA_cores",
    ),
    "ICudaEngine": (
        "num_io_tensors",
        "get_tensor_name(index)",
        "get_tensor_mode(name)",
        "get_tensor_dtype(name)",
        "get_tensor_shape(name)",
        "get_tensor_profile_shape(name, profile_index)",
        "create_execution_context()",
        "create_engine_inspector()",
    ),
    "IExecutionContext": (
        "set_tensor_address(name, memory)",
        "set_input_shape(name, shape)",
        "infer_shapes()",
        "execute_async_v3(stream_handle)",
        "profiler",
        "nvtx_verbosity",
    ),
    "EngineInspector": (
        "execution_context",
        "get_engine_information(format)",
    ),
    "ILogger": (
        "log(severity, msg)",
        "Severity",
        "INTERNAL_ERROR",
        "ERROR",
    ),
    "IProgressMonitor": (
        "phase_start(phase_name, parent_phase, num_steps)",
        "step_complete(phase_name, step)",
        "phase_finish(phase_name)",
    ),
    "IProfiler": ("report_layer_time(layer_name, ms)",),
    # enums
    "NetworkDefinitionCreationFlag": ("STRONGLY_TYPED",),
    "BuilderFlag": (
        "STRIP_PLAN",
        "VERSION_COMPATIBLE",
        "TF32",
        "GPU_FALLBACK",
    ),
    "MemoryPoolType": ("WORKSPACE",),
    "HardwareCompatibilityLevel": ("AMPERE_PLUS",),
    "ProfilingVerbosity": (
        "DETAILED",
        "NONE",
    ),
    "LayerInformationFormat": ("JSON",),
    "TensorIOMode": ("INPUT",),
    "DeviceType": ("DLA",),
    "DataType": (
        "FLOAT",
        "UINT8",
    ),
}

FUNCTIONS = ("__version__",)

DATA_TYPES = {"FLOAT": 0, "HALF": 1, "INT8": 2, "INT32": 3, "BOOL": 4, "UINT8": 5, "BF16": 7, "INT64": 8}
"""Values that the stand-ins give for the types of tensors."""


def members(kind: str) -> set[str]:
    """The names in `USED`, without arguments."""
    return {item.split("(")[0] for item in USED[kind]}
