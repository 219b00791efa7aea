// Numbers moved, none computed: along each axis neighbours lie at a fixed distance: `backend/cpu/strided.rs`. Slices,
// transposed axes, repetitions, joins and borders are all of this kind.
//
//   dst[to + Σ at(a) · to_step(a)] = src[from + Σ at(a) · from_step(a)]   for every place `at` of the axes
//
// Shapes      axes: for each of `rank` axes its length and the two distances, which may wrap around to what is before;
//             `count` is the product of the lengths.
// A thread    moves one number.
// Tolerance   none.
#include "axes.cuh"

extern "C" __global__ void strided(
    const float* src, float* dst, const u32* axes, u32 rank, u32 from, u32 to, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const auto at = places<2>(axes, rank, i);
    dst[to + at.of[1]] = src[from + at.of[0]];
}
