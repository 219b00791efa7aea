// Softmax along the middle of three axes, in place, or its logarithm: `backend/cpu/softmax.rs`, and `log_softmax` of
// `backend/cpu/elementwise.rs`.
//
//   y(k) = exp(x(k) − max x) / Σ exp(x − max x)
//
// Shapes      values: outer × `axis` × `inner` floats; `columns` is outer · inner.
// A thread    takes every `lanes`-th value of one column.
// Tolerance   some units of the last place: `expf` is not the CPU's, and the order of the sum.
#include "together.cuh"

extern "C" __global__ void softmax(float* values, u32 axis, u32 inner, u32 columns, u32 logarithm, u32 lanes) {
    wait_for_previous();
    __shared__ double parts[TOGETHER_THREADS];
    const u32 column = blockIdx.x * (TOGETHER_THREADS / lanes) + threadIdx.x / lanes, lane = threadIdx.x % lanes;
    const u32 count = column < columns ? axis : 0;
    float* own = values + (u64)(column / inner) * axis * inner + column % inner;
    float largest = __uint_as_float(0xff800000);
    for (u32 k = lane; k < count; k += lanes) largest = fmaxf(largest, own[(u64)k * inner]);
    largest = (float)joined(parts, largest, lanes, [](double a, double b) { return b > a ? b : a; });
    float sum = 0.0f;
    for (u32 k = lane; k < count; k += lanes) sum += expf(own[(u64)k * inner] - largest);
    sum = (float)joined(parts, sum, lanes, [](double a, double b) { return a + b; });
    const float log_sum = logarithm ? logf(sum) : 0.0f;
    for (u32 k = lane; k < count; k += lanes) {
        const float x = own[(u64)k * inner] - largest;
        own[(u64)k * inner] = logarithm ? x - log_sum : expf(x) / sum;
    }
}
