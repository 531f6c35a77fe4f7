// CUDA C++ for the host: enough for kernels without textures or warp operations.
//
// bin/nvcc compiles a .cu file with this header in front and `EMULATED_KERNEL(name)` behind for each `__global__`
// function; the emulated driver finds what that macro defines by its name. A kernel's threads run one after the other.
//
// Barriers: a kernel with shared memory says EACH_THREAD before each part between two barriers, and nothing happens
// outside of such parts. Then the kernel is called once per block, and EACH_THREAD is the loop over the block's threads.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <tuple>
#include <utility>

#ifdef EMULATION_NAMES_KERNELS
#define __global__ emulated_global  // only preprocessed: bin/nvcc looks for it
#else
#define __global__
#endif
#define __device__
#define __host__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct uint3 {
    unsigned x, y, z;
};
static thread_local uint3 threadIdx, blockIdx;
static thread_local dim3 blockDim, gridDim;
constexpr int warpSize = 32;

#ifdef EMULATION_BLOCKWISE
#define __shared__ static
#define __syncthreads()
#define EACH_THREAD                                                          \
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z)           \
        for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)       \
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)
#define EMULATED_THREADS
#else
#define EMULATED_THREADS                                                     \
    for (threadIdx.z = 0; threadIdx.z < blockDim.z; ++threadIdx.z)           \
        for (threadIdx.y = 0; threadIdx.y < blockDim.y; ++threadIdx.y)       \
            for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x)
#endif

#define EMULATED_VECTOR(type, name, size)                                                                     \
    struct __align__(size * 2) name##2 { type x, y; };                                                        \
    struct name##3 { type x, y, z; };                                                                         \
    struct __align__(size * 4) name##4 { type x, y, z, w; };                                                  \
    static inline name##2 make_##name##2(type x, type y) { return {x, y}; }                                   \
    static inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; }                        \
    static inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
EMULATED_VECTOR(unsigned char, uchar, 1)
EMULATED_VECTOR(unsigned short, ushort, 2)
EMULATED_VECTOR(int, int, 4)
EMULATED_VECTOR(float, float, 4)
struct __align__(8) uint2 { unsigned x, y; };
struct __align__(16) uint4 { unsigned x, y, z, w; };
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

using std::max;
using std::min;

template <typename T> static inline T __ldg(const T *address) { return *address; }
template <typename T> static inline T __ldcs(const T *address) { return *address; }
template <typename T> static inline void __stcs(T *address, T value) { *address = value; }
static inline float __saturatef(float v) { return std::fmin(std::fmax(v, 0.0f), 1.0f); }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline unsigned __funnelshift_r(unsigned low, unsigned high, unsigned shift) {
    return unsigned((uint64_t(high) << 32 | low) >> (shift & 31));
}
static inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    const uint64_t bytes = uint64_t(high) << 32 | low;
    unsigned result = 0;
    for (int i = 0; i < 4; ++i) result |= unsigned(bytes >> (selector >> (4 * i) & 7) * 8 & 0xff) << (8 * i);
    return result;
}
static inline unsigned __dp2a_lo(unsigned halves, unsigned bytes, unsigned sum) {
    return sum + (halves & 0xffff) * (bytes & 0xff) + (halves >> 16) * (bytes >> 8 & 0xff);
}
static inline unsigned __dp2a_hi(unsigned halves, unsigned bytes, unsigned sum) {
    return __dp2a_lo(halves, bytes >> 16, sum);
}
static inline int __float2int_rn(float v) { return int(std::nearbyint(v)); }
static inline int __float2int_rd(float v) { return int(std::floor(v)); }
static inline int __float2int_ru(float v) { return int(std::ceil(v)); }
static inline int __float2int_rz(float v) { return int(v); }
static inline float __int2float_rn(int v) { return float(v); }
static inline float __uint2float_rn(unsigned v) { return float(v); }

namespace emulated {

template <typename T> constexpr size_t aligned(size_t offset) { return (offset + alignof(T) - 1) / alignof(T) * alignof(T); }

// Where each argument lies in the packed buffer: one after the other, each at a multiple of its alignment.
template <typename... A> struct Layout {
    static constexpr size_t count = sizeof...(A);
    size_t at[count + 1] = {};
    size_t bytes = 0;
    constexpr Layout() {
        size_t i = 0;
        ((at[i++] = bytes = aligned<A>(bytes), bytes += sizeof(A)), ...);
    }
};

template <typename T> struct Kernel;
template <typename... A> struct Kernel<void (*)(A...)> {
    static constexpr Layout<A...> layout{};

    template <size_t... I> static void pack(void **parameters, unsigned char *out, std::index_sequence<I...>) {
        (std::memcpy(out + layout.at[I], parameters[I], sizeof(A)), ...);
    }
    static void pack(void **parameters, unsigned char *out) { pack(parameters, out, std::index_sequence_for<A...>{}); }

    template <typename T> static T read(const unsigned char *from) {
        T value;
        std::memcpy(&value, from, sizeof value);
        return value;
    }

    template <size_t... I>
    static void run(void (*kernel)(A...), const unsigned g[3], const unsigned b[3], const unsigned char *arguments,
                    std::index_sequence<I...>) {
        const std::tuple<A...> values{read<A>(arguments + layout.at[I])...};
        gridDim = {g[0], g[1], g[2]};
        blockDim = {b[0], b[1], b[2]};
        for (blockIdx.z = 0; blockIdx.z < g[2]; ++blockIdx.z)
            for (blockIdx.y = 0; blockIdx.y < g[1]; ++blockIdx.y)
                for (blockIdx.x = 0; blockIdx.x < g[0]; ++blockIdx.x) {
                    EMULATED_THREADS kernel(std::get<I>(values)...);
                }
    }
    static void run(void (*kernel)(A...), const unsigned g[3], const unsigned b[3], const unsigned char *arguments) {
        run(kernel, g, b, arguments, std::index_sequence_for<A...>{});
    }
};

struct Entries {  // as kernels.cpp reads it
    void (*run)(const unsigned grid[3], const unsigned block[3], const unsigned char *arguments);
    void (*pack)(void **parameters, unsigned char *arguments);
    size_t argument_bytes;
};

}  // namespace emulated

#define EMULATED_KERNEL(name)                                                                                       \
    extern "C" __attribute__((visibility("default"))) const emulated::Entries emulated_##name = {                   \
        [](const unsigned g[3], const unsigned b[3], const unsigned char *a) {                                      \
            emulated::Kernel<decltype(&name)>::run(&name, g, b, a);                                                 \
        },                                                                                                          \
        [](void **p, unsigned char *a) { emulated::Kernel<decltype(&name)>::pack(p, a); },                          \
        emulated::Kernel<decltype(&name)>::layout.bytes}
