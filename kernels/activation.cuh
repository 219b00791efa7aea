// Functions of one value, by the numbers that `backend/cuda/activation.rs` gives them; what is not a number stays so.
#pragma once
#include "common.cuh"

__device__ inline float logistic(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ inline float truth(bool yes) { return yes ? 1.0f : 0.0f; }

// Held between two bounds; where they cross, the upper one.
__device__ inline float held(float x, float low, float high) {
    const float above = x < low ? low : x;
    return above > high ? high : above;
}

__device__ inline float activated(float x, u32 function, float p, float q) {
    switch (function) {
        case 0: return held(x, p, q);
        case 1: return logistic(x);
        case 2: return x < 0.0f ? p * x : x;
        case 3: return held(p * x + q, 0.0f, 1.0f);
        case 4: return x * held(x / 6.0f + 0.5f, 0.0f, 1.0f);
        case 5: return x * logistic(x);
        case 6: return tanhf(x);
        case 7: return x < 0.0f ? p * expm1f(x) : x;
        default: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    }
}
