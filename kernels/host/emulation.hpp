// CUDA on the host, as far as the kernels use it: every thread of a block is a fiber, and blocks run one after the other.
//
// - Between two barriers the threads run in an order that is chosen from outside (forward, reversed, shuffled), each until it
//   reaches the barrier, meets its warp or returns; forward and reversed, one warp runs ahead of the others as far as it can.
//   A result that depends on the order lacks a barrier.
// - A barrier that some threads of the block do not reach, or two barriers at once, end the program with a sentence.
// - Shared memory holds rubbish at the start of every block. It and all buffers are watched by AddressSanitizer, where that
//   is compiled in.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <tuple>
#include <utility>
#include <vector>

// Functions of one file, so that their static variables may share a section.
#define __device__ static
#define __global__ __attribute__((visibility("default")))
#define __shared__ static __attribute__((section("cuda_shared")))
#define __align__(bytes) __attribute__((aligned(bytes)))

struct uint3 {
    unsigned x, y, z;
};
typedef uint3 dim3;

inline float __uint_as_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

inline uint32_t __float_as_uint(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

extern uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {

// The thread stops here until all threads of its block have come.
void barrier(const char* file, int line);

// Others may come first.
void pause();

// What a thread shows the others of its warp.
struct Shown {
    uint32_t words[6];
    const void* pointer;
};

// The thread stops until all 32 of its warp have come; returns what each has shown.
const Shown* exchange(const Shown& own, const char* file, int line);

// Asynchronous copies of one thread. They arrive when they are waited for, at once, or in between, as the order says: a
// kernel may rely on neither.
void copy_async(void* to, const void* from, bool there);
void commit_async();
void wait_async(int pending);

// An argument as it comes from outside.
struct Argument {
    enum Kind : uint32_t { Buffer = 0, Whole = 1, Real = 2 } kind;
    uint64_t bits;
};

// Ends the program with a sentence.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

template <typename T>
constexpr Argument::Kind kind_of = std::is_pointer_v<T> ? Argument::Buffer
    : std::is_floating_point_v<T>                       ? Argument::Real
                                                        : Argument::Whole;

template <typename T>
T take(const char* kernel, size_t index, const Argument& argument) {
    constexpr Argument::Kind expected = kind_of<T>;
    if (argument.kind != expected) fail("argument %zu of `%s` is of another kind than its parameter", index, kernel);
    if constexpr (std::is_pointer_v<T>) {
        if (argument.bits % alignof(std::remove_pointer_t<T>) != 0) {
            fail("argument %zu of `%s` does not lie where its type may", index, kernel);
        }
        return reinterpret_cast<T>(argument.bits);
    } else if constexpr (std::is_floating_point_v<T>) {
        static_assert(sizeof(T) == 4, "kernels take floats");
        T value;
        memcpy(&value, &argument.bits, sizeof value);
        return value;
    } else {
        static_assert(sizeof(T) == 4, "kernels take whole numbers of 32 bits");
        return static_cast<T>(argument.bits);
    }
}

// A kernel that can be called by name.
struct Kernel {
    const char* name;
    void (*call)(const Kernel&, const std::vector<Argument>&);
    void (*function)();
    std::vector<Argument::Kind> kinds;
};

std::vector<Kernel>& kernels();

template <typename... A, size_t... I>
void apply(void (*function)(A...), const Kernel& kernel, const std::vector<Argument>& given, std::index_sequence<I...>) {
    function(take<A>(kernel.name, I, given[I])...);
}

template <typename... A>
struct Add {
    static void call(const Kernel& kernel, const std::vector<Argument>& given) {
        apply(reinterpret_cast<void (*)(A...)>(kernel.function), kernel, given, std::index_sequence_for<A...>());
    }
};

template <typename... A>
bool add(const char* name, void (*function)(A...)) {
    kernels().push_back({name, Add<A...>::call, reinterpret_cast<void (*)()>(function), {kind_of<A>...}});
    return true;
}

}  // namespace emulation

// Threads change places at barriers, and in shuffled order before an atomic operation too; never inside of one.
template <typename T>
T atomicAdd(T* at, T value) {
    emulation::pause();
    const T before = *at;
    *at = before + value;
    return before;
}

template <typename T>
T atomicMin(T* at, T value) {
    emulation::pause();
    const T before = *at;
    if (value < before) *at = value;
    return before;
}

template <typename T>
T atomicMax(T* at, T value) {
    emulation::pause();
    const T before = *at;
    if (value > before) *at = value;
    return before;
}

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulation::barrier(file, line);
}

inline uint16_t to_half(float x) {
    const _Float16 value = (_Float16)x;
    uint16_t half;
    memcpy(&half, &value, sizeof half);
    return half;
}

// Without `_Float16`, for which processors that do not have it call a function.
inline float from_half(uint16_t half) {
    const bool finite = (half & 0x7c00) != 0x7c00;
    const uint32_t bits = (half & 0x7fffu) << 13;
    // The exponent of a half begins 112 lower than that of a float; times a power of two, halves that are denormal come out right.
    const float size = finite ? __uint_as_float(bits) * 0x1p112f : __uint_as_float(bits | 0x7f800000u);
    return half & 0x8000 ? -size : size;
}

