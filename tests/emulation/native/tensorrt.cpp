// Stand-ins for libnvinfer, libnvinfer_plugin and libnvonnxparser, without TensorRT's headers (x86-64 System V only).
//
// The Python bindings talk to TensorRT through virtual methods. Every object made here has the same table of methods:
// method number n calls `handler(object, n, ...)`, one Python function, whatever the class. Which number belongs to
// which method is learnt at run time by calling the method from Python and looking which number arrives (teaching.py),
// because the numbers differ between TensorRT 10 and 11. So nothing of a version's layout is written down.
//
// Built three times, with one of NVINFER, PLUGIN, ONNXPARSER defined: the bindings look for three libraries.
#include <cstddef>
#include <cstdint>
#include <typeinfo>

#define EXPORT extern "C" __attribute__((visibility("default")))

#ifdef NVINFER
namespace {

constexpr int method_count = 200;
constexpr uint64_t mark = 0xED6E7D0FA7B0B1E5;

struct Anything {
    virtual ~Anything() = default;
};

// What the bindings see of a TensorRT object: a method table and, in most classes, a pointer to the part with the
// methods. Both parts are alike here, so it does not matter through which of them a method is called.
struct Object {
    void **methods;
    Object *inner;
    uint64_t mark;
    int64_t id;
};

using Handler = uint64_t (*)(int64_t object, int method, void *result, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                             uint64_t e);
Handler handler = nullptr;

// A method that returns a structure is called with the address for it first and the object second.
uint64_t call(int method, uint64_t first, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
    const auto *object = reinterpret_cast<const Object *>(first);
    if (object->mark == mark) return handler(object->id, method, nullptr, a, b, c, d, e);
    object = reinterpret_cast<const Object *>(a);
    handler(object->id, method, reinterpret_cast<void *>(first), b, c, d, e, 0);
    return first;
}

template <int method>
uint64_t entry(uint64_t first, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e) {
    return call(method, first, a, b, c, d, e);
}

// Two words lie before the methods: an offset, and the type, which pybind11 asks for.
void *table[method_count + 2];

template <int method> void fill() {
    table[2 + method] = reinterpret_cast<void *>(&entry<method>);
    if constexpr (method + 1 < method_count) fill<method + 1>();
}

}  // namespace

EXPORT void emulation_set_handler(Handler function) {
    handler = function;
    table[1] = const_cast<std::type_info *>(&typeid(Anything));
    fill<0>();
}

// Objects are small and are never freed, so that a use after the end is noticed by Python and not by a crash.
EXPORT void *emulation_new_object(int64_t id) {
    auto *inner = new Object{table + 2, nullptr, mark, id};
    inner->inner = inner;
    return new Object{table + 2, inner, mark, id};
}

EXPORT int64_t emulation_object_id(const Object *object) { return object && object->mark == mark ? object->id : -1; }

// The interfaces that Python implements and TensorRT calls. Order of methods: NvInferRuntimeBase.h and NvInfer.h,
// classes ILogger, IVersionedInterface, IProgressMonitor, IProfiler. TensorRT 11 made all of them versioned.
struct Versioned {
    struct Info {
        const char *kind;
        int32_t major, minor;
    };
    virtual int32_t language() const noexcept = 0;
    virtual Info info() const noexcept = 0;
    virtual ~Versioned() = default;
};
#if VERSION >= 110000
using Plain = Versioned;
#else
struct Plain {};
#endif
struct Logger : Plain {
    virtual void log(int32_t severity, const char *message) noexcept = 0;
};
struct ProgressMonitor : Versioned {
    virtual void phase_start(const char *phase, const char *parent, int32_t steps) noexcept = 0;
    virtual bool step_complete(const char *phase, int32_t step) noexcept = 0;
    virtual void phase_finish(const char *phase) noexcept = 0;
};
struct Profiler : Plain {
    virtual void report_layer_time(const char *layer, float ms) noexcept = 0;
};

EXPORT void emulation_log(Logger *to, int32_t severity, const char *message) { to->log(severity, message); }
EXPORT void emulation_phase_start(ProgressMonitor *to, const char *phase, const char *parent, int32_t steps) {
    to->phase_start(phase, parent, steps);
}
EXPORT bool emulation_step_complete(ProgressMonitor *to, const char *phase, int32_t step) {
    return to->step_complete(phase, step);
}
EXPORT void emulation_phase_finish(ProgressMonitor *to, const char *phase) { to->phase_finish(phase); }
EXPORT void emulation_layer_time(Profiler *to, const char *layer, float ms) { to->report_layer_time(layer, ms); }

// What the bindings import. Python answers these too: `creator` makes the object that belongs to `what`.
using Creator = void *(*)(int what, void *argument, void *logger);
static Creator creator = nullptr;
EXPORT void emulation_set_creator(Creator function) { creator = function; }
EXPORT void *emulation_create(int what, void *argument, void *logger) { return creator(what, argument, logger); }

EXPORT void *createInferBuilder_INTERNAL(void *logger, int) { return creator(0, nullptr, logger); }
EXPORT void *createInferRuntime_INTERNAL(void *logger, int) { return creator(1, nullptr, logger); }
EXPORT void *createInferRefitter_INTERNAL(void *engine, void *logger, int) { return creator(2, engine, logger); }
EXPORT void *getBuilderPluginRegistry(int) { return nullptr; }
EXPORT void *getPluginRegistry() { return nullptr; }
EXPORT int getInferLibVersion() { return VERSION; }
#endif

#ifdef PLUGIN
EXPORT bool initLibNvInferPlugins(void *, const char *) { return true; }
#endif

#ifdef ONNXPARSER
EXPORT void *emulation_create(int what, void *argument, void *logger);
EXPORT void *createNvOnnxParser_INTERNAL(void *network, void *logger, int) { return emulation_create(3, network, logger); }
EXPORT void *createNvOnnxParserRefitter_INTERNAL(void *refitter, void *logger, int) {
    return emulation_create(4, refitter, logger);
}
EXPORT int getNvOnnxParserVersion() { return VERSION; }
#endif
