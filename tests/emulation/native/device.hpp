// The state of the one emulated device: its memory, its log of calls, and the faults a test asked for.
//
// Every driver function begins with `Entry entry(__func__, ...)`, which writes the call to the log, and asks
// `entry.refused(...)` whether the driver would refuse it: an injected fault, an error that sticks to the context,
// no context on this thread.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace emulation {

// One line of the log. Python reads this layout (driver.py, class _Record).
struct Record {
    char name[40];      // "cuMemAlloc_v2" for a call, "run:copy" for work that the device did
    uint64_t stream;    // stream handle, 0 where the call has none or uses the default stream
    uint64_t bytes;
    int32_t result;     // CUresult
    int32_t captured;   // 1 where it went into a graph instead of to the device
};

enum class Memory { device, pinned };

struct Block {
    size_t bytes;
    Memory kind;
    unsigned flags;
};

struct Fault {
    std::string name;   // a function without its version suffix, or "run:copy", "run:kernel", ...
    CUresult result;
    int skip;           // this many calls still succeed
    int times;          // then this many fail
    bool sticks;        // true: every later call gives it too, as after an illegal access
};

struct Device {
    std::recursive_mutex mutex;
    bool initialised = false;
    std::string name = "Emulated GPU";
    size_t total_bytes = size_t(8) << 30;
    size_t used_bytes = 0;
    std::map<int, int> attributes;
    std::map<uintptr_t, Block> blocks;
    std::map<std::string, int> live;   // objects that exist: "stream", "event", "graph", "module", ...
    std::vector<Record> log;
    std::vector<Fault> faults;
    CUresult stuck = CUDA_SUCCESS;

    size_t write(const char *name, uint64_t stream, uint64_t bytes, bool captured);
    CUresult fault(const char *name);
    // True where [address, address + bytes) lies in one block.
    bool holds(const void *address, size_t bytes) const;
    bool is_pinned(const void *address, size_t bytes) const;
};

Device &device();
int contexts_on_this_thread();

// One driver call: logged, and perhaps refused.
class Entry {
  public:
    Entry(const char *name, CUstream stream = nullptr, uint64_t bytes = 0, bool captured = false);
    // The error to return at once, or CUDA_SUCCESS.
    CUresult refused(bool needs_context = true);
    CUresult done(CUresult result);

  private:
    const char *name_;
    size_t line_;
};

}  // namespace emulation

// Begins a driver function that needs a context.
#define ENTER(...)                                                    \
    emulation::Entry entry(__func__, ##__VA_ARGS__);                  \
    if (CUresult refusal = entry.refused()) return entry.done(refusal)

// Begins a driver function that can be called without a context.
#define ENTER_ANYWHERE(...)                                           \
    emulation::Entry entry(__func__, ##__VA_ARGS__);                  \
    if (CUresult refusal = entry.refused(false)) return entry.done(refusal)
