// One of two values, by a third, each tensor repeated where it has one value for many: `backend/cpu/select.rs`.
//
//   dst = condition ≠ 0 ? yes : no
//
// Shapes      axes: for each of `rank` axes of the result its length, and the distance of neighbours in each of the three, 0
//             where one is repeated; dst: `count` floats.
// A thread    computes one value.
// Tolerance   none.
#include "common.cuh"

extern "C" __global__ void choose(
    const float* condition, const float* yes, const float* no, float* dst, const u32* axes, u32 rank, u32 count
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    u32 rest = i, places[3] = {};
    for (u32 axis = rank; axis-- > 0;) {
        const u32* own = axes + 4 * axis;
        const u32 at = rest % own[0];
        rest /= own[0];
#pragma unroll
        for (u32 t = 0; t < 3; t++) places[t] += at * own[1 + t];
    }
    dst[i] = condition[places[0]] != 0.0f ? yes[places[1]] : no[places[2]];
}
