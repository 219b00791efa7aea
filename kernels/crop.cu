// The part of a frame that is looked at, as grey levels: `backend/cpu/crop.rs`.
//
//   luma = (77 R + 150 G + 29 B + 128) / 256,  black where `inside` is 0
//
// ITU-R BT.601 in fixed point.
//
// Shapes      src: rows of `frame_width` pixels, 1 byte (grey) or 3 (RGB) each, from the first pixel of the crop on; inside,
//             dst: height × width bytes.
// A thread    computes one pixel; a block 32 × 8 of them.
// Tolerance   none: equal to the CPU.
#include "common.cuh"

extern "C" __global__ void crop_gray8(
    const u8* src, const u8* inside, u8* dst, u32 frame_width, u32 width, u32 height
) {
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u64 at = (u64)y * width + x;
    dst[at] = src[(u64)y * frame_width + x] & inside[at];
}

extern "C" __global__ void crop_rgb8(
    const u8* src, const u8* inside, u8* dst, u32 frame_width, u32 width, u32 height
) {
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u64 at = (u64)y * width + x;
    const u8* pixel = src + 3 * ((u64)y * frame_width + x);
    const u32 luma = (77u * pixel[0] + 150u * pixel[1] + 29u * pixel[2] + 128u) >> 8;
    dst[at] = (u8)luma & inside[at];
}
