//! Changes a picture as another probe, hand or scanner would, and its truth with it.

use std::f32::consts::TAU;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::data::Example;

/// How far each change goes; 0, the `Default`, leaves it out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Augment {
    /// Probability of a mirror image.
    pub flip: f32,
    /// Degrees to either side.
    pub rotate: f32,
    /// Natural logarithm of the scale, to either side.
    pub scale: f32,
    /// The same of width against height.
    pub stretch: f32,
    /// Part of the half side, to either side.
    pub shift: f32,
    /// Tangent of the angle, to either side.
    pub shear: f32,
    /// Largest standard deviation of the displacement, part of the half side.
    pub elastic: f32,
    /// Added level, to either side, of 0..=1.
    pub brightness: f32,
    /// Part by which contrast changes, to either side.
    pub contrast: f32,
    /// Natural logarithm of the exponent, to either side.
    pub gamma: f32,
    /// Part by which the gain changes from top to bottom, to either side.
    pub gain: f32,
    /// Largest standard deviation of multiplicative noise.
    pub speckle: f32,
    /// Probability of a shadow.
    pub shadow: f32,
    /// Probability of a blur.
    pub blur: f32,
    /// Probability of a JPEG in between.
    pub jpeg: f32,
    /// Probability that only a part is shown which lacks one of the classes: the same scanner, and nothing to find. As often
    /// again a part is shown whatever it has.
    pub without: f32,
}

/// Name of a change, where it lies, and how far it goes by default.
type Change = (&'static str, fn(&mut Augment) -> &mut f32, f32);

const CHANGES: [Change; 16] = [
    ("flip", |a| &mut a.flip, 0.5),
    ("rotate", |a| &mut a.rotate, 25.0),
    ("scale", |a| &mut a.scale, 0.35),
    ("stretch", |a| &mut a.stretch, 0.15),
    ("shift", |a| &mut a.shift, 0.3),
    ("shear", |a| &mut a.shear, 0.15),
    ("elastic", |a| &mut a.elastic, 0.05),
    ("brightness", |a| &mut a.brightness, 0.1),
    ("contrast", |a| &mut a.contrast, 0.3),
    ("gamma", |a| &mut a.gamma, 0.5),
    ("gain", |a| &mut a.gain, 0.3),
    ("speckle", |a| &mut a.speckle, 0.25),
    ("shadow", |a| &mut a.shadow, 0.15),
    ("blur", |a| &mut a.blur, 0.2),
    ("jpeg", |a| &mut a.jpeg, 0.1),
    ("without", |a| &mut a.without, 0.1),
];

/// `default`, `none`, or what differs from the default: `rotate=10,elastic=0`.
impl std::str::FromStr for Augment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut augment = Self::default();
        match text {
            "none" => (),
            "default" => {
                for (_, place, most) in CHANGES {
                    *place(&mut augment) = most;
                }
            }
            list => {
                augment = "default".parse()?;
                for part in list.split(',') {
                    let found = part.split_once('=').and_then(|(name, value)| {
                        let (_, place, _) = CHANGES.iter().find(|(n, ..)| *n == name.trim())?;
                        let value: f32 = value.trim().parse().ok()?;
                        (value.is_finite() && value >= 0.0).then(|| *place(&mut augment) = value)
                    });
                    let names = CHANGES.map(|(name, ..)| name).join(", ");
                    found.ok_or_else(|| {
                        format!("cannot read the change `{part}`: expected `default`, `none` or NAME=AMOUNT with a name of {names}")
                    })?;
                }
            }
        }
        Ok(augment)
    }
}

/// All changes by name, as they are read.
impl std::fmt::Display for Augment {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let mut of = self.clone();
        let list = CHANGES.map(|(name, place, _)| format!("{name}={}", *place(&mut of)));
        f.write_str(&list.join(","))
    }
}

