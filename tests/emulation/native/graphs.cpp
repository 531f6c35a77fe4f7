#include "streams.hpp"

using namespace emulation;

extern "C" {

// capture

CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
    ENTER(handle);
    Stream *stream = known(handle);
    if (!stream) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    if (is_default(handle)) return entry.done(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    if (stream->capture) return entry.done(CUDA_ERROR_ILLEGAL_STATE);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    stream->capture = new Capture{mode, std::this_thread::get_id(), stream, {}, {}, {}, false};
    captures().insert(stream->capture);
    return CUDA_SUCCESS;
}

static CUresult flaw(const Capture &capture) {
    if (capture.invalid) return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    if (capture.mode != CU_STREAM_CAPTURE_MODE_RELAXED && capture.thread != std::this_thread::get_id())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    for (const auto &[stream, nodes] : capture.last) {
        if (stream == capture.origin) continue;
        const auto joined = capture.joined.find(stream);
        if (joined == capture.joined.end() || joined->second < nodes) return CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
    }
    return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream handle, CUgraph *out) {
    ENTER(handle);
    Stream *stream = known(handle);
    *out = nullptr;
    if (!stream) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    Capture *capture = stream->capture;
    if (!capture) return entry.done(CUDA_ERROR_ILLEGAL_STATE);
    if (stream != capture->origin) return entry.done(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    const CUresult result = flaw(*capture);
    for (Stream *each : streams())
        if (each->capture == capture) each->capture = nullptr;
    captures().erase(capture);  // kept in memory: events may still name it
    if (result) return entry.done(result);
    *out = reinterpret_cast<CUgraph>(new Graph{capture->nodes});
    ++device().live["graph"];
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status) {
    ENTER(handle);
    Stream *stream = known(handle);
    if (!stream) return entry.done(CUDA_ERROR_INVALID_HANDLE);
    *status = !stream->capture           ? CU_STREAM_CAPTURE_STATUS_NONE
              : stream->capture->invalid ? CU_STREAM_CAPTURE_STATUS_INVALIDATED
                                         : CU_STREAM_CAPTURE_STATUS_ACTIVE;
    return CUDA_SUCCESS;
}

// graphs

CUresult cuGraphInstantiateWithFlags(CUgraphExec *out, CUgraph graph, unsigned long long) {
    ENTER();
    if (CUresult refusal = unsafe_in_capture()) return entry.done(refusal);
    *out = reinterpret_cast<CUgraphExec>(new Graph(*reinterpret_cast<Graph *>(graph)));
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    ++device().live["graph exec"];
    return CUDA_SUCCESS;
}

CUresult cuGraphLaunch(CUgraphExec handle, CUstream stream) {
    ENTER(stream);
    auto *graph = reinterpret_cast<Graph *>(handle);
    return entry.done(give(stream, {"graph", graph->nodes.size(), [graph] {
                                        for (const Work &work : graph->nodes)
                                            if (CUresult result = do_now(work)) return result;
                                        return CUDA_SUCCESS;
                                    }}));
}

CUresult cuGraphUpload(CUgraphExec, CUstream stream) {
    ENTER(stream);
    return CUDA_SUCCESS;
}

CUresult cuGraphGetNodes(CUgraph handle, CUgraphNode *nodes, size_t *count) {
    ENTER();
    if (nodes) return entry.done(CUDA_ERROR_NOT_SUPPORTED);  // only the count is emulated
    *count = reinterpret_cast<Graph *>(handle)->nodes.size();
    return CUDA_SUCCESS;
}

CUresult cuGraphDestroy(CUgraph) {
    Entry entry(__func__);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    --device().live["graph"];
    return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec) {
    Entry entry(__func__);
    std::lock_guard<std::recursive_mutex> lock(device().mutex);
    --device().live["graph exec"];  // kept in memory: a launch may be queued
    return CUDA_SUCCESS;
}
}
