#include "streams.hpp"

#include <chrono>

namespace emulation {

std::set<Stream *> &streams() {
    static auto *const all = new std::set<Stream *>;
    return *all;
}

std::set<Capture *> &captures() {
    static auto *const running = new std::set<Capture *>;
    return *running;
}

static Stream &default_stream() {
    static auto *const one = new Stream;
    return *one;
}

bool is_default(CUstream s) { return s == nullptr || s == CU_STREAM_LEGACY || s == CU_STREAM_PER_THREAD; }

Stream *known(CUstream handle) {
    if (is_default(handle)) return &default_stream();
    auto *stream = reinterpret_cast<Stream *>(handle);
    return streams().count(stream) ? stream : nullptr;
}

static double now_ms() {
    using namespace std::chrono;
    return duration<double, std::milli>(steady_clock::now().time_since_epoch()).count();
}

CUresult do_now(const Work &work) {
    Device &d = device();
    if (d.stuck) return d.stuck;
    const std::string name = std::string("run:") + work.name;
    const size_t line = d.write(name.c_str(), 0, work.bytes, false);
    CUresult result = d.fault(name.c_str());
    if (!result) result = work.run();
    std::lock_guard<std::recursive_mutex> lock(d.mutex);
    if (line < d.log.size()) d.log[line].result = result;
    if (result) d.stuck = result;  // what fails on the device sticks to the context
    return result;
}

// The mutex is not held while work runs: an engine calls back into Python and needs its lock.
CUresult drain(Stream &stream, uint64_t position) {
    static std::condition_variable_any idle;
    Device &d = device();
    std::unique_lock<std::recursive_mutex> lock(d.mutex);
    while (stream.finished < position) {
        if (stream.busy) {
            idle.wait(lock);
            continue;
        }
        Work work = std::move(stream.queue.front());
        stream.queue.pop_front();
        stream.busy = true;
        lock.unlock();
        do_now(work);
        lock.lock();
        stream.busy = false;
        ++stream.finished;
        idle.notify_all();
    }
    return d.stuck;
}

CUresult drain_all(bool only_blocking) {
    for (Stream *stream : std::set<Stream *>(streams())) {
        if (only_blocking && !stream->blocking) continue;
        if (CUresult result = drain(*stream, stream->queued)) return result;
    }
    return drain(default_stream(), default_stream().queued);
}

void discard() {
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    auto all = streams();
    all.insert(&default_stream());
    for (Stream *stream : all) {
        stream->queue.clear();
        stream->finished = stream->queued;
        stream->capture = nullptr;
    }
    captures().clear();
}

bool is_capturing(CUstream handle) {
    Stream *stream = known(handle);
    return stream && stream->capture;
}

CUresult unsafe_in_capture() {
    for (Capture *capture : captures()) {
        const bool mine = capture->thread == std::this_thread::get_id();
        if (capture->mode == CU_STREAM_CAPTURE_MODE_RELAXED && mine) continue;
        if (capture->mode == CU_STREAM_CAPTURE_MODE_GLOBAL || mine) {
            capture->invalid = true;
            return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
        }
    }
    return CUDA_SUCCESS;
}

CUresult default_stream_in_capture() {
    for (Capture *capture : captures()) {
        if (!capture->origin->blocking) continue;
        capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    }
    return CUDA_SUCCESS;
}

CUresult give(CUstream handle, Work work) {
    std::unique_lock<std::recursive_mutex> lock(device().mutex);
    Stream *stream = known(handle);
    if (!stream) return CUDA_ERROR_INVALID_HANDLE;
    if (Capture *capture = stream->capture) {
        if (capture->invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
        capture->nodes.push_back(std::move(work));
        capture->last[stream] = capture->nodes.size();
        return CUDA_SUCCESS;
    }
    if (is_default(handle)) {
        if (CUresult refusal = default_stream_in_capture()) return refusal;
        lock.unlock();
        if (CUresult result = drain_all(true)) return result;
        lock.lock();
    }
    stream->queue.push_back(std::move(work));
    ++stream->queued;
    return CUDA_SUCCESS;
}

}  // namespace emulation

using namespace emulation;

extern "C" {

// streams

CUresult cuStreamCreateWithPriority(CUstream *out, unsigned flags, int) {
    ENTER();
    auto *stream = new Stream;
    stream->blocking = !(flags & CU_STREAM_NON_BLOCKING);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    streams().insert(stream);
    ++device().live["stream"];
    *out = reinterpret_cast<CUstream>(stream);
    return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream *out, unsigned flags) { return cuStreamCreateWithPriority(out, flags, 0); }

CUresult cuStreamDestroy(CUstream handle) {
    Entry entry(__func__, handle);
    Stream *stream = known(handle);
    if (!stream || is_default(handle)) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    if (!device().stuck) drain(*stream, stream->queued);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    streams().erase(stream);  // kept in memory: events may still name it
    --device().live["stream"];
    return CUDA_SUCCESS;
}

CUresult cuStreamSynchronize(CUstream handle) {
    ENTER(handle);
    Stream *stream = known(handle);
    if (!stream) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture) {
        stream->capture->invalid = true;
        return entry.done(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    }
    if (is_default(handle)) return entry.done(drain_all(true));
    return entry.done(drain(*stream, stream->queued));
}

// One piece of work per query, so that polling ends and yet finds the stream busy at first.
CUresult cuStreamQuery(CUstream handle) {
    ENTER(handle);
    Stream *stream = known(handle);
    if (!stream) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    if (stream->capture) return entry.done(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    if (stream->finished == stream->queued) return CUDA_SUCCESS;
    if (CUresult result = drain(*stream, stream->finished + 1)) return entry.done(result);
    return entry.done(CUDA_ERROR_NOT_READY);
}

CUresult cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned) {
    ENTER(handle);
    auto *event = reinterpret_cast<Event *>(event_handle);
    Stream *stream = known(handle);
    if (!stream || event->destroyed) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    std::unique_lock<std::recursive_mutex> lock(device().mutex);
    if (event->capture && captures().count(event->capture)) {  // the stream joins the capture, or rejoins its origin
        Capture *capture = event->capture;
        if (!stream->capture) stream->capture = capture;
        if (stream == capture->origin) capture->joined[event->stream] = event->captured_nodes;
        return CUDA_SUCCESS;
    }
    if (stream->capture) return entry.done(CUDA_ERROR_STREAM_CAPTURE_ISOLATION);
    if (!event->stream) return CUDA_SUCCESS;  // never recorded: complete
    Stream *source = event->stream;
    const uint64_t position = event->position;
    lock.unlock();
    return entry.done(give(handle, {"wait", 0, [source, position] { return drain(*source, position); }}));
}

// events

CUresult cuEventCreate(CUevent *out, unsigned flags) {
    ENTER();
    auto *event = new Event;
    event->timed = !(flags & CU_EVENT_DISABLE_TIMING);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    ++device().live["event"];
    *out = reinterpret_cast<CUevent>(event);
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent handle) {
    Entry entry(__func__);
    auto *event = reinterpret_cast<Event *>(handle);
    if (event->destroyed) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    event->destroyed = true;  // kept in memory: queued work may still write its time
    --device().live["event"];
    return CUDA_SUCCESS;
}

CUresult cuEventRecord(CUevent handle, CUstream stream_handle) {
    ENTER(stream_handle, 0, is_capturing(stream_handle));
    auto *event = reinterpret_cast<Event *>(handle);
    Stream *stream = known(stream_handle);
    if (!stream || event->destroyed) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    event->stream = stream;
    event->capture = stream->capture;
    if (stream->capture) {
        event->captured_nodes = stream->capture->nodes.size();
        return CUDA_SUCCESS;
    }
    const CUresult result = give(stream_handle, {"event", 0, [event] { return event->time_ms = now_ms(), CUDA_SUCCESS; }});
    event->position = stream->queued;
    return entry.done(result);
}

CUresult cuEventSynchronize(CUevent handle) {
    ENTER();
    auto *event = reinterpret_cast<Event *>(handle);
    if (event->destroyed) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    if (event->capture && captures().count(event->capture)) return entry.done(CUDA_ERROR_CAPTURED_EVENT);
    return entry.done(event->stream ? drain(*event->stream, event->position) : CUDA_SUCCESS);
}

CUresult cuEventQuery(CUevent handle) {
    ENTER();
    auto *event = reinterpret_cast<Event *>(handle);
    if (event->destroyed) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    if (event->capture && captures().count(event->capture)) return entry.done(CUDA_ERROR_CAPTURED_EVENT);
    if (!event->stream || event->stream->finished >= event->position) return CUDA_SUCCESS;
    if (CUresult result = drain(*event->stream, event->stream->finished + 1)) return entry.done(result);
    return entry.done(CUDA_ERROR_NOT_READY);
}

CUresult cuEventElapsedTime(float *ms, CUevent from, CUevent to) {
    ENTER();
    auto *a = reinterpret_cast<Event *>(from), *b = reinterpret_cast<Event *>(to);
    for (Event *event : {a, b}) {
        if (event->destroyed || !event->timed || !event->stream) return entry.done(CUDA_ERROR_INVALID_HANDLE);
        if (event->stream->finished < event->position) return entry.done(CUDA_ERROR_NOT_READY);
    }
    *ms = float(b->time_ms - a->time_ms);
    return CUDA_SUCCESS;
}

// What the emulated TensorRT queues: `run(argument)` is called when the stream gets there.
int emulation_give_engine(CUstream stream, int (*run)(uint64_t), uint64_t argument) {
    return give(stream, {"engine", 0, [run, argument] { return CUresult(run(argument)); }});
}

int emulation_is_capturing(CUstream stream) { return is_capturing(stream); }
}
