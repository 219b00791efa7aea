// Softmax of the channels of each pixel, in place: `backend/cpu/softmax.rs`.
//
//   y(c) = exp(x(c) − max x) / Σ exp(x − max x)
//
// Shapes      values: channels × pixels floats.
// A thread    computes one pixel.
// Tolerance   some units of the last place: `expf` is not the CPU's.
#include "common.cuh"

extern "C" __global__ void softmax(float* values, u32 channels, u32 pixels) {
    wait_for_previous();
    const u32 pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= pixels) return;
    float largest = values[pixel];
    for (u32 c = 1; c < channels; c++) largest = fmaxf(largest, values[(u64)c * pixels + pixel]);
    float sum = 0.0f;
    for (u32 c = 0; c < channels; c++) {
        const float power = expf(values[(u64)c * pixels + pixel] - largest);
        values[(u64)c * pixels + pixel] = power;
        sum += power;
    }
    for (u32 c = 0; c < channels; c++) values[(u64)c * pixels + pixel] /= sum;
}
