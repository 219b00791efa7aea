//! The references that fast code is compared with: each fits on one screen and is written for the eye alone.

use sonoplex::backend::cpu::{ConvShape, ConvTransposeShape, Pool, PoolShape};
use sonoplex::geometry::Size;

/// Seeded numbers; the same seed gives the same numbers everywhere.
///
/// # References
/// Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A whole number in the range.
    pub fn in_range(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + (self.next() % (range.end() - range.start() + 1) as u64) as usize
    }

    /// Floats between -1 and 1.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0).collect()
    }

    /// Bytes.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| (self.next() >> 56) as u8).collect()
    }

    /// A convolution that is possible, with every setting drawn.
    pub fn conv(&mut self) -> ConvShape {
        loop {
            let groups = [1, 1, 2, 3][self.in_range(0..=3)];
            let mut two = |low, high| [self.in_range(low..=high), self.in_range(low..=high)];
            let (in_size, kernel, stride, dilation) = (two(1, 40), two(1, 5), two(1, 3), two(1, 2));
            let (before, after, per_group) = (two(0, 3), two(0, 3), two(1, 13));
            let shape = ConvShape {
                in_channels: groups * per_group[0],
                out_channels: groups * per_group[1],
                groups,
                in_size,
                kernel,
                stride,
                pads: [before[0], before[1], after[0], after[1]],
                dilation,
            };
            if shape.check().is_ok() {
                return shape;
            }
        }
    }
}

/// Convolution in double precision, every tap looked up by its coordinates.
pub fn conv(s: &ConvShape, input: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let ([ih, iw], [oh, ow], [kh, kw]) = (s.in_size, s.out_size(), s.kernel);
    let (ins, outs) = (s.in_channels / s.groups, s.out_channels / s.groups);
    let pixel = |c: usize, y: isize, x: isize| {
        let inside = y >= 0 && x >= 0 && y < ih as isize && x < iw as isize;
        if inside { f64::from(input[(c * ih + y as usize) * iw + x as usize]) } else { 0.0 }
    };
    let mut output = Vec::new();
    for o in 0..s.out_channels {
        for (y, x) in (0..oh).flat_map(|y| (0..ow).map(move |x| (y, x))) {
            let mut sum = f64::from(bias[o]);
            for (c, i, j) in (0..ins).flat_map(|c| (0..kh).flat_map(move |i| (0..kw).map(move |j| (c, i, j)))) {
                let v = (y * s.stride[0] + i * s.dilation[0]) as isize - s.pads[0] as isize;
                let u = (x * s.stride[1] + j * s.dilation[1]) as isize - s.pads[1] as isize;
                sum += f64::from(weights[((o * ins + c) * kh + i) * kw + j]) * pixel(o / outs * ins + c, v, u);
            }
            output.push(sum as f32);
        }
    }
    output
}

/// Asserts that two slices are equal but for `tolerance`, relative to values above 1.
pub fn assert_close(found: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        let equal = f == e || (f - e).abs() <= tolerance * e.abs().max(1.0);
        assert!(equal, "{what}: value {i} is {f}, expected {e}");
    }
}

/// The numbers of threads that every operation is tried with.
pub fn pools() -> [Pool; 3] {
    [Pool::new(1), Pool::new(2), Pool::new(5)]
}

/// Transposed convolution in double precision: every input value paints the kernel.
pub fn conv_transpose(s: &ConvTransposeShape, input: &[f32], weights: &[f32], bias: &[f32]) -> Vec<f32> {
    let ([ih, iw], [oh, ow], [kh, kw]) = (s.in_size, s.out_size(), s.kernel);
    let (ins, outs) = (s.in_channels / s.groups, s.out_channels / s.groups);
    let mut output: Vec<f64> = (0..s.out_len()).map(|i| f64::from(bias[i / (oh * ow)])).collect();
    for (c, y, x) in (0..s.in_channels).flat_map(|c| (0..ih).flat_map(move |y| (0..iw).map(move |x| (c, y, x)))) {
        for (o, i, j) in (0..outs).flat_map(|o| (0..kh).flat_map(move |i| (0..kw).map(move |j| (o, i, j)))) {
            let v = (y * s.stride[0] + i * s.dilation[0]) as isize - s.pads[0] as isize;
            let u = (x * s.stride[1] + j * s.dilation[1]) as isize - s.pads[1] as isize;
            if v >= 0 && u >= 0 && v < oh as isize && u < ow as isize {
                let at = ((c / ins * outs + o) * oh + v as usize) * ow + u as usize;
                let weight = weights[((c * outs + o) * kh + i) * kw + j];
                output[at] += f64::from(input[(c * ih + y) * iw + x]) * f64::from(weight);
            }
        }
    }
    output.into_iter().map(|x| x as f32).collect()
}

