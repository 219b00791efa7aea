// From the maps of a network to the class of every pixel of the frame: `backend/cpu/mask.rs`, with the resizing of
// `backend/cpu/resize.rs` between.
//
//   p = 1 / (1 + exp(−x))  or  exp(x − max) / Σ exp(x − max)  or  x held between 0 and 1;  what is not a number: 0
//   P(c, y, x) = Σ down(y, i) Σ across(x, j) · p(c, first_down(y) + i, first_across(x) + j),  0 where nothing is inside
//   label = the most probable class with P ≥ threshold and P > 0, the first of equals, else 0;  byte = ⌊255 P + ½⌋
//
// Tolerance   one byte; another label where two probabilities, or one and a threshold, differ by some units of the last place.
#include "common.cuh"

// Shapes      maps: classes, or with `softmax` a background before them, × map_height × map_width floats; small: classes ×
//             height × width floats, of the part at (left, top); broken: one a block of the maps, 1 where one of its values
//             is not a number.
// A thread    computes all classes of one pixel of the maps; a block 32 × 8 of them.
extern "C" __global__ void mask_probability(
    const float* maps, float* small, u32* broken, u32 classes, u32 logits, u32 softmax,
    u32 map_width, u32 map_height, u32 left, u32 top, u32 width, u32 height
) {
    wait_for_previous();
    __shared__ u32 is_broken;
    if (thread_of_block() == 0) is_broken = 0;
    __syncthreads();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x < map_width && y < map_height) {
        const u64 map = (u64)map_width * map_height, area = (u64)width * height;
        const float* from = maps + (u64)y * map_width + x;
        const u32 first = softmax ? 1 : 0;
        float largest = from[0], sum = 0.0f;
        for (u32 c = 0; c < first + classes; c++) {
            largest = fmaxf(largest, from[c * map]);
            // Whoever writes writes the same.
            if (from[c * map] != from[c * map]) is_broken = 1;
        }
        if (logits && softmax) {
            for (u32 c = 0; c <= classes; c++) sum += expf(from[c * map] - largest);
        }
        // Wraps to something large before the part.
        const u32 u = x - left, v = y - top;
        for (u32 c = 0; u < width && v < height && c < classes; c++) {
            const float value = from[(first + c) * map];
            float p = value;
            if (logits) p = softmax ? expf(value - largest) / sum : 1.0f / (1.0f + expf(-value));
            // Not a number fails every comparison.
            small[c * area + (u64)v * width + u] = p >= 0.0f ? (p < 1.0f ? p : 1.0f) : 0.0f;
        }
    }
    __syncthreads();
    if (thread_of_block() == 0) broken[blockIdx.y * gridDim.x + blockIdx.x] = is_broken;
}

// Shapes      small: as above, height × width; of each axis `first` one and `weights` `taps` for every position of the crop;
//             inside: bytes of the crop, read where `has_inside`; thresholds: one a class; labels: frame_height ×
//             frame_width bytes; bytes: classes × that. The crop is at (left, top).
// A thread    computes all classes of one pixel of the frame; a block 32 × 8 of them.
extern "C" __global__ void mask_classify(
    const float* small, u32 width, u32 height,
    const u32* down_first, const float* down_weights, u32 down_taps,
    const u32* across_first, const float* across_weights, u32 across_taps,
    const u8* inside, u32 has_inside, const float* thresholds, u32 classes,
    u8* labels, u8* bytes, u32 frame_width, u32 frame_height, u32 left, u32 top, u32 crop_width, u32 crop_height
) {
    wait_for_previous();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= frame_width || y >= frame_height) return;
    const u64 at = (u64)y * frame_width + x, frame = (u64)frame_width * frame_height;
    // Wraps to something large before the crop.
    const u32 u = x - left, v = y - top;
    bool is_picture = u < crop_width && v < crop_height;
    if (is_picture && has_inside) is_picture = inside[(u64)v * crop_width + u] != 0;
    u8 label = 0;
    float best = 0.0f;
    for (u32 c = 0; c < classes; c++) {
        float p = 0.0f;
        if (is_picture) {
            const float* rows = small + ((u64)c * height + down_first[v]) * width + across_first[u];
            for (u32 i = 0; i < down_taps; i++) {
                float row = 0.0f;
                for (u32 j = 0; j < across_taps; j++) {
                    row += rows[(u64)i * width + j] * across_weights[(u64)u * across_taps + j];
                }
                p += down_weights[(u64)v * down_taps + i] * row;
            }
        }
        bytes[c * frame + at] = (u8)(p * 255.0f + 0.5f);
        if (p >= thresholds[c] && p > best) {
            best = p;
            label = (u8)(c + 1);
        }
    }
    labels[at] = label;
}
