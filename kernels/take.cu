// Slices of a tensor by their numbers along one axis: `backend/cpu/take.rs`.
//
//   dst(o, j, i) = src(o, indices(j), i),  or the level where the index is `NO_SLICE`
//
// Shapes      src: outer × `axis` × `inner` floats; dst: outer × `taken` × `inner`, which are `count`.
// A thread    moves one number.
// Tolerance   none.
#include "common.cuh"

constexpr u32 NO_SLICE = 0xffffffff;

extern "C" __global__ void take(
    const float* src, float* dst, const u32* indices, u32 axis, u32 taken, u32 inner, float level, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const u32 row = i / inner, slice = indices[row % taken];
    dst[i] = slice == NO_SLICE ? level : src[(row / taken * axis + slice) * inner + i % inner];
}
