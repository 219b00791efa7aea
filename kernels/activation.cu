// A function of every value, in place: `backend/cpu/activation.rs` and `backend/cpu/math.rs`.
//
// Shapes      values: `count` floats.
// A thread    computes one value.
// Tolerance   some units of the last place where the function is no arithmetic: the libraries of both sides differ.
#include "activation.cuh"
#include "circular.cuh"

// ln(1 + eˣ), of large values too.
__device__ inline float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

// As `activated`, and what networks use more rarely.
__device__ inline float function_of(float x, u32 function, float p, float q) {
    switch (function) {
        case 9: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
        case 10: return x * tanhf(softplus(x));
        case 11: return x != x ? x : softplus(x);
        case 12: return x / (1.0f + fabsf(x));
        case 13: return q * (x < 0.0f ? p * expm1f(x) : x);
        case 14: return x < 0.0f ? p * expm1f(x / p) : x;
        case 15: return x <= p ? 0.0f : x;
        case 16: return x < -q ? x + p : (x > q ? x - p : 0.0f * x);
        case 17: return x * logistic(p * x);
        case 18: return fabsf(x);
        case 19: return acosf(x);
        case 20: return acoshf(x);
        case 21: return asinf(x);
        case 22: return asinhf(x);
        case 23: return atanf(x);
        case 24: return atanhf(x);
        case 25: return ceilf(x);
        case 26: return coshf(x);
        case 27: return erff(x);
        case 28: return expf(x);
        case 29: return floorf(x);
        case 30: return truth(fabsf(x) == __uint_as_float(0x7f800000));
        case 31: return truth(x == __uint_as_float(0x7f800000));
        case 32: return truth(x == __uint_as_float(0xff800000));
        case 33: return truth(x != x);
        case 34: return logf(x);
        case 35: return -x;
        case 36: return truth(x == 0.0f);
        case 37: return 1.0f / x;
        case 38: return rintf(x);
        case 39: return x == 0.0f || x != x ? x : (x < 0.0f ? -1.0f : 1.0f);
        case 40: return sinhf(x);
        case 41: return sqrtf(x);
        case 42: return x * x;
        case 43: return truncf(x);
        case 44: return truth(x != 0.0f);
        case 45:
        case 46:
        case 47: return circular(x, function - 45);
        default: return activated(x, function, p, q);
    }
}

extern "C" __global__ void activate(float* values, u32 count, u32 function, float p, float q) {
    wait_for_previous();
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) values[i] = function_of(values[i], function, p, q);
}