/// The values of the plane that a window of a pooling sees.
pub fn window(s: &PoolShape, input: &[f32], c: usize, y: usize, x: usize) -> Vec<f32> {
    let ([h, w], [kh, kw]) = (s.in_size, s.kernel);
    let mut seen = Vec::new();
    for (i, j) in (0..kh).flat_map(|i| (0..kw).map(move |j| (i, j))) {
        let v = (y * s.stride[0] + i * s.dilation[0]) as isize - s.pads[0] as isize;
        let u = (x * s.stride[1] + j * s.dilation[1]) as isize - s.pads[1] as isize;
        if v >= 0 && u >= 0 && v < h as isize && u < w as isize {
            seen.push(input[(c * h + v as usize) * w + u as usize]);
        }
    }
    seen
}

/// A grey picture whose pixels beyond the border are the nearest ones.
pub struct Picture<'a>(pub Size, pub &'a [u8]);

impl Picture<'_> {
    pub fn at(&self, x: isize, y: isize) -> u8 {
        let (w, h) = (self.0.width as isize, self.0.height as isize);
        self.1[(y.clamp(0, h - 1) * w + x.clamp(0, w - 1)) as usize]
    }

    /// Calls `pixel(x, y)` for every pixel.
    pub fn map(&self, pixel: impl Fn(isize, isize) -> u8) -> Vec<u8> {
        let (w, h) = (self.0.width as isize, self.0.height as isize);
        (0..h).flat_map(|y| (0..w).map(move |x| (x, y))).map(|(x, y)| pixel(x, y)).collect()
    }

    /// The pixels of a square window.
    pub fn window(&self, x: isize, y: isize, radius: isize) -> Vec<u8> {
        let offsets = || -radius..=radius;
        offsets().flat_map(|dy| offsets().map(move |dx| (dx, dy))).map(|(dx, dy)| self.at(x + dx, y + dy)).collect()
    }

    /// Mean and variance of a square window.
    fn statistics(&self, x: isize, y: isize, radius: isize) -> (f64, f64) {
        let window: Vec<f64> = self.window(x, y, radius).into_iter().map(f64::from).collect();
        let mean = window.iter().sum::<f64>() / window.len() as f64;
        (mean, window.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / window.len() as f64)
    }

    /// Lee's filter as its header states it.
    pub fn lee(&self, radius: isize, noise: f64) -> Vec<u8> {
        self.map(|x, y| {
            let (mean, variance) = self.statistics(x, y, radius);
            let under = ((variance - (mean * noise).powi(2)) / (1.0 + noise * noise)).max(0.0);
            let gain = if under > 1e-9 { under / (under + (mean * noise).powi(2)) } else { 0.0 };
            (mean + gain * (f64::from(self.at(x, y)) - mean)).round() as u8
        })
    }

    /// Kuan's filter as its header states it.
    pub fn kuan(&self, radius: isize, noise: f64) -> Vec<u8> {
        self.map(|x, y| {
            let (mean, variance) = self.statistics(x, y, radius);
            let gain = if variance > 1e-9 { 1.0 - (mean * noise).powi(2) / variance } else { 0.0 };
            let gain = (gain / (1.0 + noise * noise)).max(0.0);
            (mean + gain * (f64::from(self.at(x, y)) - mean)).round() as u8
        })
    }

    /// Frost's filter as its header states it.
    pub fn frost(&self, radius: isize, damping: f64) -> Vec<u8> {
        let offsets = || (-radius..=radius).flat_map(|dy| (-radius..=radius).map(move |dx| (dx, dy)));
        self.map(|x, y| {
            let (mean, variance) = self.statistics(x, y, radius);
            let alpha = if mean > 0.0 { damping * variance / (mean * mean) } else { 0.0 };
            let weight = |dx: isize, dy: isize| (-alpha * ((dx * dx + dy * dy) as f64).sqrt()).exp();
            let sum: f64 = offsets().map(|(dx, dy)| weight(dx, dy) * f64::from(self.at(x + dx, y + dy))).sum();
            (sum / offsets().map(|(dx, dy)| weight(dx, dy)).sum::<f64>()).round() as u8
        })
    }

    /// Non-local means as its header states them.
    pub fn nlm(&self, patch: isize, search: isize, strength: f64) -> Vec<u8> {
        let offsets = || (-search..=search).flat_map(|dy| (-search..=search).map(move |dx| (dx, dy)));
        self.map(|x, y| {
            let own = self.window(x, y, patch);
            let (mut sum, mut weights) = (0.0, 0.0);
            for (dx, dy) in offsets() {
                let other = self.window(x + dx, y + dy, patch);
                let squares: f64 = own.iter().zip(&other).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
                let weight = (-squares / own.len() as f64 / (strength * strength)).exp();
                sum += weight * f64::from(self.at(x + dx, y + dy));
                weights += weight;
            }
            (sum / weights).round() as u8
        })
    }

    /// Speckle reducing anisotropic diffusion in double precision, as its header states it.
    pub fn srad(&self, iterations: u32, step: f64, speckle: f64, dynamic_range: f64) -> Vec<u8> {
        let (w, h) = (self.0.width as isize, self.0.height as isize);
        let near = |plane: &[f64], x: isize, y: isize| plane[(y.clamp(0, h - 1) * w + x.clamp(0, w - 1)) as usize];
        let all = || (0..h).flat_map(|y| (0..w).map(move |x| (x, y)));
        let mut a: Vec<f64> =
            self.1.iter().map(|&g| 10f64.powf((f64::from(g) / 255.0 - 1.0) * dynamic_range / 20.0)).collect();
        for t in 0..iterations {
            let q0 = (speckle * (-f64::from(t) * step / 6.0).exp()).powi(2);
            let flow: Vec<f64> = all()
                .map(|(x, y)| {
                    let here = near(&a, x, y);
                    let d = [(0, -1), (0, 1), (-1, 0), (1, 0)].map(|(u, v)| near(&a, x + u, y + v) / here - 1.0);
                    let (gradient, laplacian) = (d.iter().map(|d| d * d).sum::<f64>(), d.iter().sum::<f64>());
                    let q = (gradient / 2.0 - laplacian.powi(2) / 16.0) / (1.0 + laplacian / 4.0).powi(2);
                    if q <= q0 { 1.0 } else { 1.0 / (1.0 + (q - q0) / (q0 * (1.0 + q0))) }
                })
                .collect();
            a = all()
                .map(|(x, y)| {
                    let (here, c) = (near(&a, x, y), near(&flow, x, y));
                    let from = |u: isize, v: isize| near(&a, x + u, y + v) - here;
                    let ahead = near(&flow, x, y + 1) * from(0, 1) + near(&flow, x + 1, y) * from(1, 0);
                    here + step / 4.0 * (ahead + c * (from(0, -1) + from(-1, 0)))
                })
                .collect();
        }
        a.into_iter().map(|a| (255.0 * (20.0 * a.log10() / dynamic_range + 1.0)).round() as u8).collect()
    }
}

/// The largest difference of two lists of as many values; beyond all bounds where one of two is not a number.
pub fn farthest(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len(), "values");
    let apart = |(a, b): (&f32, &f32)| match (a.is_nan(), b.is_nan()) {
        (true, true) => 0.0,
        (false, false) if a == b => 0.0,
        (false, false) => (a - b).abs(),
        _ => f32::INFINITY,
    };
    found.iter().zip(expected).map(apart).fold(0.0, f32::max)
}
