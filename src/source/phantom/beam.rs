//! From tissue to picture: what the probe hears, and what the scanner makes of it.
//!
//! Echoes are convolved with the point spread function (separable; Gaussian along the beam, Gaussian across it, wider
//! with depth), weakened by what lies above, amplified by time-gain compensation together with the noise of the
//! receiver; the envelopes of two looks are compounded and compressed to decibels. Each look alone is fully developed
//! speckle.
//!
//! References: Wagner et al. 1983 and Burckhardt 1978 (speckle, see `tissue`); Szabo, "Diagnostic ultrasound imaging:
//! inside out", 2nd ed., 2014, chapters 6 (beams: width = λ × f-number), 4 (attenuation) and 10 (compression).

use super::anatomy::DEPTH_MM;
use super::math::{Rng, amplitude, exp2, log2, mix, noise};
use super::motion::Pose;
use super::tissue::Tissue;

/// Wavelength at 7.5 MHz and 1540 m/s, mm.
const WAVELENGTH_MM: f32 = 0.205;
/// Width of the aperture that listens, mm; nearer than `aperture × MIN_F_NUMBER` it is opened only so far.
const APERTURE_MM: f32 = 7.2;
const MIN_F_NUMBER: f32 = 2.4;
/// Full width at half maximum of the pulse along the beam, mm.
const PULSE_MM: f32 = 0.21;
/// Decibels from black to white.
const RANGE_DB: f32 = 60.0;
/// Level of the receiver's noise before time-gain compensation, dB.
const NOISE_DB: f32 = -79.0;
/// Time-gain compensation: dB per mm, and the most it gives.
const GAIN_DB_MM: f32 = 0.84;
const GAIN_MAX_DB: f32 = 23.5;
/// What the grey curve is raised by, dB.
const BRIGHTNESS_DB: f32 = -6.5;
/// From full width at half maximum to the σ of a Gaussian.
const FWHM_TO_SIGMA: f32 = 0.424_661;

/// Everything about the beam that does not change from frame to frame, and the planes that are reused.
#[derive(Clone, Debug)]
pub(super) struct Beam {
    width: usize,
    height: usize,
    pitch: f32,
    seed: u64,
    axial: Vec<f32>,
    lateral: Vec<Vec<f32>>,
    /// Pixels more on every side, as far as the widest point spread function reaches.
    rim: usize,
    gain: Vec<f32>,
    near_field: Vec<f32>,
    hiss: Vec<[f32; 2]>,
    grey: [u8; 256],
    /// Real and imaginary part of the first look, then of the second.
    planes: [Vec<f32>; 4],
    weaken: Vec<f32>,
}

/// Half of a Gaussian kernel, the centre first, of unit energy: so speckle is as bright at every depth.
fn half_kernel(sigma: f32) -> Vec<f32> {
    let radius = (2.6 * sigma).max(1.0) as usize;
    let mut half: Vec<f32> = (0..=radius).map(|i| exp2(-0.721_347_5 * (i * i) as f32 / (sigma * sigma))).collect();
    let energy = half[0] * half[0] + 2.0 * half[1..].iter().map(|k| k * k).sum::<f32>();
    let scale = 1.0 / energy.sqrt();
    half.iter_mut().for_each(|k| *k *= scale);
    half
}

/// Pixels that the point spread function reaches at most.
pub(super) fn rim(pitch: f32) -> usize {
    (2.6 * lateral_sigma_mm(DEPTH_MM) / pitch).max(2.6 * PULSE_MM * FWHM_TO_SIGMA / pitch) as usize + 2
}

fn lateral_sigma_mm(depth: f32) -> f32 {
    WAVELENGTH_MM * (depth / APERTURE_MM).max(MIN_F_NUMBER) * FWHM_TO_SIGMA
}

