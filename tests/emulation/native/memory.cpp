// Memory: device memory and pinned memory are both host memory, with a record of which is which.
#include "streams.hpp"

#include <cstdlib>
#include <cstring>

using namespace emulation;

static void *allocate(size_t bytes, Memory kind, unsigned flags) {
    Device &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    if (kind == Memory::device && d.used_bytes + bytes > d.total_bytes) return nullptr;
    const size_t aligned = (bytes + 511) / 512 * 512;
    void *memory = std::aligned_alloc(512, aligned);
    std::memset(memory, 0xFF, aligned);  // what was never written reads as NaN or 255
    d.blocks[reinterpret_cast<uintptr_t>(memory)] = {bytes, kind, flags};
    if (kind == Memory::device) d.used_bytes += bytes;
    ++d.live[kind == Memory::device ? "device memory" : "pinned memory"];
    return memory;
}

static CUresult release(void *memory, Memory kind) {
    Device &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    const auto block = d.blocks.find(reinterpret_cast<uintptr_t>(memory));
    if (block == d.blocks.end() || block->second.kind != kind) return CUDA_ERROR_INVALID_VALUE;
    if (kind == Memory::device) d.used_bytes -= block->second.bytes;
    --d.live[kind == Memory::device ? "device memory" : "pinned memory"];
    d.blocks.erase(block);
    std::free(memory);
    return CUDA_SUCCESS;
}

static void *at(CUdeviceptr address) { return reinterpret_cast<void *>(address); }

