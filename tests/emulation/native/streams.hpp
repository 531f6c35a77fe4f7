// Streams and events (streams.cpp), capture and graphs (graphs.cpp).
//
// Work given to a stream is only queued; it is done when something waits for it (a synchronise, a query, a free, an
// event that another stream waits for). That is the latest moment the driver's contract allows, so a caller that reads
// a result too early, or changes a buffer too soon, sees the wrong numbers every time and not once a week.
#pragma once

#include "device.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <thread>

namespace emulation {

struct Work {
    const char *name;  // "copy", "fill", "kernel", "engine", "event", "wait", "graph"
    uint64_t bytes;
    std::function<CUresult()> run;
};

struct Stream;

struct Capture {
    CUstreamCaptureMode mode;
    std::thread::id thread;
    Stream *origin;
    std::vector<Work> nodes;
    std::map<Stream *, size_t> last;    // per stream: nodes so far when it last got work
    std::map<Stream *, size_t> joined;  // per stream: nodes so far that the origin has waited for
    bool invalid = false;
};

struct Stream {
    bool blocking = true;  // takes part in the default stream's order
    bool destroyed = false;
    std::deque<Work> queue;
    uint64_t queued = 0, finished = 0;  // counts of work
    bool busy = false;
    Capture *capture = nullptr;
};

struct Event {
    Stream *stream = nullptr;
    uint64_t position = 0;  // complete when the stream has finished this much
    Capture *capture = nullptr;
    size_t captured_nodes = 0;
    double time_ms = 0;
    bool destroyed = false;
    bool timed = true;
};

struct Graph {
    std::vector<Work> nodes;
};

std::set<Stream *> &streams();    // all but the default stream
std::set<Capture *> &captures();  // those that run
bool is_default(CUstream stream);
// The stream behind a handle, nullptr for one that does not exist.
Stream *known(CUstream handle);
// Does one piece of work, and keeps its failure.
CUresult do_now(const Work &work);

// Queues work, or writes it into the graph that the stream is capturing.
CUresult give(CUstream stream, Work work);
// Does a stream's work until `position`, or all of it.
CUresult drain(Stream &stream, uint64_t position);
CUresult drain_all(bool only_blocking);
bool is_capturing(CUstream stream);
// Forgets all work that was not done and all captures, between two tests.
void discard();
// CUDA_SUCCESS, or why a call that waits for the device cannot be made while a capture runs.
CUresult unsafe_in_capture();
// The same for the calls that use the default stream.
CUresult default_stream_in_capture();

}  // namespace emulation
