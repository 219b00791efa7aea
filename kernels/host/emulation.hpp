// CUDA on the host, as far as the kernels use it: every thread of a block is a fiber, and blocks run one after the other.
//
// - Between two barriers the threads run in an order that is chosen from outside (forward, reversed, shuffled), each until it
//   reaches the barrier or returns. A result that depends on the order lacks a barrier.
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
#define __launch_bounds__(...)
#define __restrict__ __restrict

struct uint3 {
    unsigned x, y, z;
};
typedef uint3 dim3;

extern uint3 threadIdx, blockIdx, blockDim, gridDim;

inline unsigned min(unsigned a, unsigned b) { return a < b ? a : b; }
inline unsigned max(unsigned a, unsigned b) { return a > b ? a : b; }
inline int min(int a, int b) { return a < b ? a : b; }
inline int max(int a, int b) { return a > b ? a : b; }

// Threads change places only at barriers, so that nothing comes between.
template <typename T>
T atomicAdd(T* at, T value) {
    const T before = *at;
    *at = before + value;
    return before;
}

template <typename T>
T atomicMin(T* at, T value) {
    const T before = *at;
    if (value < before) *at = value;
    return before;
}

template <typename T>
T atomicMax(T* at, T value) {
    const T before = *at;
    if (value > before) *at = value;
    return before;
}

namespace emulation {

// The thread stops here until all threads of its block have come.
void barrier(const char* file, int line);

// An argument as it comes from outside.
struct Argument {
    enum Kind : uint32_t { Buffer = 0, Whole = 1, Real = 2 } kind;
    uint64_t bits;
};

// Ends the program with a sentence.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

template <typename T>
T take(const char* kernel, size_t index, const Argument& argument) {
    constexpr Argument::Kind expected = std::is_pointer_v<T> ? Argument::Buffer
        : std::is_floating_point_v<T>                        ? Argument::Real
                                                             : Argument::Whole;
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
    size_t parameters;
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
    kernels().push_back({name, Add<A...>::call, reinterpret_cast<void (*)()>(function), sizeof...(A)});
    return true;
}

}  // namespace emulation

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    emulation::barrier(file, line);
}

// One line for each kernel of a file, after the file.
#define KERNEL(name) static const bool name##_is_there = emulation::add(#name, name);
