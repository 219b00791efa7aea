// The part of a frame that is looked at, as grey levels: `backend/cpu/crop.rs`, `frame/pixels.rs`.
//
//   grey = (77 R + 150 G + 29 B + 128) / 256,  black where `inside` is 0
//   R = (luma (Y - black) + rv (V - 128) + 128) / 256,  G and B likewise;  16 bits become 8, rounded
//
// ITU-R BT.601 in fixed point; what a YUV frame's colours mean (BT.601 or BT.709, studio or full range) its factors
// say.
//
// Shapes      src: rows of `frame_width` pixels, 1 byte (grey), 2 (16 bits, the lower first) or 3 (RGB) each, from the first
//             pixel of the crop on; of YUV the whole frame. inside, dst: height × width bytes.
// A thread    computes one pixel; a block 32 × 8 of them.
// Tolerance   none: equal to the CPU.
#include "common.cuh"

__device__ inline u8 luma(u32 red, u32 green, u32 blue) { return (u8)((77u * red + 150u * green + 29u * blue + 128u) >> 8); }

// 256 times a colour to its byte; halves up.
__device__ inline u32 colour(int value) {
    const int level = (value + 128) >> 8;
    return level < 0 ? 0 : (level > 255 ? 255 : (u32)level);
}

extern "C" __global__ void crop_gray8(
    const u8* src, const u8* inside, u8* dst, u32 frame_width, u32 width, u32 height
) {
    wait_for_previous();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u64 at = (u64)y * width + x;
    dst[at] = src[(u64)y * frame_width + x] & inside[at];
}

extern "C" __global__ void crop_gray16(
    const u8* src, const u8* inside, u8* dst, u32 frame_width, u32 width, u32 height
) {
    wait_for_previous();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u64 at = (u64)y * width + x;
    const u8* pixel = src + 2 * ((u64)y * frame_width + x);
    const u32 level = pixel[0] | (u32)pixel[1] << 8;
    dst[at] = (u8)((level * 255u + 32767u) / 65535u) & inside[at];
}

extern "C" __global__ void crop_rgb8(
    const u8* src, const u8* inside, u8* dst, u32 frame_width, u32 width, u32 height
) {
    wait_for_previous();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u64 at = (u64)y * width + x;
    const u8* pixel = src + 3 * ((u64)y * frame_width + x);
    dst[at] = luma(pixel[0], pixel[1], pixel[2]) & inside[at];
}

// Where samples lie: Y of column x and row y at `first_y + y * pitch_y + x * step_y`; U and V at their own firsts, of
// every second column, and of every `rows`th row. The crop begins at (left, top).
extern "C" __global__ void crop_yuv(
    const u8* src, const u8* inside, u8* dst, u32 left, u32 top, u32 width, u32 height,
    u32 first_y, u32 pitch_y, u32 step_y, u32 first_u, u32 first_v, u32 pitch, u32 step, u32 rows,
    u32 black, u32 factor, u32 rv, u32 gu, u32 gv, u32 bu
) {
    wait_for_previous();
    const u32 x = blockIdx.x * BLOCK_WIDTH + threadIdx.x, y = blockIdx.y * BLOCK_HEIGHT + threadIdx.y;
    if (x >= width || y >= height) return;
    const u64 at = (u64)y * width + x, column = left + x, row = top + y;
    const u64 pair = row / rows * pitch + column / 2 * step;
    const int level = (int)factor * ((int)src[first_y + row * pitch_y + column * step_y] - (int)black);
    const int u = (int)src[first_u + pair] - 128, v = (int)src[first_v + pair] - 128;
    const u32 red = colour(level + (int)rv * v), blue = colour(level + (int)bu * u);
    const u32 green = colour(level - (int)gu * u - (int)gv * v);
    dst[at] = luma(red, green, blue) & inside[at];
}
