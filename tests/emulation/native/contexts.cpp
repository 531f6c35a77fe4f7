// Initialisation, the device and its properties, contexts.
#include "streams.hpp"

#include <cstdio>

using namespace emulation;

namespace {

struct Context {
    bool primary;
    unsigned flags;
};

Context primary{true, 0};
int primary_references = 0;
thread_local std::vector<Context *> stack;

}  // namespace

int emulation::contexts_on_this_thread() { return int(stack.size()); }

extern "C" {

CUresult cuInit(unsigned) {
    Entry entry(__func__);
    if (CUresult planned = device().fault(__func__)) return entry.done(planned);
    device().initialised = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int *version) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **name) {
    static thread_local char text[48];
    std::snprintf(text, sizeof text, "CUDA_ERROR_%d", int(error));
    *name = text;
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text) {
    switch (int(error)) {
        case CUDA_SUCCESS: *text = "no error"; break;
        case CUDA_ERROR_INVALID_VALUE: *text = "invalid argument"; break;
        case CUDA_ERROR_OUT_OF_MEMORY: *text = "out of memory"; break;
        case CUDA_ERROR_NO_DEVICE: *text = "no CUDA-capable device is detected"; break;
        case CUDA_ERROR_INVALID_CONTEXT: *text = "invalid device context"; break;
        case CUDA_ERROR_NO_BINARY_FOR_GPU: *text = "no kernel image is available for execution on the device"; break;
        case CUDA_ERROR_INVALID_HANDLE: *text = "invalid resource handle"; break;
        case CUDA_ERROR_NOT_FOUND: *text = "named symbol not found"; break;
        case CUDA_ERROR_NOT_READY: *text = "device not ready"; break;
        case CUDA_ERROR_ILLEGAL_ADDRESS: *text = "an illegal memory access was encountered"; break;
        case CUDA_ERROR_LAUNCH_FAILED: *text = "unspecified launch failure"; break;
        case CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED: *text = "operation not permitted when stream is capturing"; break;
        case CUDA_ERROR_STREAM_CAPTURE_INVALIDATED: *text = "operation failed due to a previous error during capture"; break;
        case CUDA_ERROR_UNKNOWN: *text = "unknown error"; break;
        default: *text = "error of the emulated driver, see its number"; break;
    }
    return CUDA_SUCCESS;
}

// device

CUresult cuDeviceGetCount(int *count) {
    ENTER_ANYWHERE();
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice *out, int ordinal) {
    ENTER_ANYWHERE();
    *out = 0;
    return entry.done(ordinal == 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE);
}

CUresult cuDeviceGetName(char *name, int room, CUdevice) {
    ENTER_ANYWHERE();
    std::snprintf(name, room, "%s", device().name.c_str());
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetPCIBusId(char *id, int room, CUdevice) {
    ENTER_ANYWHERE();
    std::snprintf(id, room, "0000:01:00.0");
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetByPCIBusId(CUdevice *out, const char *) {
    ENTER_ANYWHERE();
    *out = 0;
    return CUDA_SUCCESS;
}

static int attribute_default(int attribute) {
    switch (attribute) {
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: return 8;
        case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: return 7;
        case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: return 8;
        case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: return 1024;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: return 2147483647;
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y:
        case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: return 65535;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X:
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: return 1024;
        case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: return 64;
        case CU_DEVICE_ATTRIBUTE_WARP_SIZE: return 32;
        case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: return 1020000;
        case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: return 1600000;
        case CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: return 128;
        case CU_DEVICE_ATTRIBUTE_INTEGRATED: return 0;
        default: return 1;
    }
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice) {
    ENTER_ANYWHERE();
    const auto set = device().attributes.find(attribute);
    *value = set != device().attributes.end() ? set->second : attribute_default(attribute);
    return CUDA_SUCCESS;
}

CUresult cuDeviceComputeCapability(int *major, int *minor, CUdevice d) {
    cuDeviceGetAttribute(major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, d);
    return cuDeviceGetAttribute(minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, d);
}

CUresult cuDeviceTotalMem(size_t *bytes, CUdevice) {
    ENTER_ANYWHERE();
    *bytes = device().total_bytes;
    return CUDA_SUCCESS;
}

// contexts

CUresult cuDevicePrimaryCtxRetain(CUcontext *out, CUdevice) {
    ENTER_ANYWHERE();
    if (primary_references++ == 0) ++device().live["primary context"];
    *out = reinterpret_cast<CUcontext>(&primary);
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice) {
    Entry entry(__func__);
    if (primary_references == 0) return entry.done(CUDA_ERROR_INVALID_CONTEXT);
    if (--primary_references == 0) --device().live["primary context"];
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxSetFlags(CUdevice, unsigned flags) {
    ENTER_ANYWHERE();
    primary.flags = flags;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxGetState(CUdevice, unsigned *flags, int *active) {
    ENTER_ANYWHERE();
    *flags = primary.flags;
    *active = primary_references > 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxCreate(CUcontext *out, unsigned flags, CUdevice) {
    ENTER_ANYWHERE();
    auto *context = new Context{false, flags};
    ++device().live["context"];
    stack.push_back(context);
    *out = reinterpret_cast<CUcontext>(context);
    return CUDA_SUCCESS;
}

CUresult cuCtxDestroy(CUcontext) {
    Entry entry(__func__);
    --device().live["context"];
    return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent(CUcontext context) {
    ENTER_ANYWHERE();
    stack.push_back(reinterpret_cast<Context *>(context));
    return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent(CUcontext *out) {
    Entry entry(__func__);
    if (stack.empty()) return entry.done(CUDA_ERROR_INVALID_CONTEXT);
    if (out) *out = reinterpret_cast<CUcontext>(stack.back());
    stack.pop_back();
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    ENTER_ANYWHERE();
    if (!stack.empty()) stack.pop_back();
    if (context) stack.push_back(reinterpret_cast<Context *>(context));
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *out) {
    *out = stack.empty() ? nullptr : reinterpret_cast<CUcontext>(stack.back());
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *out) {
    ENTER();
    *out = 0;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetFlags(unsigned *flags) {
    ENTER();
    *flags = stack.back()->flags;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetApiVersion(CUcontext, unsigned *version) {
    *version = CUDA_VERSION;
    return CUDA_SUCCESS;
}

CUresult cuCtxAttach(CUcontext *out, unsigned) { return cuCtxGetCurrent(out); }
CUresult cuCtxDetach(CUcontext) { return CUDA_SUCCESS; }

CUresult cuCtxSynchronize(void) {
    ENTER();
    if (CUresult refusal = unsafe_in_capture()) return entry.done(refusal);
    return entry.done(drain_all(false));
}

CUresult cuProfilerStart(void) { return CUDA_SUCCESS; }
CUresult cuProfilerStop(void) { return CUDA_SUCCESS; }
}