impl Augment {
    /// Draws one variant of an example.
    ///
    /// # Shapes
    /// `picture` is `height × width`, 0..=1; `truth` `classes × height × width`, the part of each pixel that belongs to the class.
    pub fn apply(
        &self,
        example: &Example,
        [width, height]: [usize; 2],
        random: &mut ChaCha8Rng,
        picture: &mut [f32],
        truth: &mut [f32],
    ) {
        let map = self.geometry(width as f32 / height as f32, random);
        // as many parts are drawn whatever they show: being a part says nothing about what is there
        let part = match random.random::<f32>() {
            chance if chance < self.without => Part::without_a_class(example, random),
            chance if chance < 2.0 * self.without => Some(Part::draw(1.0, random)),
            _ => None,
        };
        let part = part.unwrap_or(Part::ALL);
        let [from_width, from_height] = example.size;
        truth.fill(0.0);
        for y in 0..height {
            let v = (y as f32 + 0.5) / height as f32 * 2.0 - 1.0;
            for x in 0..width {
                let u = (x as f32 + 0.5) / width as f32 * 2.0 - 1.0;
                picture[y * width + x] = 0.0;
                let Some([u, v]) = part.at(map.at(u, v)) else { continue };
                let (fx, fy) = ((u + 1.0) * 0.5 * from_width as f32 - 0.5, (v + 1.0) * 0.5 * from_height as f32 - 0.5);
                let (x0, y0) = (fx.floor(), fy.floor());
                let (tx, ty) = (fx - x0, fy - y0);
                let (x0, y0) = (x0 as i64, y0 as i64);
                let mut level = 0.0;
                for (dx, dy, part) in
                    [(0, 0, (1.0 - tx) * (1.0 - ty)), (1, 0, tx * (1.0 - ty)), (0, 1, (1.0 - tx) * ty), (1, 1, tx * ty)]
                {
                    let (sx, sy) = (x0 + dx, y0 + dy);
                    if sx < 0 || sy < 0 || sx >= from_width as i64 || sy >= from_height as i64 {
                        continue;
                    }
                    let at = sy as usize * from_width + sx as usize;
                    level += part * f32::from(example.picture[at]);
                    let class = usize::from(example.truth[at]);
                    if class > 0 {
                        truth[(class - 1) * width * height + y * width + x] += part;
                    }
                }
                picture[y * width + x] = level / 255.0;
            }
        }
        self.levels([width, height], random, picture);
    }

    fn geometry(&self, aspect: f32, random: &mut ChaCha8Rng) -> Map {
        let mut either = |reach: f32| random.random_range(-1.0f32..=1.0) * reach;
        let (sin, cos) = either(self.rotate.to_radians()).sin_cos();
        let scale = either(self.scale).exp();
        let stretch = either(self.stretch).exp();
        let shear = either(self.shear);
        let shift = [either(self.shift), either(self.shift)];
        let flip = if random.random::<f32>() < self.flip { -1.0 } else { 1.0 };
        let matrix = [
            [cos * scale * stretch * flip, (shear - sin) * scale / aspect],
            [sin * scale * stretch * flip * aspect, cos * scale],
        ];
        let spread = random.random::<f32>() * self.elastic;
        let bend = if spread > 0.0 {
            (0..2).map(|_| (0..KNOTS * KNOTS).map(|_| normal(random) * spread).collect()).collect()
        } else {
            vec![]
        };
        Map { matrix, shift, bend }
    }

