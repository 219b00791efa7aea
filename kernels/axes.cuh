// Places of values in tensors whose neighbours along each axis lie at a fixed distance.
#pragma once
#include "common.cuh"

template <u32 N>
struct Places {
    u32 of[N];
};

// Where the value of number `index` lies in each of `N` tensors, from the first of each.
//
// axes: for each of `rank` axes its length, then the distance of neighbours in each tensor; distances may wrap around to what is
// before. The last axis counts first.
template <u32 N>
__device__ inline Places<N> places(const u32* axes, u32 rank, u32 index) {
    Places<N> found = {};
    for (u32 axis = rank; axis-- > 0;) {
        const u32* own = axes + (N + 1) * axis;
        const u32 at = index % own[0];
        index /= own[0];
#pragma unroll
        for (u32 t = 0; t < N; t++) found.of[t] += at * own[1 + t];
    }
    return found;
}
