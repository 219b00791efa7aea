// The logistic function of every value, in place: `backend/cpu/activation.rs`.
//
//   y = 1 / (1 + exp(−x))
//
// Shapes      values: `count` floats.
// A thread    computes one value.
// Tolerance   some units of the last place: `expf` is not the CPU's.
#include "activation.cuh"

extern "C" __global__ void sigmoid(float* values, u32 count) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) values[i] = logistic(values[i]);
}
