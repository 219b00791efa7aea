// Tiles for tensor cores: halves, copies that run beside the computation, fragments and their product.
//
// All threads of a warp call `shuffle`, `load_fragments` and `multiply` together. On compute capability 7.5 copies are
// plain and a product is several smaller ones. On the host `host/emulation.hpp` does the same with the fragments'
// layout as the PTX manual gives it ("Matrix Fragments for mma.m16n8k16", "for mma.m16n8k32", "ldmatrix").
#pragma once
#include "common.cuh"

typedef unsigned short u16;

// 16 bytes, which are copied at once.
constexpr u32 CHUNK_BYTES = 16;

#ifdef __CUDACC__

__device__ inline u16 to_half(float x) {
    u16 h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}

__device__ inline float from_half(u16 h) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}

// Eight halves at once, from and to a multiple of 16 bytes.
__device__ inline void load_chunk(u16 (&halves)[8], const u16* from) {
    const uint4 chunk = *(const uint4*)from;
    const u32 words[4] = {chunk.x, chunk.y, chunk.z, chunk.w};
#pragma unroll
    for (u32 i = 0; i < 8; i++) halves[i] = (u16)(words[i / 2] >> (i % 2 * 16));
}

__device__ inline void store_chunk(u16* to, const u16 (&halves)[8]) {
    u32 words[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) words[i] = (u32)halves[2 * i] | (u32)halves[2 * i + 1] << 16;
    *(uint4*)to = make_uint4(words[0], words[1], words[2], words[3]);
}

// Eight codes.
__device__ inline void load_chunk(u16 (&codes)[8], const u8* from) {
    const uint2 chunk = *(const uint2*)from;
#pragma unroll
    for (u32 i = 0; i < 8; i++) codes[i] = (u8)((i < 4 ? chunk.x : chunk.y) >> (i % 4 * 8));
}

__device__ inline void store_chunk(u8* to, const u16 (&codes)[8]) {
    u32 words[2] = {};
#pragma unroll
    for (u32 i = 0; i < 8; i++) words[i / 4] |= (u32)codes[i] << (i % 4 * 8);
    *(uint2*)to = make_uint2(words[0], words[1]);
}

// Two numbers at once, to a multiple of 8 bytes.
__device__ inline void store_pair(float* to, float first, float second) { *(float2*)to = make_float2(first, second); }
__device__ inline void store_pair(int* to, int first, int second) { *(int2*)to = make_int2(first, second); }

// Starts to copy 16 bytes to shared memory, zeros where there are none. Nobody may rely on them before `wait_async` of the
// thread that copies, and other threads not before the next barrier either.
__device__ inline void copy_async(void* to, const void* from, bool there) {
#if __CUDA_ARCH__ >= 800
    const u32 shared = (u32)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(there ? 16 : 0) : "memory");
#else
    *(uint4*)to = there ? *(const uint4*)from : make_uint4(0, 0, 0, 0);
#endif
}

// Ends a group of copies.
__device__ inline void commit_async() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

// Waits until all but the last `PENDING` groups of this thread have arrived.
template <int PENDING>
__device__ inline void wait_async() {
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
#endif
}

// What the lane has whose number differs in the bits of `mask`.
__device__ inline u32 shuffle(u32 word, u32 mask) {
    u32 other;
    asm volatile("shfl.sync.bfly.b32 %0, %1, %2, 31, 0xffffffff;" : "=r"(other) : "r"(word), "r"(mask));
    return other;
}

// Loads four matrices of 8 × 8 halves: lane 8·i + r gives the address of row r of matrix i, 16 bytes.
__device__ inline void load_fragments(u32 (&matrices)[4], const u16* row) {
    const u32 shared = (u32)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(matrices[0]), "=r"(matrices[1]), "=r"(matrices[2]), "=r"(matrices[3])
                 : "r"(shared)
                 : "memory");
}

// sums += a · b, of 16 × 16 and 16 × 8 halves; sums are floats.
__device__ inline void multiply(float (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(b0));
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
                 : "r"(a[2]), "r"(a[3]), "r"(b1));
#endif
}

// sums += a · b, of 16 × 32 bytes without a sign and 32 × 8 with one, two bytes of a fragment where there was a half.
__device__ inline void multiply(int (&sums)[4], const u32 (&a)[4], u32 b0, u32 b1) {
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
                 "{%0, %1, %2, %3};"
                 : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    // Rows g and g + 8 one after the other, each in two halves of its depth.
#pragma unroll
    for (u32 h = 0; h < 2; h++) {
        asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                     : "+r"(sums[2 * h]), "+r"(sums[2 * h + 1])
                     : "r"(a[h]), "r"(b0));
        asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.u8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
                     : "+r"(sums[2 * h]), "+r"(sums[2 * h + 1])
                     : "r"(a[2 + h]), "r"(b1));
    }
#endif
}

#endif

// The larger of two halves, or of codes the larger of either byte; what is not a number is not larger.
template <bool CODES>
__device__ inline u16 larger(u16 a, u16 b) {
    if (!CODES) return from_half(b) > from_half(a) ? b : a;
    const u32 low = (a & 0xff) > (b & 0xff) ? a & 0xff : b & 0xff;
    const u32 high = (a & 0xff00) > (b & 0xff00) ? a & 0xff00 : b & 0xff00;
    return (u16)(low | high);
}

// What no half and no code is less than.
template <bool CODES>
constexpr u16 LEAST = CODES ? 0 : 0xfc00;

// Eight halves or codes of a pixel, or `count` of them where it has no more, wherever they lie; what is not there stays as it is.
template <typename Kept>
__device__ inline void load_some(u16 (&words)[8], const Kept* from, u32 count) {
    if (count >= 8 && (u64)from % (8 * sizeof(Kept)) == 0) return load_chunk(words, from);
#pragma unroll
    for (u32 i = 0; i < 8; i++) if (i < count) words[i] = from[i];
}

template <typename Kept>
__device__ inline void store_some(Kept* to, const u16 (&words)[8], u32 count) {
    if (count >= 8 && (u64)to % (8 * sizeof(Kept)) == 0) return store_chunk(to, words);
#pragma unroll
    for (u32 i = 0; i < 8; i++) if (i < count) to[i] = (Kept)words[i];
}
