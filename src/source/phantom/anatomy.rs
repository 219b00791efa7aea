//! Where everything lies in the tissue, in millimetres from the middle of the skin: x to the right, y down.

use super::math::{Rng, sin_turns};

/// Depth of the picture in millimetres.
pub(super) const DEPTH_MM: f32 = 40.0;

/// A smooth line across the picture: depth over x, a base, a slope and a few sines.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    base: f32,
    slope: f32,
    waves: [(f32, f32, f32); 4],
}

impl Curve {
    /// Waves from 70 mm to 7 mm long; `rough` is the amplitude of the longest in mm.
    fn new(rng: &mut Rng, base: f32, slope: f32, rough: f32) -> Self {
        let lengths = [70.0, 31.0, 14.0, 7.0];
        let mut gain = rough;
        let waves = lengths.map(|length| {
            let wave = (gain * rng.uniform(0.5, 1.0), 1.0 / (length * rng.uniform(0.8, 1.2)), rng.uniform(0.0, 1.0));
            gain *= 0.42;
            wave
        });
        Self { base, slope, waves }
    }

    /// Depth in mm at `x` mm.
    pub fn at(&self, x: f32) -> f32 {
        let waves = self.waves.iter().map(|&(a, k, p)| a * sin_turns(f64::from(k * x + p)) as f32);
        self.base + self.slope * x + waves.sum::<f32>()
    }
}

/// A closed shape: an ellipse, turned and made a little uneven.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    /// Centre, mm.
    pub center: [f32; 2],
    /// Half axes, mm.
    pub axes: [f32; 2],
    turn: [f32; 2],
    uneven: f32,
}

impl Blob {
    fn new(rng: &mut Rng, center: [f32; 2], axes: [f32; 2], uneven: f32) -> Self {
        let angle = f64::from(rng.uniform(-0.06, 0.06));
        let turn = [sin_turns(angle + 0.25) as f32, sin_turns(angle) as f32];
        Self { center, axes, turn, uneven: uneven * rng.uniform(-1.0, 1.0) }
    }

    /// 0 in the centre, 1 on the outline; beyond one and a half axes it is not evaluated.
    #[inline]
    pub fn level(&self, x: f32, y: f32) -> f32 {
        let [u, v] = self.inner(x, y);
        if u.abs() > 1.5 || v.abs() > 1.5 {
            return 9.0;
        }
        u * u + v * v + self.uneven * u * (u * u - 3.0 * v * v)
    }

    /// Coordinates along the axes, 1 on the outline.
    fn inner(&self, x: f32, y: f32) -> [f32; 2] {
        let (dx, dy) = (x - self.center[0], y - self.center[1]);
        let [c, s] = self.turn;
        [(c * dx + s * dy) / self.axes[0], (c * dy - s * dx) / self.axes[1]]
    }

    /// Half the side of a square around the centre that holds the outline, mm.
    pub fn reach(&self) -> f32 {
        1.5 * self.axes[0].max(self.axes[1])
    }
}

/// A nerve: its outline and its fascicles.
#[derive(Clone, Debug)]
pub(super) struct Nerve {
    pub outline: Blob,
    /// Centre and radius of every fascicle, mm.
    pub fascicles: Vec<[f32; 3]>,
}

impl Nerve {
    fn new(rng: &mut Rng, center: [f32; 2], axes: [f32; 2]) -> Self {
        let outline = Blob::new(rng, center, axes, 0.2);
        let pitch = rng.uniform(1.1, 1.7);
        let mut fascicles = Vec::new();
        let steps = (outline.reach() / (pitch * 0.85)) as i32 + 1;
        for row in -steps..=steps {
            for column in -steps..=steps {
                let shift = if row % 2 == 0 { 0.0 } else { 0.5 };
                let x = center[0] + pitch * (column as f32 + shift + rng.uniform(-0.18, 0.18));
                let y = center[1] + pitch * (row as f32 * 0.85 + rng.uniform(-0.16, 0.16));
                let radius = pitch * rng.uniform(0.24, 0.48);
                if outline.level(x, y) < 0.68 {
                    fascicles.push([x, y, radius]);
                }
            }
        }
        Self { outline, fascicles }
    }
}

/// Everything that there is to see.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    /// Skin to fat.
    pub skin: Curve,
    /// Fat to the first muscle: the superficial fascia.
    pub fat: Curve,
    /// First muscle to the compartment of vessel and nerves.
    pub muscle: Curve,
    /// Compartment to the second muscle.
    pub compartment: Curve,
    /// A septum that runs obliquely through the first muscle.
    pub septum: Curve,
    /// The surface of the bone: centre, top, half width and height of its arc, mm.
    pub bone: [f32; 4],
    bone_rough: Curve,
    /// The artery first; it pulses.
    pub vessels: Vec<Blob>,
    pub nerves: Vec<Nerve>,
    /// Slope of the fibres in the two muscles.
    pub pinnation: [f32; 2],
}

