// Modules and kernels. An image is what the nvcc of the emulation made (bin/nvcc): the .cu file compiled for the host as
// a shared object. It is loaded from memory, as the driver loads a cubin, and a launch runs its code thread by thread.
#include "streams.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>

using namespace emulation;

namespace {

// Written by cuda_host.h for each kernel of a .cu file.
using Run = void (*)(const unsigned grid[3], const unsigned block[3], const unsigned char *arguments);
using Pack = void (*)(void **parameters, unsigned char *arguments);
struct Entries {
    Run run;
    Pack pack;
    size_t argument_bytes;
};

struct Module {
    void *library;
};

struct Function {
    const Entries *entries;
};

constexpr unsigned char host_machine = EM_X86_64;

// 0 where it is no image of ours. The length of an ELF file is not passed: its section table comes last.
size_t image_bytes(const void *image) {
    const auto *header = static_cast<const Elf64_Ehdr *>(image);
    if (std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_machine != host_machine) return 0;
    return header->e_shoff + size_t(header->e_shentsize) * header->e_shnum;
}

// From a file of its own name: dlopen takes a name that it has seen for the same library.
void *load(const void *image, size_t bytes) {
    char path[] = "/tmp/emulated-module-XXXXXX";
    const int file = mkstemp(path);
    if (file < 0) return nullptr;
    const bool whole = write(file, image, bytes) == ssize_t(bytes);
    close(file);
    void *library = whole ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : nullptr;
    unlink(path);
    return library;
}

// As for a cubin: the same major version, and a minor version that is not newer than the device's.
bool runs_on_device(int architecture) {
    int major, minor;
    cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0);
    cuDeviceGetAttribute(&minor, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 0);
    return architecture / 10 == major && architecture % 10 <= minor;
}

}  // namespace

extern "C" {

CUresult cuModuleLoadData(CUmodule *out, const void *image) {
    ENTER();
    const size_t bytes = image_bytes(image);
    if (!bytes) return entry.done(CUDA_ERROR_NO_BINARY_FOR_GPU);
    void *library = load(image, bytes);
    if (!library) return entry.done(CUDA_ERROR_INVALID_IMAGE);
    const auto *architecture = static_cast<const int *>(dlsym(library, "emulated_architecture"));
    if (!architecture || !runs_on_device(*architecture)) return entry.done(CUDA_ERROR_NO_BINARY_FOR_GPU);
    *out = reinterpret_cast<CUmodule>(new Module{library});
    ++device().live["module"];
    return CUDA_SUCCESS;
}

CUresult cuModuleLoad(CUmodule *out, const char *path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return CUDA_ERROR_FILE_NOT_FOUND;
    const std::string image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    return cuModuleLoadData(out, image.data());
}

CUresult cuModuleLoadDataEx(CUmodule *out, const void *image, unsigned n, CUjit_option *options, void **values) {
    for (unsigned i = 0; i < n; ++i) {  // nothing was compiled: the logs are empty
        if (options[i] == CU_JIT_INFO_LOG_BUFFER || options[i] == CU_JIT_ERROR_LOG_BUFFER) {
            *static_cast<char *>(values[i]) = 0;
        } else if (options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES || options[i] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES) {
            values[i] = nullptr;
        }
    }
    return cuModuleLoadData(out, image);
}

CUresult cuModuleUnload(CUmodule handle) {
    Entry entry(__func__);
    drain_all(false);
    dlclose(reinterpret_cast<Module *>(handle)->library);
    delete reinterpret_cast<Module *>(handle);
    --device().live["module"];
    return CUDA_SUCCESS;
}

CUresult cuModuleGetFunction(CUfunction *out, CUmodule handle, const char *name) {
    ENTER();
    const std::string symbol = std::string("emulated_") + name;
    const void *entries = dlsym(reinterpret_cast<Module *>(handle)->library, symbol.c_str());
    if (!entries) return entry.done(CUDA_ERROR_NOT_FOUND);
    *out = reinterpret_cast<CUfunction>(new Function{static_cast<const Entries *>(entries)});
    return CUDA_SUCCESS;
}

CUresult cuModuleGetGlobal(CUdeviceptr *out, size_t *bytes, CUmodule handle, const char *name) {
    ENTER();
    void *address = dlsym(reinterpret_cast<Module *>(handle)->library, name);
    if (!address) return entry.done(CUDA_ERROR_NOT_FOUND);
    *out = reinterpret_cast<CUdeviceptr>(address);
    if (bytes) *bytes = 0;  // the size of a variable is not known here
    return CUDA_SUCCESS;
}

CUresult cuFuncGetAttribute(int *value, CUfunction_attribute attribute, CUfunction) {
    ENTER();
    *value = attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK ? 1024 : 0;
    return CUDA_SUCCESS;
}

CUresult cuFuncSetCacheConfig(CUfunction, CUfunc_cache) { return CUDA_SUCCESS; }
CUresult cuFuncSetBlockShape(CUfunction, int, int, int) { return CUDA_SUCCESS; }   // the launch repeats it
CUresult cuFuncSetSharedSize(CUfunction, unsigned) { return CUDA_SUCCESS; }
CUresult cuFuncSetAttribute(CUfunction, CUfunction_attribute, int) { return CUDA_SUCCESS; }

CUresult cuOccupancyMaxPotentialBlockSize(int *grid, int *block, CUfunction, CUoccupancyB2DSize, size_t, int) {
    ENTER();
    *grid = 8;
    *block = 256;
    return CUDA_SUCCESS;
}

// The arguments as one packed buffer, from either of the two ways to pass them; false where the sizes differ.
static bool pack(const Entries &kernel, void **parameters, void **extra, std::vector<unsigned char> &arguments) {
    arguments.resize(kernel.argument_bytes);
    if (parameters) return kernel.pack(parameters, arguments.data()), true;
    const void *buffer = nullptr;
    size_t bytes = 0;
    for (; extra && *extra; extra += 2) {
        if (*extra == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = extra[1];
        if (*extra == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<size_t *>(extra[1]);
    }
    if (bytes != kernel.argument_bytes) return false;
    if (bytes) std::memcpy(arguments.data(), buffer, bytes);
    return true;
}

CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                        unsigned block_y, unsigned block_z, unsigned, CUstream stream, void **parameters,
                        void **extra) {
    const size_t blocks = size_t(grid_x) * grid_y * grid_z, threads = size_t(block_x) * block_y * block_z;
    ENTER(stream, blocks * threads, is_capturing(stream));
    if (!blocks || !threads || threads > 1024 || grid_y > 65535 || grid_z > 65535 || block_z > 64)
        return entry.done(CUDA_ERROR_INVALID_VALUE);
    const Entries *kernel = reinterpret_cast<Function *>(handle)->entries;
    std::vector<unsigned char> arguments;
    if (!pack(*kernel, parameters, extra, arguments)) return entry.done(CUDA_ERROR_INVALID_VALUE);
    return entry.done(give(stream, {"kernel", blocks * threads, [=] {
                                        const unsigned grid[3] = {grid_x, grid_y, grid_z};
                                        const unsigned block[3] = {block_x, block_y, block_z};
                                        kernel->run(grid, block, arguments.data());
                                        return CUDA_SUCCESS;
                                    }}));
}
}
