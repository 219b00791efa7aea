// What every kernel uses: short names of types, and the pixels around a block.
//
// Included first by every `.cu`. NVRTC compiles it without any header of a toolkit; for tests it is compiled for the host
// (`host/`), where `__global__` and its like are defined by the emulation.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

// Filters compute one pixel a thread; a block is so many pixels wide and high.
constexpr u32 BLOCK_WIDTH = 32;
constexpr u32 BLOCK_HEIGHT = 8;
constexpr u32 BLOCK_THREADS = BLOCK_WIDTH * BLOCK_HEIGHT;

// The largest radius of a window, as `despeckle.rs` has it.
constexpr u32 MAX_RADIUS = 15;
constexpr u32 TILE_WIDTH = BLOCK_WIDTH + 2 * MAX_RADIUS;
constexpr u32 TILE_HEIGHT = BLOCK_HEIGHT + 2 * MAX_RADIUS;

// First in every kernel: all that it reads and writes comes after the kernel before it has ended. From sm_90 on a device may
// have started it before that (programmatic dependent launch), where the launch allows it; then from here on it lets the next
// one start likewise. No kernel says `__restrict__` or `__ldg`: such loads may be moved before the wait.
__device__ inline void wait_for_previous() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
    asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

// Held between 0 and `last`.
__device__ inline u32 clamped(int at, u32 last) {
    return at < 0 ? 0 : ((u32)at < last ? (u32)at : last);
}

// The index of this thread in its block, row by row.
__device__ inline u32 thread_of_block() { return threadIdx.y * blockDim.x + threadIdx.x; }

// Copies the pixels of a block, with `border` more on every side, to shared memory, `pitch` bytes a row; beyond the
// picture the nearest pixel counts. All threads of the block take part; they may read after the barrier at its end.
__device__ inline void load_tile(
    const u8* src, u32 width, u32 height, u32 rows, u32 border, u8* tile, u32 pitch
) {
    const u32 columns = BLOCK_WIDTH + 2 * border;
    const int left = (int)(blockIdx.x * BLOCK_WIDTH) - (int)border;
    const int top = (int)(blockIdx.y * rows) - (int)border;
    for (u32 i = thread_of_block(); i < columns * (rows + 2 * border); i += BLOCK_THREADS) {
        const u32 x = i % columns, y = i / columns;
        const u64 row = clamped(top + (int)y, height - 1);
        tile[y * pitch + x] = src[row * width + clamped(left + (int)x, width - 1)];
    }
    __syncthreads();
}

// To the nearest whole number from 0 to 255, halves up.
__device__ inline u8 grey(float value) {
    return (u8)(fminf(fmaxf(value, 0.0f), 255.0f) + 0.5f);
}
