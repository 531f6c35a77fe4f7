// Runs CUDA kernels on the host: enough of the language for a `.cu` file to compile with a C++17 compiler.
//
// A kernel becomes a function that runs one whole block. Between its barriers a kernel does nothing but call functions
// as `EACH_THREAD function(...)`, and keeps nothing of a thread's own from one to the next: so a block is a loop over
// its threads per such line, a barrier is nothing, and shared memory is a local variable.
//
// Use: a file that includes this header, then the `.cu`, then says CUDA_HOST_LAUNCHER(type of the kernels' parameter).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

using std::max;
using std::min;

struct uint3 {
    unsigned x, y, z;
};
struct uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

inline thread_local uint3 gridDim, blockDim, blockIdx, threadIdx;

#define __device__
#define __global__
#define __shared__
#define __align__(bytes) alignas(bytes)
#define __launch_bounds__(threads)
#define __syncthreads() static_cast<void>(0)
#define EACH_THREAD for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)

template <class T>
inline T __ldg(const T* address) {
    T value;
    std::memcpy(&value, address, sizeof value);
    return value;
}

inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return static_cast<unsigned>(((static_cast<std::uint64_t>(high) << 32) | low) >> (shift & 31));
}

inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {  // without its sign mode
    const std::uint64_t bytes = (static_cast<std::uint64_t>(high) << 32) | low;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) {
        result |= static_cast<unsigned>(bytes >> (8 * (selector >> (4 * i) & 7)) & 0xff) << (8 * i);
    }
    return result;
}

inline int __float2int_rn(float value) { return static_cast<int>(std::lrint(value)); }

namespace cuda_host {

template <class Parameters>
void launch(void (*kernel)(Parameters), uint3 grid, uint3 block, const void* parameters) {
    Parameters copy;
    std::memcpy(&copy, parameters, sizeof copy);
    gridDim = grid;
    blockDim = block;
    threadIdx = {0, 0, 0};
    for (blockIdx.z = 0; blockIdx.z < grid.z; ++blockIdx.z) {
        for (blockIdx.y = 0; blockIdx.y < grid.y; ++blockIdx.y) {
            for (blockIdx.x = 0; blockIdx.x < grid.x; ++blockIdx.x) {
                kernel(copy);
            }
        }
    }
}

}  // namespace cuda_host

// int cuda_host_launch(kernel, sizes, parameters, size): runs a kernel of this library, found by its name with dlsym.
// `sizes` are those of the grid and of a block: x, y, z and x, y, z. Blocks are as wide as they are big: y = z = 1.
// Returns 0, or 1 where the parameters have another size than the kernels' struct.
#define CUDA_HOST_LAUNCHER(Parameters)                                                                              \
    extern "C" int cuda_host_launch(void (*kernel)(const Parameters), const unsigned* sizes, const void* parameters, \
                                    std::size_t size) {                                                             \
        if (size != sizeof(Parameters) || sizes[4] != 1 || sizes[5] != 1) {                                         \
            return 1;                                                                                               \
        }                                                                                                           \
        cuda_host::launch<Parameters>(kernel, {sizes[0], sizes[1], sizes[2]}, {sizes[3], sizes[4], sizes[5]},        \
                                      parameters);                                                                  \
        return 0;                                                                                                   \
    }
