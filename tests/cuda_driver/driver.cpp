// A CUDA driver without a device: as much of `libcuda` as the program calls, over the emulation of `kernels/host`.
//
// What is enqueued runs as late as it may: when somebody waits for its stream. Then whoever reads too early, gives memory
// back too soon or forgets a copy is seen. What a driver refuses is refused here too: while a graph is recorded, copies from
// and to memory that is not page-locked, and waiting.
#define main emulation_main
#include "run.cpp"
#undef main

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace {

enum { SUCCESS = 0, INVALID_VALUE = 1, NO_DEVICE = 100, INVALID_DEVICE = 101, INVALID_HANDLE = 400, NOT_FOUND = 500,
       NOT_SUPPORTED = 801, CAPTURE_UNSUPPORTED = 900 };

struct Work {
    std::function<void()> run;
    // The host's memory that it reads or writes.
    uint64_t host = 0;
    bool is_kernel = false, early = false;
};

struct Stream {
    std::vector<Work> waiting, recorded;
    bool records = false;
};
struct Graph {
    std::vector<Work> works;
};
struct Event {
    double milliseconds = 0;
    Stream* stream = nullptr;
};
// As `CUlaunchAttribute` and `CUlaunchConfig` lie in memory.
enum { EARLY = 6 };
struct LaunchAttribute {
    int id, padding;
    int value;
    char rest[60];
};
struct LaunchConfig {
    dim3 grid, block;
    unsigned shared;
    Stream* stream;
    const LaunchAttribute* attributes;
    unsigned attributes_count;
};
// As `CUgraphEdgeData`.
struct EdgeData {
    unsigned char from_port, to_port, type, reserved[5];
};
struct Module {
    std::set<std::string> names;
};

// One at a time: the emulation has one of everything.
std::recursive_mutex lock;
std::map<uint64_t, size_t> device_memory, page_locked;
std::set<Stream*> streams;
thread_local void* current_context = nullptr;
int context;

using Guard = std::lock_guard<std::recursive_mutex>;

bool lies_in(const std::map<uint64_t, size_t>& all, uint64_t at, size_t bytes) {
    auto next = all.upper_bound(at);
    if (next == all.begin()) return false;
    --next;
    return at + bytes <= next->first + next->second;
}

std::vector<Work>& list_of(Stream* stream) { return stream->records ? stream->recorded : stream->waiting; }

void add(Stream* stream, std::function<void()> run, const void* host = nullptr, bool is_kernel = false) {
    list_of(stream).push_back({std::move(run), reinterpret_cast<uint64_t>(host), is_kernel});
}

void finish(Stream* stream) {
    std::vector<Work> works;
    works.swap(stream->waiting);
    for (Work& work : works) work.run();
}

// A driver refuses most calls of a thread that has no context, and tells it to whoever calls next.
void bound(const char* what) {
    if (!current_context) fail("%s without a context", what);
}

int copy(Stream* stream, void* host, uint64_t device, size_t bytes, bool up) {
    bound("a copy");
    Guard guard(lock);
    if (!lies_in(device_memory, device, bytes)) fail("a copy of %zu bytes beyond device memory", bytes);
    void* on_device = reinterpret_cast<void*>(device);
    const bool locked = lies_in(page_locked, reinterpret_cast<uint64_t>(host), bytes);
    if (!locked && stream->records) return CAPTURE_UNSUPPORTED;
    if (!locked && up) {
        // The driver has read it when the call returns.
        auto kept = std::make_shared<std::vector<char>>(static_cast<char*>(host), static_cast<char*>(host) + bytes);
        add(stream, [=] { memcpy(on_device, kept->data(), bytes); });
        return SUCCESS;
    }
    add(stream, [=] { up ? memcpy(on_device, host, bytes) : memcpy(host, on_device, bytes); }, host);
    if (!locked) finish(stream);
    return SUCCESS;
}

// For those who watch whether memory is given while frames run.
void tell_memory(size_t bytes) {
    if (getenv("EMULATED_TELLS")) fprintf(stderr, "emulated: memory is given, %zu bytes\n", bytes);
}

int allocate(uint64_t* at, size_t bytes) {
    bound("memory is given");
    tell_memory(bytes);
    Guard guard(lock);
    void* memory = aligned_alloc(512, (bytes + 511) / 512 * 512);
    memset(memory, RUBBISH, bytes);
    *at = reinterpret_cast<uint64_t>(memory);
    device_memory[*at] = bytes;
    return SUCCESS;
}

int give_back(uint64_t at) {
    Guard guard(lock);
    if (device_memory.erase(at) == 0) fail("device memory is given back that was never given");
    free(reinterpret_cast<void*>(at));
    return SUCCESS;
}

double now() {
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return SUCCESS; }
int cuDriverGetVersion(int* version) { *version = 12040; return SUCCESS; }
int cuDeviceGetCount(int* count) { *count = 1; return SUCCESS; }
int cuDeviceGet(int* device, int ordinal) { *device = ordinal; return ordinal == 0 ? SUCCESS : INVALID_DEVICE; }
int cuDeviceGetName(char* name, int length, int) { snprintf(name, length, "emulated"); return SUCCESS; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    switch (attribute) {
        case 16: *value = 4; break;    // multiprocessors
        case 75: *value = 9; break;    // compute capability
        case 76: *value = 0; break;
        case 115: *value = 1; break;   // memory pools
        default: fail("attribute %d of a device", attribute);
    }
    return SUCCESS;
}
int cuDevicePrimaryCtxRetain(void** made, int) { *made = &context; return SUCCESS; }
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
int cuCtxGetCurrent(void** found) { *found = current_context; return SUCCESS; }
int cuCtxSetCurrent(void* made) { current_context = made; return SUCCESS; }
int cuCtxSynchronize() {
    Guard guard(lock);
    for (Stream* stream : streams) finish(stream);
    return SUCCESS;
}

int cuStreamCreateWithPriority(Stream** made, unsigned, int) {
    Guard guard(lock);
    bound("a stream is made");
    streams.insert(*made = new Stream);
    return SUCCESS;
}
int cuStreamCreate(Stream** made, unsigned flags) { return cuStreamCreateWithPriority(made, flags, 0); }
int cuStreamSynchronize(Stream* stream) {
    bound("a stream is waited for");
    Guard guard(lock);
    if (stream->records) return CAPTURE_UNSUPPORTED;
    finish(stream);
    return SUCCESS;
}
int cuStreamDestroy_v2(Stream* stream) {
    bound("a stream is given back");
    Guard guard(lock);
    finish(stream);
    streams.erase(stream);
    delete stream;
    return SUCCESS;
}

int cuMemAlloc_v2(uint64_t* at, size_t bytes) { return allocate(at, bytes); }
int cuMemAllocAsync(uint64_t* at, size_t bytes, Stream*) { return allocate(at, bytes); }
int cuMemFree_v2(uint64_t at) { bound("memory is given back"); return give_back(at); }
int cuMemFreeAsync(uint64_t at, Stream* stream) {
    bound("memory is given back");
    Guard guard(lock);
    add(stream, [=] { give_back(at); });
    return SUCCESS;
}
int cuMemsetD8Async(uint64_t at, unsigned char value, size_t bytes, Stream* stream) {
    bound("memory is set");
    Guard guard(lock);
    if (!lies_in(device_memory, at, bytes)) fail("%zu bytes are set beyond device memory", bytes);
    add(stream, [=] { memset(reinterpret_cast<void*>(at), value, bytes); });
    return SUCCESS;
}
int cuMemHostAlloc(void** at, size_t bytes, unsigned) {
    Guard guard(lock);
    bound("memory is page-locked");
    tell_memory(bytes);
    *at = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    memset(*at, RUBBISH, bytes);
    page_locked[reinterpret_cast<uint64_t>(*at)] = bytes;
    return SUCCESS;
}
int cuMemFreeHost(void* at) {
    bound("page-locked memory is given back");
    Guard guard(lock);
    for (Stream* stream : streams) {
        for (const Work& work : stream->waiting) {
            const bool own = work.host && page_locked.upper_bound(work.host) == page_locked.upper_bound(reinterpret_cast<uint64_t>(at));
            if (own) fail("page-locked memory is given back while a copy waits");
        }
    }
    if (page_locked.erase(reinterpret_cast<uint64_t>(at)) == 0) fail("memory is unlocked that was never locked");
    free(at);
    return SUCCESS;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, Stream* stream) {
    return copy(stream, const_cast<void*>(from), to, bytes, true);
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, Stream* stream) {
    return copy(stream, to, from, bytes, false);
}

int cuModuleLoadData(Module** made, const void* image) {
    bound("kernels are loaded");
    const std::string text = static_cast<const char*>(image);
    if (text.find(".version") == std::string::npos || getenv("EMULATED_OBJECTION")) return INVALID_VALUE;
    *made = new Module;
    const std::string entry = ".entry ";
    for (size_t at = text.find(entry); at != std::string::npos; at = text.find(entry, at + 1)) {
        const size_t start = at + entry.size();
        (*made)->names.insert(text.substr(start, text.find('(', start) - start));
    }
    return SUCCESS;
}
int cuModuleLoadDataEx(Module** made, const void* image, unsigned count, const int* options, void** values) {
    const int error = cuModuleLoadData(made, image);
    const char* objection = getenv("EMULATED_OBJECTION");
    if (error == SUCCESS || !objection) return error;
    // The buffer for errors, and its size, which becomes that of what is said.
    if (count != 2 || options[0] != 5 || options[1] != 6) fail("options of loading");
    const size_t size = std::min(strlen(objection), reinterpret_cast<size_t>(values[1]));
    memcpy(values[0], objection, size);
    values[1] = reinterpret_cast<void*>(size);
    return error;
}
int cuModuleUnload(Module* module) { delete module; return SUCCESS; }
int cuModuleGetFunction(const Kernel** found, Module* module, const char* name) {
    bound("a kernel is found");
    for (const Kernel& known : kernels()) {
        if (known.name == std::string(name) && module->names.count(name)) {
            *found = &known;
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}
int cuFuncGetAttribute(int* value, int, const Kernel*) { *value = 32; return SUCCESS; }
int cuLaunchKernelEx(const LaunchConfig* config, const Kernel* function, void** parameters, void**) {
    bound("a kernel is launched");
    Guard guard(lock);
    Stream* stream = config->stream;
    std::vector<Work>& before = list_of(stream);
    bool early = false;
    for (unsigned i = 0; i < config->attributes_count; i++) {
        const LaunchAttribute& attribute = config->attributes[i];
        if (attribute.id != EARLY) fail("attribute %d of a launch", attribute.id);
        early |= attribute.value != 0;
    }
    // Nobody could wait for it in a kernel.
    if (early && (before.empty() || !before.back().is_kernel)) fail("`%s` starts early behind a copy", function->name);
    const char* mood = getenv("EMULATED_EARLY_START");
    if (early && mood && mood == std::string("refused")) return NOT_SUPPORTED;
    std::vector<Argument> given;
    for (size_t i = 0; i < function->kinds.size(); i++) {
        const Argument::Kind kind = function->kinds[i];
        Argument argument = {kind, 0};
        memcpy(&argument.bits, parameters[i], kind == Argument::Buffer ? 8 : 4);
        if (kind == Argument::Buffer && !lies_in(device_memory, argument.bits, 0)) {
            fail("`%s`: argument %zu is no device memory", function->name, i);
        }
        given.push_back(argument);
    }
    const LaunchConfig sizes = *config;
    add(stream, [=] {
        gridDim = sizes.grid, blockDim = sizes.block;
        kernel = function;
        arguments = &given;
        run(0);
    }, nullptr, true);
    before.back().early = early;
    // A device on which kernels do not wait for each other.
    if (early && mood && mood == std::string("unsound")) std::swap(before.back(), before[before.size() - 2]);
    return SUCCESS;
}

int cuStreamBeginCapture_v2(Stream* stream, int) {
    bound("a graph is recorded");
    Guard guard(lock);
    if (stream->records) return CAPTURE_UNSUPPORTED;
    stream->records = true;
    return SUCCESS;
}
int cuStreamEndCapture(Stream* stream, Graph** made) {
    bound("a graph is recorded");
    Guard guard(lock);
    stream->records = false;
    *made = new Graph{std::move(stream->recorded)};
    stream->recorded.clear();
    return SUCCESS;
}
int cuGraphInstantiateWithFlags(Graph** made, const Graph* graph, unsigned long long) {
    bound("a graph is made");
    *made = new Graph(*graph);
    return SUCCESS;
}
// Works of a graph come one after the other.
int cuGraphGetEdges_v2(const Graph* graph, const Work** from, const Work** to, EdgeData* edges, size_t* count) {
    if (!from) {
        *count = graph->works.empty() ? 0 : graph->works.size() - 1;
        return SUCCESS;
    }
    for (size_t i = 0; i < *count; i++) {
        const bool early = graph->works[i + 1].early;
        from[i] = &graph->works[i], to[i] = &graph->works[i + 1], edges[i] = {early, 0, early, {}};
    }
    return SUCCESS;
}
int cuGraphUpload(Graph*, Stream*) { bound("a graph is uploaded"); return SUCCESS; }
int cuGraphLaunch(const Graph* graph, Stream* stream) {
    bound("a graph is launched");
    Guard guard(lock);
    stream->waiting.insert(stream->waiting.end(), graph->works.begin(), graph->works.end());
    return SUCCESS;
}
int cuGraphDestroy(Graph* graph) { delete graph; return SUCCESS; }
int cuGraphExecDestroy(Graph* graph) { bound("a graph is given back"); delete graph; return SUCCESS; }

int cuEventCreate(Event** made, unsigned) { *made = new Event; return SUCCESS; }
int cuEventRecord(Event* event, Stream* stream) {
    bound("an event");
    Guard guard(lock);
    event->stream = stream;
    add(stream, [=] { event->milliseconds = now(); });
    return SUCCESS;
}
int cuEventSynchronize(Event* event) { return event->stream ? cuStreamSynchronize(event->stream) : SUCCESS; }
int cuEventElapsedTime_v2(float* milliseconds, const Event* from, const Event* to) {
    *milliseconds = float(to->milliseconds - from->milliseconds);
    return SUCCESS;
}
int cuEventElapsedTime(float* milliseconds, const Event* from, const Event* to) {
    return cuEventElapsedTime_v2(milliseconds, from, to);
}
int cuEventDestroy_v2(Event* event) {
    if (event->stream) cuStreamSynchronize(event->stream);
    delete event;
    return SUCCESS;
}

int cuGetErrorName(int, const char** text) { *text = "ERROR"; return SUCCESS; }
int cuGetErrorString(int, const char** text) { *text = "an emulated error"; return SUCCESS; }

}  // extern "C"
