//! The references that fast code is compared with: each fits on one screen and is written for the eye alone.

use sonoplex::backend::cpu::{ConvShape, Pool};

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
