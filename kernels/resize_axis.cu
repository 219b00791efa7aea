// The `Resize` of networks along one axis, by tables of what each position takes: `backend/cpu/resize_axis.rs`.
//
//   dst(o, j, i) = level(j) + Σ weight(t) · src(o, place(t), i)   for starts(j) ≤ t < starts(j + 1)
//
// Shapes      src: outer × `size` × `inner` floats; dst: outer × `out` × `inner`, which are `count`.
// A thread    computes one value.
// Tolerance   that of a sum of floats.
#include "common.cuh"

extern "C" __global__ void resize_axis(
    const float* src, float* dst, const u32* starts, const u32* places, const float* weights, const float* levels, u32 size,
    u32 out, u32 inner, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const u32 row = i / inner, at = row % out;
    const float* from = src + row / out * size * inner + i % inner;
    float sum = levels[at];
    for (u32 t = starts[at]; t < starts[at + 1]; t++) sum += weights[t] * from[places[t] * inner];
    dst[i] = sum;
}
