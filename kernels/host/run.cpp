// Runs kernels on the host: reads buffers and launches from standard input, writes the buffers to standard output.
//
// Little endian. In:  u32 buffers, each: u64 length, bytes; u32 launches, each: u32 length, name, 6 × u32 grid and block,
// u32 order, u32 arguments, each: u32 kind, u32 buffer, u64 offset or number. Out: the bytes of all buffers.
#include "emulation.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <random>
#include <string>
#include <sys/mman.h>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define ENTER(save, bottom, size) __sanitizer_start_switch_fiber(save, bottom, size)
#define ENTERED(save, bottom, size) __sanitizer_finish_switch_fiber(save, bottom, size)
#else
#define ENTER(save, bottom, size)
#define ENTERED(save, bottom, size)
#endif

uint3 threadIdx, blockIdx, blockDim, gridDim;

// Around all shared variables; there is always one.
__attribute__((used)) __shared__ unsigned char one_shared_byte;
extern unsigned char __start_cuda_shared[], __stop_cuda_shared[];

namespace emulation {

constexpr size_t STACK = 64 << 10;
constexpr unsigned char RUBBISH = 0xa5;

#if defined(__x86_64__)
// Where a fiber that does not run has its stack; on top of it lies what a function keeps for its caller. `swapcontext`, which
// does the same, asks the system for signals each time.
typedef void* Context;

extern "C" void emulation_switch(Context* from, Context to);
asm(R"(
    .pushsection .text
    .globl emulation_switch
    .hidden emulation_switch
    .type emulation_switch, @function
emulation_switch:
    push %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, (%rdi)
    mov %rsi, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret
    .size emulation_switch, . - emulation_switch
    .popsection
)");

static void go(Context& from, const Context& to) { emulation_switch(&from, to); }

static void prepare(Context& context, char* stack, void (*function)()) {
    // Six registers, where to go, and where that would return to; there the stack lies as a call leaves it.
    void** top = reinterpret_cast<void**>(stack + STACK) - 8;
    top[6] = reinterpret_cast<void*>(function);
    context = top;
}
#else
typedef ucontext_t Context;

static void go(Context& from, const Context& to) { swapcontext(&from, &to); }

static void prepare(Context& context, char* stack, void (*function)()) {
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK;
    context.uc_link = nullptr;
    makecontext(&context, function, 0);
}
#endif

struct Fiber {
    Context context;
    char* stack = nullptr;
    void* fake = nullptr;
    uint3 index;
    enum { Ready, Waiting, AtWarp, Done } state = Done;
    const char* file = nullptr;
    int line = 0;
};

// An asynchronous copy that has not arrived.
struct Copy {
    void* to;
    const void* from;
    bool there;
    unsigned group;
};

// They stay where they are when there are more.
static std::deque<Fiber> fibers;
// Of each thread: its copies, its group, how often it has met its warp.
static std::vector<std::vector<Copy>> copies;
static std::vector<unsigned> groups, meetings;
// Of each warp: what is shown at this meeting and at the one before, which some may still be reading.
static std::vector<Shown> shown;
static uint32_t order_now;
static std::mt19937* chance;
static Context scheduler;
static void* scheduler_fake;
static const void* scheduler_bottom;
static size_t scheduler_size;
static size_t current;
static const Kernel* kernel;
static const std::vector<Argument>* arguments;

void fail(const char* format, ...) {
    va_list list;
    va_start(list, format);
    fputs("emulation: ", stderr);
    vfprintf(stderr, format, list);
    fputs("\n", stderr);
    va_end(list);
    exit(3);
}

std::vector<Kernel>& kernels() {
    static std::vector<Kernel> all;
    return all;
}

// Back to the scheduler.
static void leave() {
    Fiber& own = fibers[current];
    ENTER(&own.fake, scheduler_bottom, scheduler_size);
    go(own.context, scheduler);
    ENTERED(own.fake, &scheduler_bottom, &scheduler_size);
}

void barrier(const char* file, int line) {
    Fiber& own = fibers[current];
    own.state = Fiber::Waiting;
    own.file = file;
    own.line = line;
    leave();
}

void pause() {
    if (order_now > 1 && (*chance)() % 4 == 0) leave();
}

const Shown* exchange(const Shown& own, const char* file, int line) {
    Fiber& fiber = fibers[current];
    Shown* table = &shown[(current / 32 * 2 + meetings[current]++ % 2) * 32];
    table[current % 32] = own;
    fiber.state = Fiber::AtWarp;
    fiber.file = file;
    fiber.line = line;
    leave();
    return table;
}

static void arrive(const Copy& copy) {
    if (copy.there) {
        memcpy(copy.to, copy.from, 16);
    } else {
        memset(copy.to, 0, 16);
    }
}

void copy_async(void* to, const void* from, bool there) {
    if (reinterpret_cast<uint64_t>(to) % 16 != 0 || reinterpret_cast<uint64_t>(from) % 16 != 0) {
        fail("`%s`: an asynchronous copy from or to a place that is no multiple of 16 bytes", kernel->name);
    }
    const Copy copy = {to, from, there, groups[current]};
    if (order_now == 1 || (order_now > 1 && (*chance)() % 2 == 0)) {
        arrive(copy);
    } else {
        copies[current].push_back(copy);
    }
}

void commit_async() { groups[current]++; }

void wait_async(int pending) {
    auto& own = copies[current];
    size_t kept = 0;
    for (const Copy& copy : own) {
        if (int(groups[current] - copy.group) > pending) {
            arrive(copy);
        } else {
            own[kept++] = copy;
        }
    }
    own.resize(kept);
}

// A thread of one block after the other.
static void start() {
    ENTERED(nullptr, &scheduler_bottom, &scheduler_size);
    for (;;) {
        kernel->call(*kernel, *arguments);
        fibers[current].state = Fiber::Done;
        leave();
    }
}

static void resume(size_t thread) {
    current = thread;
    threadIdx = fibers[thread].index;
    ENTER(&scheduler_fake, fibers[thread].stack, STACK);
    go(scheduler, fibers[thread].context);
    ENTERED(scheduler_fake, nullptr, nullptr);
}

// Not by `memset`, since between the variables lies what AddressSanitizer watches.
__attribute__((no_sanitize("address"))) static void spoil_shared() {
    for (volatile unsigned char* at = __start_cuda_shared; at < __stop_cuda_shared; at++) *at = RUBBISH;
}

// The first of those that wait; all of them have to be at the same place.
static const Fiber* together(const Fiber* first, const Fiber* next, const char* mistake) {
    if (!first) return next;
    if (next->line != first->line || (next->file != first->file && strcmp(next->file, first->file) != 0)) {
        fail("`%s`: %s, %s:%d and %s:%d", kernel->name, mistake, first->file, first->line, next->file, next->line);
    }
    return first;
}

// Lets the threads of a warp run until each waits or has returned; those that have met go on. Whether any has run.
static bool advance(size_t warp, size_t threads, uint32_t order, std::mt19937& random) {
    static std::vector<size_t> turn;
    turn.clear();
    for (size_t i = warp; i < std::min(warp + 32, threads); i++) {
        if (fibers[i].state == Fiber::Ready) turn.push_back(i);
    }
    if (turn.empty()) return false;
    if (order == 1) std::reverse(turn.begin(), turn.end());
    if (order > 1) std::shuffle(turn.begin(), turn.end(), random);
    for (size_t i : turn) resume(i);
    size_t come = 0;
    const Fiber* first = nullptr;
    for (size_t i = warp; i < std::min(warp + 32, threads); i++) {
        if (fibers[i].state != Fiber::AtWarp) continue;
        come++;
        first = together(first, &fibers[i], "threads of a warp meet at two places at once");
    }
    // One that has paused may still come.
    for (size_t i : turn) {
        if (fibers[i].state == Fiber::Ready) return true;
    }
    if (come == 0) return true;
    if (come != 32) {
        fail("`%s`: %zu threads of a warp meet at %s:%d, the others never come", kernel->name, come, first->file,
             first->line);
    }
    for (size_t i = warp; i < warp + 32; i++) fibers[i].state = Fiber::Ready;
    return true;
}

static void block(size_t threads, uint32_t order, std::mt19937& random) {
    spoil_shared();
    for (size_t i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        fiber.index = {
            unsigned(i) % blockDim.x, unsigned(i) / blockDim.x % blockDim.y, unsigned(i) / (blockDim.x * blockDim.y)};
        fiber.state = Fiber::Ready;
        copies[i].clear();
        groups[i] = meetings[i] = 0;
    }
    std::vector<size_t> warps;
    for (size_t i = 0; i < threads; i += 32) warps.push_back(i);
    if (order == 1) std::reverse(warps.begin(), warps.end());
    for (;;) {
        // One warp runs ahead of the others as far as barriers let it, or now one and now another.
        for (bool any = true; any;) {
            any = false;
            if (order > 1) std::shuffle(warps.begin(), warps.end(), random);
            for (size_t warp : warps) {
                while (advance(warp, threads, order, random)) {
                    any = true;
                    if (order > 1) break;
                }
            }
        }
        size_t waiting = 0;
        const Fiber* first = nullptr;
        for (size_t i = 0; i < threads; i++) {
            if (fibers[i].state != Fiber::Waiting) continue;
            waiting++;
            first = together(first, &fibers[i], "threads of a block wait at two barriers at once");
        }
        if (waiting == 0) return;
        if (waiting != threads) {
            fail("`%s`: %zu of %zu threads of a block wait at the barrier %s:%d, the others never reach it", kernel->name,
                 waiting, threads, first->file, first->line);
        }
        for (size_t i = 0; i < threads; i++) fibers[i].state = Fiber::Ready;
    }
}

static void run(uint32_t order) {
    const size_t threads = size_t(blockDim.x) * blockDim.y * blockDim.z;
    if (threads == 0 || threads > 1024) fail("`%s`: a block has 1 to 1024 threads, not %zu", kernel->name, threads);
    if (arguments->size() != kernel->kinds.size()) {
        fail("`%s` takes %zu arguments, not %zu", kernel->name, kernel->kinds.size(), arguments->size());
    }
    while (fibers.size() < threads) {
        fibers.emplace_back();
        void* stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED) fail("no memory for a thread");
        fibers.back().stack = static_cast<char*>(stack);
        prepare(fibers.back().context, fibers.back().stack, start);
    }
    copies.resize(fibers.size());
    groups.resize(fibers.size());
    meetings.resize(fibers.size());
    shown.resize((fibers.size() + 31) / 32 * 64);
    std::mt19937 random(order);
    order_now = order;
    chance = &random;
    for (unsigned z = 0; z < gridDim.z; z++) {
        for (unsigned y = 0; y < gridDim.y; y++) {
            for (unsigned x = 0; x < gridDim.x; x++) {
                // Blocks in the same order as threads: none may depend on another.
                const bool back = order == 1;
                blockIdx = {back ? gridDim.x - 1 - x : x, back ? gridDim.y - 1 - y : y, back ? gridDim.z - 1 - z : z};
                block(threads, order, random);
            }
        }
    }
}

}  // namespace emulation