impl Beam {
    /// A beam for pictures of `width` by `height` pixels, `pitch` mm apart.
    pub fn new(seed: u64, width: usize, height: usize, pitch: f32) -> Self {
        let rim = rim(pitch);
        let depth = |row: usize| (row as f32 + 0.5) * pitch;
        let mut rng = Rng::new(seed, 5);
        // Receiver noise, a little smooth across as neighbouring lines share channels.
        let raw: Vec<[f32; 2]> = (0..(1 << 17) + width + 4).map(|_| [rng.normal(), rng.normal()]).collect();
        let smooth =
            |w: &[[f32; 2]], c: usize| 0.35 * w[0][c] + 0.5 * w[1][c] + 0.5 * w[2][c] + 0.5 * w[3][c] + 0.35 * w[4][c];
        let hiss = raw.windows(5).map(|w| [smooth(w, 0), smooth(w, 1)]).collect();
        let mut near_field = vec![0.0; width * height];
        for row in 0..height {
            let y = depth(row);
            let ring = 0.72 + 0.28 * noise(seed ^ 0xB0, y / 0.22, 0.0);
            let level = amplitude(-14.0 - 16.0 * y) * ring;
            if level < 1e-3 {
                break;
            }
            for (column, out) in near_field[row * width..][..width].iter_mut().enumerate() {
                *out = level * (0.85 + 0.15 * noise(seed ^ 0xB1, column as f32 * pitch / 0.5, y / 0.3));
            }
        }
        let grey = std::array::from_fn(|v| {
            let t = v as f32 / 255.0;
            ((0.55 * t + 0.45 * t * t * (3.0 - 2.0 * t)) * 255.0 + 0.5) as u8 // a mild S, as scanners offer
        });
        let padded = (width + 2 * rim) * (height + 2 * rim);
        Self {
            width,
            height,
            pitch,
            seed,
            axial: half_kernel(PULSE_MM * FWHM_TO_SIGMA / pitch),
            lateral: (0..height).map(|row| half_kernel(lateral_sigma_mm(depth(row)) / pitch)).collect(),
            rim,
            gain: (0..height).map(|row| (GAIN_DB_MM * depth(row)).min(GAIN_MAX_DB)).collect(),
            near_field,
            hiss,
            grey,
            planes: std::array::from_fn(|_| vec![0.0; padded]),
            weaken: vec![0.0; width * height],
        }
    }

    /// Draws the picture at `pose` into `out` (`height × width`); `label` is given the tissue positions of every row,
    /// in mm, so that a mask can be made from exactly what the beam saw.
    pub fn draw(
        &mut self,
        tissue: &Tissue,
        pose: &Pose,
        index: u64,
        out: &mut [u8],
        mut label: impl FnMut(usize, &[f32], &[f32]),
    ) {
        self.listen(tissue, pose, &mut label);
        self.spread_along();
        self.spread_across();
        self.compress(index, out);
    }