extern "C" {

CUresult cuMemAlloc(CUdeviceptr *out, size_t bytes) {
    ENTER(nullptr, bytes);
    if (CUresult refusal = unsafe_in_capture()) return entry.done(refusal);
    if (!bytes) return entry.done(CUDA_ERROR_INVALID_VALUE);
    void *memory = allocate(bytes, Memory::device, 0);
    *out = reinterpret_cast<CUdeviceptr>(memory);
    return entry.done(memory ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY);
}

CUresult cuMemFree(CUdeviceptr address) {
    Entry entry(__func__);
    if (device().stuck) return entry.done(device().stuck);
    if (CUresult refusal = unsafe_in_capture()) return entry.done(refusal);
    drain_all(false);
    return entry.done(release(at(address), Memory::device));
}

CUresult cuMemHostAlloc(void **out, size_t bytes, unsigned flags) {
    ENTER(nullptr, bytes);
    if (CUresult refusal = unsafe_in_capture()) return entry.done(refusal);
    *out = allocate(bytes, Memory::pinned, flags);
    return CUDA_SUCCESS;
}

CUresult cuMemAllocHost(void **out, size_t bytes) { return cuMemHostAlloc(out, bytes, 0); }

CUresult cuMemFreeHost(void *memory) {
    Entry entry(__func__);
    if (device().stuck) return entry.done(device().stuck);
    drain_all(false);
    return entry.done(release(memory, Memory::pinned));
}

CUresult cuMemHostGetDevicePointer(CUdeviceptr *out, void *memory, unsigned) {
    ENTER();
    if (!device().is_pinned(memory, 1)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    *out = reinterpret_cast<CUdeviceptr>(memory);
    return CUDA_SUCCESS;
}

CUresult cuMemHostGetFlags(unsigned *flags, void *memory) {
    ENTER();
    const auto block = device().blocks.find(reinterpret_cast<uintptr_t>(memory));
    if (block == device().blocks.end()) return entry.done(CUDA_ERROR_INVALID_VALUE);
    *flags = block->second.flags;
    return CUDA_SUCCESS;
}

CUresult cuMemHostRegister(void *memory, size_t bytes, unsigned flags) {
    ENTER(nullptr, bytes);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    device().blocks[reinterpret_cast<uintptr_t>(memory)] = {bytes, Memory::pinned, flags};
    return CUDA_SUCCESS;
}

CUresult cuMemHostUnregister(void *memory) {
    ENTER();
    drain_all(false);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    device().blocks.erase(reinterpret_cast<uintptr_t>(memory));
    return CUDA_SUCCESS;
}

CUresult cuMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    ENTER();
    *total_bytes = device().total_bytes;
    *free_bytes = device().total_bytes - device().used_bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemGetAddressRange(CUdeviceptr *base, size_t *bytes, CUdeviceptr address) {
    ENTER();
    auto after = device().blocks.upper_bound(address);
    if (after == device().blocks.begin() || !device().holds(at(address), 1)) return entry.done(CUDA_ERROR_NOT_FOUND);
    --after;
    if (base) *base = after->first;
    if (bytes) *bytes = after->second.bytes;
    return CUDA_SUCCESS;
}

// copies

// Waits for the default stream's order, then copies at once.
static CUresult copy_now(void *to, const void *from, size_t bytes) {
    if (CUresult refusal = default_stream_in_capture()) return refusal;
    if (CUresult result = drain_all(true)) return result;
    device().write("run:copy", 0, bytes, false);
    std::memmove(to, from, bytes);
    return CUDA_SUCCESS;
}

// `host` is the side that may be pageable: then the driver copies before it returns.
static CUresult copy_later(void *to, const void *from, size_t bytes, const void *host, CUstream stream) {
    const CUresult queued = give(stream, {"copy", bytes, [=] { return std::memmove(to, from, bytes), CUDA_SUCCESS; }});
    if (queued || !host || is_capturing(stream) || device().is_pinned(host, bytes)) return queued;
    device().write("pageable", reinterpret_cast<uint64_t>(stream), bytes, false);
    return cuStreamSynchronize(stream);
}

static bool on_device(CUdeviceptr address, size_t bytes) { return device().holds(at(address), bytes); }

CUresult cuMemcpyHtoD(CUdeviceptr to, const void *from, size_t bytes) {
    ENTER(nullptr, bytes);
    if (!on_device(to, bytes)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(copy_now(at(to), from, bytes));
}

CUresult cuMemcpyDtoH(void *to, CUdeviceptr from, size_t bytes) {
    ENTER(nullptr, bytes);
    if (!on_device(from, bytes)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(copy_now(to, at(from), bytes));
}

CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    ENTER(nullptr, bytes);
    if (!on_device(to, bytes) || !on_device(from, bytes)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(copy_now(at(to), at(from), bytes));
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void *from, size_t bytes, CUstream stream) {
    ENTER(stream, bytes, is_capturing(stream));
    if (!on_device(to, bytes)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(copy_later(at(to), from, bytes, from, stream));
}

CUresult cuMemcpyDtoHAsync(void *to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER(stream, bytes, is_capturing(stream));
    if (!on_device(from, bytes)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(copy_later(to, at(from), bytes, to, stream));
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    ENTER(stream, bytes, is_capturing(stream));
    if (!on_device(to, bytes) || !on_device(from, bytes)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(copy_later(at(to), at(from), bytes, nullptr, stream));
}

CUresult cuMemcpy2DAsync(const CUDA_MEMCPY2D *c, CUstream stream) {
    const auto *from = static_cast<const char *>(c->srcHost ? c->srcHost : at(c->srcDevice));
    auto *to = static_cast<char *>(c->dstHost ? c->dstHost : at(c->dstDevice));
    from += c->srcY * c->srcPitch + c->srcXInBytes;
    to += c->dstY * c->dstPitch + c->dstXInBytes;
    const CUDA_MEMCPY2D shape = *c;
    ENTER(stream, shape.WidthInBytes * shape.Height, is_capturing(stream));
    return entry.done(give(stream, {"copy", shape.WidthInBytes * shape.Height, [=] {
                                        for (size_t row = 0; row < shape.Height; ++row)
                                            std::memmove(to + row * shape.dstPitch, from + row * shape.srcPitch,
                                                         shape.WidthInBytes);
                                        return CUDA_SUCCESS;
                                    }}));
}

CUresult cuMemcpy2D(const CUDA_MEMCPY2D *c) {
    if (CUresult refusal = cuMemcpy2DAsync(c, nullptr)) return refusal;
    return drain_all(true);
}

CUresult cuMemcpy2DUnaligned(const CUDA_MEMCPY2D *c) { return cuMemcpy2D(c); }

// fills

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
    ENTER(stream, count, is_capturing(stream));
    if (!on_device(to, count)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(give(stream, {"fill", count, [=] { return std::memset(at(to), value, count), CUDA_SUCCESS; }}));
}

CUresult cuMemsetD8(CUdeviceptr to, unsigned char value, size_t count) {
    if (CUresult refusal = cuMemsetD8Async(to, value, count, nullptr)) return refusal;
    return drain_all(true);
}

CUresult cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
    ENTER(stream, count * 4, is_capturing(stream));
    if (!on_device(to, count * 4)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(give(stream, {"fill", count * 4, [=] {
                                        auto *words = static_cast<unsigned *>(at(to));
                                        std::fill(words, words + count, value);
                                        return CUDA_SUCCESS;
                                    }}));
}

CUresult cuMemsetD32(CUdeviceptr to, unsigned value, size_t count) {
    if (CUresult refusal = cuMemsetD32Async(to, value, count, nullptr)) return refusal;
    return drain_all(true);
}
}
