// Runs kernels on the host: reads buffers and launches from standard input, writes the buffers to standard output.
//
// Little endian. In:  u32 buffers, each: u64 length, bytes; u32 launches, each: u32 length, name, 6 × u32 grid and block,
// u32 order, u32 arguments, each: u32 kind, u32 buffer, u64 offset or number. Out: the bytes of all buffers.
#include "emulation.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <random>
#include <string>
#include <sys/mman.h>
#include <ucontext.h>

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

struct Fiber {
    ucontext_t context;
    char* stack = nullptr;
    void* fake = nullptr;
    uint3 index;
    enum { Ready, Waiting, Done } state = Done;
    const char* file = nullptr;
    int line = 0;
};

static std::vector<Fiber> fibers;
static ucontext_t scheduler;
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

// Back to the scheduler; `last` when the fiber does not come again.
static void leave(bool last) {
    Fiber& own = fibers[current];
#if !defined(__SANITIZE_ADDRESS__)
    (void)last;
#endif
    ENTER(last ? nullptr : &own.fake, scheduler_bottom, scheduler_size);
    swapcontext(&own.context, &scheduler);
    ENTERED(own.fake, &scheduler_bottom, &scheduler_size);
}

void barrier(const char* file, int line) {
    Fiber& own = fibers[current];
    own.state = Fiber::Waiting;
    own.file = file;
    own.line = line;
    leave(false);
}

static void start() {
    ENTERED(nullptr, &scheduler_bottom, &scheduler_size);
    kernel->call(*kernel, *arguments);
    fibers[current].state = Fiber::Done;
    leave(true);
}

static void resume(size_t thread) {
    current = thread;
    threadIdx = fibers[thread].index;
    ENTER(&scheduler_fake, fibers[thread].stack, STACK);
    swapcontext(&scheduler, &fibers[thread].context);
    ENTERED(scheduler_fake, nullptr, nullptr);
}

// Not by `memset`, since between the variables lies what AddressSanitizer watches.
__attribute__((no_sanitize("address"))) static void spoil_shared() {
    for (volatile unsigned char* at = __start_cuda_shared; at < __stop_cuda_shared; at++) *at = RUBBISH;
}

static void block(const std::vector<size_t>& forward, uint32_t order, std::mt19937& random) {
    spoil_shared();
    const size_t threads = forward.size();
    for (size_t i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        fiber.index = {
            unsigned(i) % blockDim.x, unsigned(i) / blockDim.x % blockDim.y, unsigned(i) / (blockDim.x * blockDim.y)};
        fiber.state = Fiber::Ready;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack;
        fiber.context.uc_stack.ss_size = STACK;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, start, 0);
    }
    std::vector<size_t> turn = forward;
    for (;;) {
        if (order == 1) turn.assign(forward.rbegin(), forward.rend());
        if (order >= 2) std::shuffle(turn.begin(), turn.end(), random);
        for (size_t i : turn) {
            if (fibers[i].state == Fiber::Ready) resume(i);
        }
        size_t waiting = 0;
        const Fiber* first = nullptr;
        for (size_t i = 0; i < threads; i++) {
            if (fibers[i].state != Fiber::Waiting) continue;
            waiting++;
            if (!first) first = &fibers[i];
            if (fibers[i].line != first->line || strcmp(fibers[i].file, first->file) != 0) {
                fail("`%s`: threads of a block wait at two barriers at once, %s:%d and %s:%d", kernel->name, first->file,
                     first->line, fibers[i].file, fibers[i].line);
            }
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
    if (arguments->size() != kernel->parameters) {
        fail("`%s` takes %zu arguments, not %zu", kernel->name, kernel->parameters, arguments->size());
    }
    while (fibers.size() < threads) {
        fibers.emplace_back();
        void* stack = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED) fail("no memory for a thread");
        fibers.back().stack = static_cast<char*>(stack);
    }
    std::vector<size_t> forward(threads);
    for (size_t i = 0; i < threads; i++) forward[i] = i;
    std::mt19937 random(order);
    for (unsigned z = 0; z < gridDim.z; z++) {
        for (unsigned y = 0; y < gridDim.y; y++) {
            for (unsigned x = 0; x < gridDim.x; x++) {
                // Blocks in the same order as threads: none may depend on another.
                const bool back = order == 1;
                blockIdx = {back ? gridDim.x - 1 - x : x, back ? gridDim.y - 1 - y : y, back ? gridDim.z - 1 - z : z};
                block(forward, order, random);
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