using namespace emulation;

template <typename T>
static T read() {
    T value;
    if (fread(&value, sizeof value, 1, stdin) != 1) fail("the input ends early");
    return value;
}

static uint3 read3() {
    uint3 value;
    value.x = read<uint32_t>();
    value.y = read<uint32_t>();
    value.z = read<uint32_t>();
    return value;
}

int main() {
    std::vector<std::pair<unsigned char*, size_t>> buffers(read<uint32_t>());
    for (auto& [bytes, length] : buffers) {
        length = read<uint64_t>();
        // Each from `malloc`, so that AddressSanitizer sees where it ends.
        bytes = static_cast<unsigned char*>(malloc(length));
        if (length != 0 && fread(bytes, length, 1, stdin) != 1) fail("the input ends early");
    }
    for (uint32_t launches = read<uint32_t>(); launches > 0; launches--) {
        std::string name(read<uint32_t>(), 0);
        if (fread(name.data(), name.size(), 1, stdin) != 1) fail("the input ends early");
        gridDim = read3();
        blockDim = read3();
        const uint32_t order = read<uint32_t>();
        std::vector<Argument> given(read<uint32_t>());
        for (auto& argument : given) {
            argument.kind = static_cast<Argument::Kind>(read<uint32_t>());
            const uint32_t buffer = read<uint32_t>();
            argument.bits = read<uint64_t>();
            if (argument.kind == Argument::Buffer) argument.bits += reinterpret_cast<uint64_t>(buffers.at(buffer).first);
        }
        arguments = &given;
        kernel = nullptr;
        for (const Kernel& known : kernels()) {
            if (name == known.name) kernel = &known;
        }
        if (!kernel) fail("there is no kernel `%s`", name.c_str());
        run(order);
    }
    for (const auto& [bytes, length] : buffers) fwrite(bytes, 1, length, stdout);
    return 0;
}
