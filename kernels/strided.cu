// Numbers moved, none computed: along each axis neighbours lie at a fixed distance: `backend/cpu/strided.rs`. Slices,
// transposed axes, repetitions, joins and borders are all of this kind.
//
//   dst[to + Σ at(a) · to_step(a)] = src[from + Σ at(a) · from_step(a)]   for every place `at` of the axes
//
// Shapes      axes: for each of `rank` axes its length and the two distances, which may wrap around to what is before;
//             `count` is the product of the lengths.
// A thread    moves one number.
// Tolerance   none.
#include "common.cuh"

extern "C" __global__ void strided(
    const float* src, float* dst, const u32* axes, u32 rank, u32 from, u32 to, u32 count
) {
    wait_for_previous();
    u32 rest = blockIdx.x * blockDim.x + threadIdx.x;
    if (rest >= count) return;
    for (u32 axis = rank; axis-- > 0;) {
        const u32 at = rest % axes[3 * axis];
        rest /= axes[3 * axis];
        from += at * axes[3 * axis + 1];
        to += at * axes[3 * axis + 2];
    }
    dst[to] = src[from];
}
