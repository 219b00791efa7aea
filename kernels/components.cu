// Connected regions of one class in a mask: `backend/cpu/components.rs`.
//
// Every pixel of the class points to a pixel of its region with a smaller index, or to itself; two regions that touch are
// joined by letting the larger root point to the smaller (a lock-free union-find). In the end every pixel points to the
// first pixel of its region. Corners touch.
//
// Komura, Computer Physics Communications 194, 2015; Playne, Hawick, IEEE TPDS 29(6), 2018.
//
// Shapes      labels: height × width bytes; parents: as many u32; sums: as many of `Sum`, set where a region begins.
// A thread    takes one pixel; the four kernels run one after the other.
// Tolerance   none: whole numbers, whatever the order. The list of regions is in no order.
#include "common.cuh"

constexpr u32 NOBODY = 0xffffffff;

// What is known of a region: u64 first, so that it lies as it must.
struct Sum {
    u64 x, y;
    u32 area, left, top, right, bottom, first;
};

__device__ inline u32 root_of(const u32* parents, u32 i) {
    // Others may be joining: what is read may be old, and then only a detour.
    const volatile u32* now = parents;
    while (now[i] != i) i = now[i];
    return i;
}

__device__ inline void join(u32* parents, u32 a, u32 b) {
    for (;;) {
        a = root_of(parents, a);
        b = root_of(parents, b);
        if (a == b) return;
        if (a > b) {
            const u32 swap = a;
            a = b;
            b = swap;
        }
        // The larger root points to the smaller, unless somebody was first; then his root is joined.
        const u32 before = atomicMin(&parents[b], a);
        if (before == b) return;
        b = before;
    }
}

// Every pixel of the class is a region of its own. `count`: of regions, to be set to 0.
extern "C" __global__ void components_start(
    const u8* labels, u32* parents, Sum* sums, u32* count, u32 pixels, u32 class_
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i == 0) *count = 0;
    if (i >= pixels) return;
    const bool own = labels[i] == class_;
    parents[i] = own ? i : NOBODY;
    if (own) sums[i] = {0, 0, 0, NOBODY, NOBODY, 0, 0, i};
}

// Joins each pixel with its neighbours before it: left, and the three above.
extern "C" __global__ void components_join(u32* parents, u32 width, u32 pixels) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels || parents[i] == NOBODY) return;
    const u32 x = i % width;
    if (x > 0 && parents[i - 1] != NOBODY) join(parents, i, i - 1);
    if (i < width) return;
    if (parents[i - width] != NOBODY) join(parents, i, i - width);
    if (x > 0 && parents[i - width - 1] != NOBODY) join(parents, i, i - width - 1);
    if (x + 1 < width && parents[i - width + 1] != NOBODY) join(parents, i, i - width + 1);
}

// Points every pixel to the first of its region, and adds it up there.
extern "C" __global__ void components_sum(u32* parents, Sum* sums, u32 width, u32 pixels) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels || parents[i] == NOBODY) return;
    const u32 root = root_of(parents, i), x = i % width, y = i / width;
    parents[i] = root;
    Sum* sum = &sums[root];
    atomicAdd(&sum->x, (u64)x);
    atomicAdd(&sum->y, (u64)y);
    atomicAdd(&sum->area, 1u);
    atomicMin(&sum->left, x);
    atomicMin(&sum->top, y);
    atomicMax(&sum->right, x + 1);
    atomicMax(&sum->bottom, y + 1);
}

// Wipes regions of less than `least` pixels, and lists the others: the first `room` of them, `count` says how many there
// are.
extern "C" __global__ void components_keep(
    u8* labels, const u32* parents, const Sum* sums, Sum* found, u32* count, u32 pixels, u32 least, u32 room
) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= pixels || parents[i] == NOBODY) return;
    const u32 root = parents[i];
    if (sums[root].area < least) {
        labels[i] = 0;
    } else if (root == i) {
        const u32 place = atomicAdd(count, 1u);
        if (place < room) found[place] = sums[i];
    }
}