    fn levels(&self, [width, height]: [usize; 2], random: &mut ChaCha8Rng, picture: &mut [f32]) {
        let either = |random: &mut ChaCha8Rng, reach: f32| random.random_range(-1.0f32..=1.0) * reach;
        let gamma = either(random, self.gamma).exp();
        let contrast = 1.0 + either(random, self.contrast);
        let brightness = either(random, self.brightness);
        let gain = either(random, self.gain);
        let shadow = random.random::<f32>() < self.shadow;
        let [middle, half, top] =
            [random.random::<f32>(), 0.03 + 0.1 * random.random::<f32>(), random.random::<f32>() * 0.7];
        let noisy = random.random::<f32>() < 0.4;
        let spread = if noisy { random.random::<f32>() * self.speckle } else { 0.0 };
        for (y, row) in picture.chunks_exact_mut(width).enumerate() {
            let depth = (y as f32 + 0.5) / height as f32;
            for (x, level) in row.iter_mut().enumerate() {
                // black stays black: the border of a scan is no tissue
                let mut v = if gamma == 1.0 { *level } else { level.powf(gamma) };
                if *level > 0.0 {
                    v = (v - 0.3) * contrast + 0.3 + brightness;
                }
                v *= 1.0 + gain * (depth * 2.0 - 1.0);
                if shadow && depth > top {
                    let d = ((x as f32 + 0.5) / width as f32 - middle) / half;
                    v *= 1.0 - 0.8 * (-d * d).exp();
                }
                *level = v.clamp(0.0, 1.0);
            }
        }
        if spread > 0.0 {
            speckle([width, height], spread, random, picture);
        }
        if random.random::<f32>() < self.blur {
            blur(width, picture);
        }
        if random.random::<f32>() < self.jpeg {
            jpeg([width, height], random.random_range(30..=90), picture);
        }
    }
}

/// A part of the picture, of its shape: the middle along each side and the half length of all, in -1..=1.
struct Part {
    middle: [f32; 2],
    half: f32,
}

impl Part {
    const ALL: Self = Self { middle: [0.0; 2], half: 1.0 };

    fn draw(most: f32, random: &mut ChaCha8Rng) -> Self {
        let half = random.random_range(0.25..=most);
        Self { middle: [(); 2].map(|()| random.random_range(-1.0f32..=1.0) * (1.0 - half)), half }
    }

    /// Draws one that lacks a class which the picture shows, smaller and smaller ones where there are none; or nothing.
    fn without_a_class(example: &Example, random: &mut ChaCha8Rng) -> Option<Self> {
        let mut seen: Vec<u8> = example.truth.iter().copied().filter(|class| *class > 0).collect();
        seen.sort_unstable();
        seen.dedup();
        let class = *seen.choose(random)?;
        let free = |part: &Self| {
            // with what lies half in and half out
            let [columns, rows] = [0, 1].map(|side| {
                let place = |t: f32| ((t + 1.0) * 0.5 * example.size[side] as f32) as usize;
                let [first, last] = [-1.0, 1.0].map(|end| place(part.middle[side] + end * part.half));
                first.saturating_sub(1)..(last + 2).min(example.size[side])
            });
            rows.into_iter().all(|row| !example.truth[row * example.size[0]..][columns.clone()].contains(&class))
        };
        (0..50).map(|tried| Self::draw(1.0 - 0.015 * tried as f32, random)).find(free)
    }

    /// From a place in the part to one in the picture; nothing for what lies beside the part.
    fn at(&self, [u, v]: [f32; 2]) -> Option<[f32; 2]> {
        let inside = self.half >= 1.0 || (u.abs() <= 1.0 && v.abs() <= 1.0);
        inside.then(|| [self.middle[0] + u * self.half, self.middle[1] + v * self.half])
    }
}

/// Side of the grid of displacements.
const KNOTS: usize = 6;

/// From a place in the new picture to one in the old, both -1..=1 across each side.
struct Map {
    matrix: [[f32; 2]; 2],
    shift: [f32; 2],
    /// Displacements along x and y at [`KNOTS`]² knots, or none.
    bend: Vec<Vec<f32>>,
}

impl Map {
    fn at(&self, u: f32, v: f32) -> [f32; 2] {
        let [[a, b], [c, d]] = self.matrix;
        let mut to = [a * u + b * v + self.shift[0], c * u + d * v + self.shift[1]];
        for (to, knots) in to.iter_mut().zip(&self.bend) {
            *to += smooth(knots, u, v);
        }
        to
    }
}

