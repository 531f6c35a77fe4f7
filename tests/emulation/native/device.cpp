#include "streams.hpp"

#include <cstring>

namespace emulation {

Device &device() {
    static Device *const one = new Device;  // never destroyed: streams may outlive the statics of other libraries
    return *one;
}

size_t Device::write(const char *name, uint64_t stream, uint64_t bytes, bool captured) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    Record record{};
    std::strncpy(record.name, name, sizeof record.name - 1);
    record.stream = stream;
    record.bytes = bytes;
    record.captured = captured;
    log.push_back(record);
    return log.size() - 1;
}

// "cuMemAlloc_v2" -> "cuMemAlloc"
static std::string plain(std::string name) {
    const size_t end = name.size();
    if (end > 3 && name[end - 3] == '_' && name[end - 2] == 'v') name.resize(end - 3);
    return name;
}

CUresult Device::fault(const char *name) {
    std::lock_guard<std::recursive_mutex> lock(mutex);
    for (size_t i = 0; i < faults.size(); ++i) {
        Fault &planned = faults[i];
        if (planned.name != plain(name)) continue;
        if (planned.skip-- > 0) continue;
        const CUresult result = planned.result;
        if (planned.sticks) stuck = result;
        if (--planned.times <= 0) faults.erase(faults.begin() + i);
        return result;
    }
    return CUDA_SUCCESS;
}

static const Block *find(const Device &d, const void *address, size_t bytes) {
    const uintptr_t start = reinterpret_cast<uintptr_t>(address);
    auto after = d.blocks.upper_bound(start);
    if (after == d.blocks.begin()) return nullptr;
    const auto &[base, block] = *--after;
    return start + bytes <= base + block.bytes ? &block : nullptr;
}

bool Device::holds(const void *address, size_t bytes) const { return find(*this, address, bytes) != nullptr; }

bool Device::is_pinned(const void *address, size_t bytes) const {
    const Block *block = find(*this, address, bytes);
    return block && block->kind == Memory::pinned;
}

Entry::Entry(const char *name, CUstream stream, uint64_t bytes, bool captured)
    : name_(name), line_(device().write(name, reinterpret_cast<uint64_t>(stream), bytes, captured)) {}

CUresult Entry::refused(bool needs_context) {
    Device &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    if (CUresult planned = d.fault(name_)) return planned;
    if (d.stuck) return d.stuck;
    if (!d.initialised) return CUDA_ERROR_NOT_INITIALIZED;
    if (needs_context && !contexts_on_this_thread()) return CUDA_ERROR_INVALID_CONTEXT;
    return CUDA_SUCCESS;
}

CUresult Entry::done(CUresult result) {
    Device &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    if (line_ < d.log.size()) d.log[line_].result = result;  // a test may have emptied the log meanwhile
    return result;
}

}  // namespace emulation

// What the tests control, through ctypes (driver.py).
extern "C" {

using emulation::device;

void emulation_reset() {
    emulation::discard();
    auto &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    d.faults.clear();
    d.attributes.clear();
    d.log.clear();
    if (d.stuck != CUDA_SUCCESS) {
        // They went with the GPU, and whoever made them could not free them any more.
        for (const char *kind : {"module", "graph", "graph exec"}) d.live[kind] = 0;
    }
    d.stuck = CUDA_SUCCESS;
    d.total_bytes = size_t(8) << 30;
    d.name = "Emulated GPU";
}

// As before the first cuInit.
void emulation_restart() {
    emulation_reset();
    device().initialised = false;
}

size_t emulation_log(emulation::Record *out, size_t room) {
    auto &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    for (size_t i = 0; out && i < room && i < d.log.size(); ++i) out[i] = d.log[i];
    return d.log.size();
}

void emulation_clear_log() {
    auto &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    d.log.clear();
}

void emulation_fault(const char *name, int result, int skip, int times, int sticks) {
    auto &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    d.faults.push_back({name, CUresult(result), skip, times, sticks != 0});
}

void emulation_set_memory(size_t total_bytes) { device().total_bytes = total_bytes; }
size_t emulation_used_bytes() { return device().used_bytes; }
void emulation_set_name(const char *name) { device().name = name; }
void emulation_set_attribute(int attribute, int value) { device().attributes[attribute] = value; }

int emulation_live(const char *kind) {
    auto &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    return d.live[kind];
}

int emulation_holds(const void *address, size_t bytes) {
    auto &d = device();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    return d.holds(address, bytes);
}
}
