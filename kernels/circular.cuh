// Sine, cosine and tangent of any float. The compiler's own bring a table with them, which is loaded before all else, in kernels that
// need none of it too; here the digits of 2 / pi are constants.
#pragma once
#include "common.cuh"

// `x` less a whole number of quarter turns, from -pi / 4 to pi / 4, and how many they were, modulo 4.
__device__ inline double reduced(float x, u32& quarters) {
    const u32 bits = __float_as_uint(x), exponent = bits >> 23 & 255;
    if (exponent < 127 + 20) {
        const double turns = rint((double)x * 0.63661977236758134);
        quarters = (u32)(int)turns;
        // A quarter turn in two parts: the first product is exact.
        return fma(-turns, 6.1232339957367660e-17, fma(-turns, 1.5707963267948966, (double)x));
    }
    // Payne and Hanek: of x · 2 / pi the digits before 4 are whole turns and are not computed; those from there on, in 32 bits a word.
    u32 a = 0, b = 0x28be60db, c = 0x9391054a, d = 0x7f09d5f4, e = 0x7d4d3770;
    const u32 skipped = exponent - 126, rest = skipped & 31;
    if (skipped & 64) a = c, b = d, c = e, d = 0x36d8a566, e = 0x4f10e410;
    if (skipped & 32) a = b, b = c, c = d, d = e;
    if (skipped & 128) a = 0x7d4d3770, b = 0x36d8a566, c = 0x4f10e410, d = 0x7f9458ea;
    const u64 high = ((u64)a << 32 | b) << rest >> 32, middle = ((u64)b << 32 | c) << rest >> 32, low = ((u64)c << 32 | d) << rest >> 32;
    const u64 whole = (u64)((bits & 0x7fffff) | 0x800000) << 8;
    // 2 bits before the point, 62 after it.
    const u64 product = (whole * low >> 32) + whole * (middle & 0xffffffff) + (whole * (high & 0xffffffff) << 32);
    const bool negative = bits >> 31 != 0;
    const u32 nearest = (u32)((product + (1ull << 61)) >> 62);
    quarters = negative ? 0 - nearest : nearest;
    const double left = (double)((long long)(product << 2) >> 2) * 3.4061215800304026e-19;  // pi / 2 · 2^-62
    return negative ? -left : left;
}

// Sine and cosine of what is at most pi / 4, by Taylor's series.
__device__ inline double sine(double x) {
    const double s = x * x;
    const double tail = 2.7557319223985891e-6 + s * (-2.5052108385441719e-8 + s * 1.6059043836821615e-10);
    return x + x * s * (-1.6666666666666667e-1 + s * (8.3333333333333333e-3 + s * (-1.9841269841269841e-4 + s * tail)));
}

__device__ inline double cosine(double x) {
    const double s = x * x;
    const double tail = -2.7557319223985891e-7 + s * (2.0876756987868099e-9 + s * -1.1470745597729725e-11);
    return 1.0 + s * (-0.5 + s * (4.1666666666666667e-2 + s * (-1.3888888888888889e-3 + s * (2.4801587301587302e-5 + s * tail))));
}

// Sine (0), cosine (1) or tangent (2) of any number; of what is infinite or no number: not a number.
__device__ inline float circular(float x, u32 which) {
    if (!(fabsf(x) < __uint_as_float(0x7f800000))) return x - x;
    u32 quarters;
    const double left = reduced(x, quarters), s = sine(left), c = cosine(left);
    if (which == 2) return (float)((quarters & 1) != 0 ? -c / s : s / c);
    quarters += which;
    const double found = (quarters & 1) != 0 ? c : s;
    return (float)((quarters & 2) != 0 ? -found : found);
}