/// Cubic B-spline through a grid, which bends without a crease.
///
/// # References
/// Rueckert et al., "Nonrigid registration using free-form deformations", IEEE TMI 1999: free-form deformation.
fn smooth(knots: &[f32], u: f32, v: f32) -> f32 {
    let place = |t: f32| {
        let t = (t.clamp(-1.0, 1.0) + 1.0) * 0.5 * (KNOTS - 1) as f32;
        let first = (t as usize).min(KNOTS - 2);
        let s = t - first as f32;
        let (s2, s3) = (s * s, s * s * s);
        let w =
            [(1.0 - s).powi(3), 3.0 * s3 - 6.0 * s2 + 4.0, -3.0 * s3 + 3.0 * s2 + 3.0 * s + 1.0, s3].map(|w| w / 6.0);
        (first, w)
    };
    let ((x0, wx), (y0, wy)) = (place(u), place(v));
    let knot = |i: usize| (i.max(1) - 1).min(KNOTS - 1);
    let row = |j: usize| (0..4).map(|i| wx[i] * knots[knot(y0 + j) * KNOTS + knot(x0 + i)]).sum::<f32>();
    (0..4).map(|j| wy[j] * row(j)).sum()
}

/// Multiplicative noise whose grains are about two pixels wide.
fn speckle([width, height]: [usize; 2], spread: f32, random: &mut ChaCha8Rng, picture: &mut [f32]) {
    let (coarse, rows) = (width / 2 + 2, height / 2 + 2);
    let noise: Vec<f32> = (0..coarse * rows).map(|_| normal(random)).collect();
    for (y, row) in picture.chunks_exact_mut(width).enumerate() {
        for (x, level) in row.iter_mut().enumerate() {
            let at = y / 2 * coarse + x / 2;
            let (tx, ty) = ((x % 2) as f32 * 0.5, (y % 2) as f32 * 0.5);
            let across = |at: usize| noise[at] * (1.0 - tx) + noise[at + 1] * tx;
            let n = across(at) * (1.0 - ty) + across(at + coarse) * ty;
            *level = (*level * (1.0 + spread * n)).clamp(0.0, 1.0);
        }
    }
}

/// The weights 1 2 1 across and down.
fn blur(width: usize, picture: &mut [f32]) {
    let line = |old: &[f32], at: usize| {
        let (before, after) = (old[at.saturating_sub(1)], old[(at + 1).min(old.len() - 1)]);
        (before + 2.0 * old[at] + after) / 4.0
    };
    let mut old = vec![];
    for row in picture.chunks_exact_mut(width) {
        old.clear();
        old.extend_from_slice(row);
        row.iter_mut().enumerate().for_each(|(x, v)| *v = line(&old, x));
    }
    let height = picture.len() / width;
    for x in 0..width {
        old.clear();
        old.extend((0..height).map(|y| picture[y * width + x]));
        (0..height).for_each(|y| picture[y * width + x] = line(&old, y));
    }
}

/// What a recording that was compressed on its way has lost.
fn jpeg([width, height]: [usize; 2], quality: u8, picture: &mut [f32]) {
    let bytes: Vec<u8> = picture.iter().map(|v| (v * 255.0).round() as u8).collect();
    let mut file = vec![];
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    let done = encoder.encode(&bytes, width as u32, height as u32, image::ExtendedColorType::L8);
    // a picture too large for JPEG stays as it is
    let Some(back) = done.ok().and_then(|()| image::load_from_memory(&file).ok()) else { return };
    picture.iter_mut().zip(back.into_luma8().as_raw()).for_each(|(v, b)| *v = f32::from(*b) / 255.0);
}

/// Standard normal.
///
/// # References
/// Box & Muller, 1958.
pub fn normal(random: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (1.0 - random.random::<f32>(), random.random());
    (-2.0 * u.ln()).sqrt() * (TAU * v).cos()
}