impl Anatomy {
    /// The anatomy of `seed`, for a picture `width` mm wide.
    pub fn new(seed: u64, width: f32, nerve: bool) -> Self {
        let mut rng = Rng::new(seed, 1);
        let fat_depth = rng.uniform(4.8, 6.6);
        let muscle_depth = fat_depth + rng.uniform(6.0, 8.0);
        let room = rng.uniform(8.0, 9.5);
        let tilt = rng.uniform(-0.09, 0.09);
        let skin = Curve::new(&mut rng, 1.5, 0.0, 0.06);
        let fat = Curve::new(&mut rng, fat_depth, tilt * 0.3, 0.7);
        let muscle = Curve::new(&mut rng, muscle_depth, tilt, 1.6);
        let compartment = Curve::new(&mut rng, muscle_depth + room, tilt * -0.6, 1.5);
        let steep = rng.uniform(0.12, 0.24) * if rng.below(2) == 0 { 1.0 } else { -1.0 };
        let septum = Curve::new(&mut rng, (fat_depth + muscle_depth) * 0.5, steep, 0.5);
        let side = if rng.below(2) == 0 { 1.0 } else { -1.0 };
        let bone = [
            side * rng.uniform(0.15, 0.28) * width,
            rng.uniform(29.0, 31.5),
            rng.uniform(0.22, 0.32) * width,
            rng.uniform(5.0, 8.0),
        ];
        let rng_tilt = rng.uniform(-0.12, 0.12);
        let bone_rough = Curve::new(&mut rng, 0.0, rng_tilt, 1.0);

        // Vessel near the middle, nerves beside it; gaps keep them apart, and from each other.
        let middle = |x: f32| (muscle.at(x) + compartment.at(x)) * 0.5;
        let radius = rng.uniform(2.2, 2.9);
        let x = rng.uniform(-0.07, 0.07) * width;
        let y = middle(x) + rng.uniform(-0.4, 0.6);
        let artery = Blob::new(&mut rng, [x, y], [radius * 1.08, radius * 0.9], 0.06);
        let mut vessels = vec![artery];
        let count = 1 + rng.below(3);
        let first = if rng.below(2) == 0 { 1.0 } else { -1.0 };
        let mut edges = [x - radius, x + radius]; // taken so far, left and right
        let mut nerves = Vec::new();
        for i in 0..count {
            let direction = if i % 2 == 0 { first } else { -first };
            let axes = [rng.uniform(2.3, 3.9), rng.uniform(1.4, 2.2)];
            let gap = rng.uniform(0.7, 1.6) + axes[0];
            let edge = &mut edges[usize::from(direction > 0.0)];
            let x = *edge + direction * gap;
            *edge = x + direction * axes[0];
            let y = middle(x) + rng.uniform(-0.8, 0.8);
            let made = Nerve::new(&mut rng, [x, y], axes);
            if nerve {
                nerves.push(made);
            }
        }
        if rng.below(2) == 0 {
            let axes = [rng.uniform(1.5, 2.2), rng.uniform(0.9, 1.3)];
            let x = edges[0] - axes[0] - rng.uniform(0.8, 1.5);
            vessels.push(Blob::new(&mut rng, [x, middle(x)], axes, 0.1));
        }
        let pinnation = [rng.uniform(-0.10, 0.10), rng.uniform(0.08, 0.22) * -side];
        Self { skin, fat, muscle, compartment, septum, bone, bone_rough, vessels, nerves, pinnation }
    }

    /// Depth of the bone's surface at `x` mm, where there is bone.
    pub fn bone_surface(&self, x: f32) -> Option<f32> {
        let [center, top, half, height] = self.bone;
        let u = (x - center) / half;
        (u.abs() < 1.0).then(|| top + height * u * u + self.bone_rough.at(x))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nerves_and_vessels_keep_apart() {
        for seed in 0..200 {
            let a = Anatomy::new(seed, 53.3, true);
            assert!((1..=3).contains(&a.nerves.len()));
            let shapes: Vec<&Blob> = a.vessels.iter().chain(a.nerves.iter().map(|n| &n.outline)).collect();
            for iy in 0..200 {
                for ix in 0..250 {
                    let (x, y) = (ix as f32 * 0.24 - 30.0, iy as f32 * 0.2);
                    let inside = shapes.iter().filter(|s| s.level(x, y) < 1.0).count();
                    assert!(inside <= 1, "seed {seed} at {x}, {y}");
                }
            }
        }
    }
}