    /// Echo of every pixel from the tissue that is there now, and how much the tissue above it weakens the sound.
    fn listen(&mut self, tissue: &Tissue, pose: &Pose, label: &mut impl FnMut(usize, &[f32], &[f32])) {
        let (rim, padded) = (self.rim, self.width + 2 * self.rim);
        let (mut xs, mut ys) = (vec![0.0f32; padded], vec![0.0f32; padded]);
        let mut path = vec![0.0f32; padded];
        let mix = [
            super::math::sin_turns(pose.tilt / std::f64::consts::TAU + 0.25),
            super::math::sin_turns(pose.tilt / std::f64::consts::TAU),
        ];
        let [near, far] = mix.map(|m| m as f32);
        let half = self.width as f32 * 0.5;
        let scale = 1.0 / self.pitch;
        let last = [tissue.width as f32 - 1.001, tissue.height as f32 - 1.001];
        for row in 0..self.height + 2 * rim {
            let y = (row as f32 - rim as f32 + 0.5) * self.pitch;
            for (column, x) in xs.iter_mut().enumerate() {
                *x = (column as f32 - rim as f32 + 0.5 - half) * self.pitch;
            }
            pose.tissue_row(&mut xs, y, &mut ys);
            let picture = (rim..rim + self.height).contains(&row);
            if picture {
                label(row - rim, &xs[rim..rim + self.width], &ys[rim..rim + self.width]);
            }
            let [re1, im1, re2, im2] = self.planes.each_mut().map(|p| &mut p[row * padded..][..padded]);
            for column in 0..padded {
                let fx = ((xs[column] - tissue.origin[0]) * scale).clamp(0.0, last[0]);
                let fy = ((ys[column] - tissue.origin[1]) * scale).clamp(0.0, last[1]);
                let (ix, iy) = (fx as usize, fy as usize);
                let (u, v) = (fx - ix as f32, fy - iy as f32);
                let i = iy * tissue.width + ix;
                let top = &tissue.echoes[i..i + 2];
                let bottom = &tissue.echoes[i + tissue.width..i + tissue.width + 2];
                let mut e = [0.0f32; 4];
                for (k, e) in e.iter_mut().enumerate() {
                    let a = top[0][k] + (top[1][k] - top[0][k]) * u;
                    let b = bottom[0][k] + (bottom[1][k] - bottom[0][k]) * u;
                    *e = a + (b - a) * v;
                }
                re1[column] = near * e[0] + far * e[2];
                im1[column] = near * e[1] + far * e[3];
                re2[column] = near * e[2] - far * e[0];
                im2[column] = near * e[3] - far * e[1];
                if row >= rim {
                    path[column] += tissue.attenuation[i];
                }
            }
            if picture {
                // the aperture is wide: a shadow has soft edges
                let soft = (1.0 + 0.02 * y) * 0.35 * scale;
                let soft = (soft as usize).clamp(1, rim);
                let out = &mut self.weaken[(row - rim) * self.width..][..self.width];
                let share = self.pitch / (2 * soft + 1) as f32;
                let mut sum: f32 = path[rim - soft..rim + soft].iter().sum();
                for (column, out) in out.iter_mut().enumerate() {
                    sum += path[rim + column + soft];
                    *out = sum * share;
                    sum -= path[rim + column - soft];
                }
            }
        }
    }

    /// Convolution along the beam, in place: rows are kept in a ring until nobody needs them.
    fn spread_along(&mut self) {
        let padded = self.width + 2 * self.rim;
        let half = &self.axial;
        let reach = half.len() - 1;
        for plane in &mut self.planes {
            let mut done = vec![0.0f32; padded];
            // rows move up by `rim`: row r of the picture is written over row r of the padded plane
            for row in 0..self.height {
                let center = row + self.rim;
                for (o, s) in done.iter_mut().zip(&plane[center * padded..][..padded]) {
                    *o = half[0] * s;
                }
                for (k, &weight) in half.iter().enumerate().skip(1) {
                    let above = &plane[(center - k) * padded..][..padded];
                    let below = &plane[(center + k) * padded..][..padded];
                    for ((o, a), b) in done.iter_mut().zip(above).zip(below) {
                        *o += weight * (a + b);
                    }
                }
                debug_assert!(row < center - reach + 1);
                plane[row * padded..][..padded].copy_from_slice(&done);
            }
        }
    }

    /// Convolution across the beam, row by row, with the width that the depth gives.
    fn spread_across(&mut self) {
        let padded = self.width + 2 * self.rim;
        let mut done = vec![0.0f32; self.width];
        for plane in &mut self.planes {
            for (row, half) in self.lateral.iter().enumerate() {
                let line = &mut plane[row * padded..][..padded];
                for (o, s) in done.iter_mut().zip(&line[self.rim..]) {
                    *o = half[0] * s;
                }
                for (k, &weight) in half.iter().enumerate().skip(1) {
                    let (left, right) = (&line[self.rim - k..], &line[self.rim + k..]);
                    for ((o, a), b) in done.iter_mut().zip(left).zip(right) {
                        *o += weight * (a + b);
                    }
                }
                line[..self.width].copy_from_slice(&done);
            }
        }
    }