inline void load_chunk(uint16_t (&halves)[8], const uint16_t* from) {
    if (reinterpret_cast<uint64_t>(from) % 16 != 0) emulation::fail("eight halves are read from no multiple of 16 bytes");
    memcpy(halves, from, 16);
}

inline void store_chunk(uint16_t* to, const uint16_t (&halves)[8]) {
    if (reinterpret_cast<uint64_t>(to) % 16 != 0) emulation::fail("eight halves are written to no multiple of 16 bytes");
    memcpy(to, halves, 16);
}

inline void load_chunk(uint16_t (&codes)[8], const uint8_t* from) {
    if (reinterpret_cast<uint64_t>(from) % 8 != 0) emulation::fail("eight codes are read from no multiple of 8 bytes");
    for (int i = 0; i < 8; i++) codes[i] = from[i];
}

inline void store_chunk(uint8_t* to, const uint16_t (&codes)[8]) {
    if (reinterpret_cast<uint64_t>(to) % 8 != 0) emulation::fail("eight codes are written to no multiple of 8 bytes");
    for (int i = 0; i < 8; i++) {
        if (codes[i] > 255) emulation::fail("%d is no code", codes[i]);
        to[i] = uint8_t(codes[i]);
    }
}

template <typename Number>
inline void store_pair(Number* to, Number first, Number second) {
    if (reinterpret_cast<uint64_t>(to) % 8 != 0) emulation::fail("two numbers are written to no multiple of 8 bytes");
    to[0] = first;
    to[1] = second;
}

inline void copy_async(void* to, const void* from, bool there) { emulation::copy_async(to, from, there); }
inline void commit_async() { emulation::commit_async(); }
template <int PENDING>
inline void wait_async() {
    emulation::wait_async(PENDING);
}

// What the lane has whose number differs in the bits of `mask`.
inline uint32_t shuffle(
    uint32_t word, unsigned mask, const char* file = __builtin_FILE(), int line = __builtin_LINE()
) {
    return emulation::exchange({{word}, nullptr}, file, line)[(threadIdx.x % 32) ^ mask].words[0];
}

// Row `lane / 4` of each matrix, halves 2·(lane % 4) and the next.
inline void load_fragments(
    uint32_t (&matrices)[4], const uint16_t* row, const char* file = __builtin_FILE(), int line = __builtin_LINE()
) {
    if (reinterpret_cast<uint64_t>(row) % 16 != 0) emulation::fail("a row of a fragment does not lie at 16 bytes");
    const unsigned lane = threadIdx.x % 32;
    const emulation::Shown* all = emulation::exchange({{}, row}, file, line);
    for (unsigned i = 0; i < 4; i++) {
        memcpy(&matrices[i], static_cast<const uint16_t*>(all[i * 8 + lane / 4].pointer) + lane % 4 * 2, 4);
    }
}

// Fragments of m16n8k16: lane 4·g + t has of a rows g and g + 8, halves 2t and 2t + 8 and the next ones; of b column g; of
// the sums rows g and g + 8, columns 2t and the next.
inline void multiply(
    float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) {
    const unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const emulation::Shown* all = emulation::exchange({{a[0], a[1], a[2], a[3], b0, b1}, nullptr}, file, line);
    float rows[2][16], columns[2][16];
    for (unsigned k = 0; k < 16; k++) {
        for (unsigned i = 0; i < 2; i++) {
            const uint32_t of_a = all[g * 4 + k % 8 / 2].words[k / 8 * 2 + i];
            const uint32_t of_b = all[(2 * t + i) * 4 + k % 8 / 2].words[4 + k / 8];
            rows[i][k] = from_half(uint16_t(of_a >> (k % 2 * 16)));
            columns[i][k] = from_half(uint16_t(of_b >> (k % 2 * 16)));
        }
    }
    for (unsigned e = 0; e < 4; e++) {
        for (unsigned k = 0; k < 16; k++) sums[e] += rows[e / 2][k] * columns[e % 2][k];
    }
}

// Fragments of m16n8k32: as above with two bytes for each half, so that lane 4·g + t has of a bytes 4t and 4t + 16 and the
// three after each.
inline void multiply(
    int (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, const char* file = __builtin_FILE(),
    int line = __builtin_LINE()
) {
    const unsigned lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const emulation::Shown* all = emulation::exchange({{a[0], a[1], a[2], a[3], b0, b1}, nullptr}, file, line);
    uint8_t rows[2][32];
    int8_t columns[2][32];
    for (unsigned i = 0; i < 2; i++) {
        for (unsigned word = 0; word < 8; word++) {
            memcpy(&rows[i][4 * word], &all[g * 4 + word % 4].words[word / 4 * 2 + i], 4);
            memcpy(&columns[i][4 * word], &all[(2 * t + i) * 4 + word % 4].words[4 + word / 4], 4);
        }
    }
    for (unsigned e = 0; e < 4; e++) {
        for (unsigned k = 0; k < 32; k++) sums[e] += rows[e / 2][k] * columns[e % 2][k];
    }
}

// One line for each kernel of a file, after the file.
#define KERNEL(name) static const bool name##_is_there = emulation::add(#name, name);
