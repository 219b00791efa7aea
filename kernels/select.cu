// One of two values, by a third, each tensor repeated where it has one value for many: `backend/cpu/select.rs`.
//
//   dst = condition ≠ 0 ? yes : no
//
// Shapes      axes: for each of `rank` axes of the result its length, and the distance of neighbours in each of the three, 0
//             where one is repeated; dst: `count` floats.
// A thread    computes one value.
// Tolerance   none.
#include "axes.cuh"

extern "C" __global__ void choose(
    const float* condition, const float* yes, const float* no, float* dst, const u32* axes, u32 rank, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    const auto at = places<3>(axes, rank, i);
    dst[i] = condition[at.of[0]] != 0.0f ? yes[at.of[1]] : no[at.of[2]];
}