    /// Gain, noise and the power of both looks; then smoothing, decibels, grey.
    fn compress(&mut self, index: u64, out: &mut [u8]) {
        let padded = self.width + 2 * self.rim;
        for row in 0..self.height {
            let key = mix(self.seed ^ mix(index.wrapping_mul(0x1_0001).wrapping_add((row as u64) << 40)));
            let hiss = &self.hiss[(key & 0x1_FFFF) as usize..][..self.width];
            let gain = self.gain[row];
            let noise = amplitude(NOISE_DB + gain);
            let range = row * padded..row * padded + self.width;
            let [re1, im1, re2, im2] = self.planes.each_ref().map(|p| &p[range.clone()]);
            let here = row * self.width..(row + 1) * self.width;
            let near = &self.near_field[here.clone()];
            // the path is no longer needed once its pixel has its power
            for (i, power) in self.weaken[here].iter_mut().enumerate() {
                let g = exp2((gain - *power) * 0.166_096_4);
                let a = re1[i] * g + hiss[i][0] * noise + near[i];
                let b = im1[i] * g + hiss[i][1] * noise;
                let (c, d) = (re2[i] * g, im2[i] * g);
                *power = 0.5 * (a * a + b * b + c * c + d * d);
            }
        }
        // Scanners smooth what they have detected: weights 1 2 1 along and across.
        let to_grey = 255.0 / RANGE_DB;
        let mut sum = vec![0.0f32; self.width + 2];
        for (row, out) in out.chunks_exact_mut(self.width).enumerate() {
            let line = |r: usize| &self.weaken[r * self.width..][..self.width];
            let (above, here, below) = (line(row.saturating_sub(1)), line(row), line((row + 1).min(self.height - 1)));
            for (s, ((a, h), b)) in sum[1..].iter_mut().zip(above.iter().zip(here).zip(below)) {
                *s = a + 2.0 * h + b;
            }
            sum[0] = sum[1];
            sum[self.width + 1] = sum[self.width];
            for (i, out) in out.iter_mut().enumerate() {
                let power = (sum[i] + 2.0 * sum[i + 1] + sum[i + 2]) * 0.0625;
                // 10 log10 x = 3.0103 log2 x
                let db = 3.010_3 * log2(power + 1e-12) + BRIGHTNESS_DB;
                *out = self.grey[((db + RANGE_DB) * to_grey).clamp(0.0, 255.0) as usize];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::phantom::motion::Motion;

    /// Envelope of uniform tissue has a signal-to-noise ratio of 1.91: Rayleigh, fully developed speckle.
    #[test]
    fn speckle_is_fully_developed() {
        let (width, height, pitch) = (320, 240, DEPTH_MM / 240.0);
        let mut rng = Rng::new(3, 9);
        let n = 500 * 400;
        let tissue = Tissue {
            width: 500,
            height: 400,
            origin: [-250.0 * pitch, -60.0 * pitch],
            echoes: (0..n).map(|_| [0.0; 4].map(|_: f32| rng.normal())).collect(),
            attenuation: vec![0.0; n],
        };
        let mut beam = Beam::new(3, width, height, pitch);
        let pose = Motion::new(3, [0.0, 20.0], 2.5).at(0.4);
        beam.listen(&tissue, &pose, &mut |_, _, _| {});
        beam.spread_along();
        beam.spread_across();
        let padded = width + 2 * beam.rim;
        let envelope = (0..height).flat_map(|y| (0..width).map(move |x| y * padded + x));
        let envelope: Vec<f64> = envelope.map(|i| f64::from(beam.planes[0][i].hypot(beam.planes[1][i]))).collect();
        let mean = envelope.iter().sum::<f64>() / envelope.len() as f64;
        let variance = envelope.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / envelope.len() as f64;
        let ratio = mean / variance.sqrt();
        assert!((ratio - 1.913).abs() < 0.06, "mean / deviation {ratio}, Rayleigh 1.913");
    }
}
