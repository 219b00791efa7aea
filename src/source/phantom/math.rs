//! Numbers that come out the same on every machine: integers for chance, polynomials for what `libm` would answer.
//!
//! Rust neither reorders nor fuses floating-point operations, so sums, products, quotients and square roots (all
//! correctly rounded by IEEE 754) give the same bits everywhere. `sin`, `exp2` and `log2` of the system do not.

/// A stream of pseudo-random numbers.
///
/// # References
/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    /// Stream `stream` of `seed`: streams of one seed are independent of each other.
    pub fn new(seed: u64, stream: u64) -> Self {
        Self(mix(seed ^ mix(stream.wrapping_mul(0x9E37_79B9_7F4A_7C15))))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// Uniform in `low..high`.
    pub fn uniform(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * ((self.bits() >> 40) as f32 * (1.0 / 16_777_216.0))
    }

    /// Uniform whole number in `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits() % n
    }

    /// Nearly normal, mean 0, variance 1: the sum of four uniform numbers (Irwin–Hall), enough where many are added.
    pub fn normal(&mut self) -> f32 {
        let b = self.bits();
        let sum = (b & 0xFFFF) + (b >> 16 & 0xFFFF) + (b >> 32 & 0xFFFF) + (b >> 48);
        (sum as f32 - 131_070.0) * (1.732_050_8 / 65_536.0)
    }
}

/// The finaliser of SplitMix64.
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Smooth noise in -1..=1 with one independent value at every whole point (value noise, smoothstep between).
pub(super) fn noise(seed: u64, x: f32, y: f32) -> f32 {
    let (fx, fy) = (x.floor(), y.floor());
    let at = |dx: i64, dy: i64| {
        let key = ((fx as i64 + dx) as u64) << 32 ^ (fy as i64 + dy) as u64 & 0xFFFF_FFFF;
        (mix(seed ^ mix(key)) >> 40) as f32 * (2.0 / 16_777_216.0) - 1.0
    };
    let ease = |t: f32| t * t * (3.0 - 2.0 * t);
    let (u, v) = (ease(x - fx), ease(y - fy));
    let top = at(0, 0) + (at(1, 0) - at(0, 0)) * u;
    let bottom = at(0, 1) + (at(1, 1) - at(0, 1)) * u;
    top + (bottom - top) * v
}

/// Sine of `turns` full turns; the Taylor series up to x¹³ on a quarter turn, error below 1e-9.
pub(super) fn sin_turns(turns: f64) -> f64 {
    let r = turns - turns.round();
    let folded = if r > 0.25 {
        0.5 - r
    } else if r < -0.25 {
        -0.5 - r
    } else {
        r
    };
    let x = folded * std::f64::consts::TAU;
    let q = x * x;
    let tail = 1.0 - q / 72.0 * (1.0 - q / 110.0 * (1.0 - q / 156.0));
    x * (1.0 - q / 6.0 * (1.0 - q / 20.0 * (1.0 - q / 42.0 * tail)))
}

/// 2 to the power of `x` for -126 ≤ x ≤ 126 (clamped); relative error below 1e-5.
#[inline]
pub(super) fn exp2(x: f32) -> f32 {
    let x = x.clamp(-126.0, 126.0);
    let whole = (x + 127.0) as i32 - 127; // rounds down: x + 127 is not negative
    let f = x - whole as f32;
    // Taylor series of 2^f = exp(f ln 2) to the sixth power
    let p = 1.0
        + f * (std::f32::consts::LN_2
            + f * (0.240_226_5 + f * (0.055_504_11 + f * (0.009_618_129 + f * (0.001_333_356 + f * 0.000_154_035)))));
    p * f32::from_bits(((whole + 127) as u32) << 23)
}

/// Base-2 logarithm of a normal positive number; error below 5e-4.
///
/// With s = (m - 1) / (m + 1), log2 m = 2 / ln 2 · (s + s³/3 + s⁵/5 + …), m in 1..2.
#[inline]
pub(super) fn log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits(bits & 0x007F_FFFF | 0x3F80_0000);
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    exponent as f32 + 2.885_39 * s * (1.0 + q * (0.333_333_33 + q * (0.2 + q * 0.142_857_15)))
}

/// Amplitude of a level in decibels, 10^(dB/20).
pub(super) fn amplitude(db: f32) -> f32 {
    exp2(db * 0.166_096_4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_polynomials_agree_with_the_system() {
        for i in -4000..4000 {
            let t = i as f64 / 977.0;
            assert!((sin_turns(t) - (t * std::f64::consts::TAU).sin()).abs() < 1e-8, "sin {t}");
            let x = i as f32 / 40.0;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 2e-5, "exp2 {x}");
            let y = (i + 4001) as f32 * 0.37;
            assert!((log2(y) - y.log2()).abs() < 1e-3, "log2 {y}");
        }
    }

    #[test]
    fn random_numbers_have_the_moments_they_promise() {
        let mut r = Rng::new(7, 1);
        let (mut sum, mut squares) = (0.0f64, 0.0f64);
        for _ in 0..100_000 {
            let v = f64::from(r.normal());
            sum += v;
            squares += v * v;
        }
        assert!((sum / 1e5).abs() < 0.01, "{sum}");
        assert!((squares / 1e5 - 1.0).abs() < 0.02, "{squares}");
        assert_ne!(Rng::new(7, 1).bits(), Rng::new(7, 2).bits());
    }
}
