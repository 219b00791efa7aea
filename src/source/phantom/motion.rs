//! How the tissue moves under the probe: slide, tilt, breath and pulse.

use super::anatomy::DEPTH_MM;
use super::math::{Rng, sin_turns};

/// The farthest that tissue is displaced sideways, mm.
pub(super) const REACH_X_MM: f32 = 4.2;
/// The farthest that it is displaced up or down, mm.
pub(super) const REACH_Y_MM: f32 = 1.5;

/// The movement of one phantom.
#[derive(Clone, Debug)]
pub(super) struct Motion {
    phases: [f64; 6],
    heart_hz: f64,
    artery: [f32; 2],
    radius: f32,
}

/// The movement at one moment: from a place in the picture to the tissue that is there, in mm.
#[derive(Clone, Debug)]
pub(super) struct Pose {
    slide: f32,
    breath: f32,
    artery: [f32; 2],
    r2: f32,
    swell: f32,
    /// How far the plane has tilted out of itself, radians of decorrelation: 0 none, π/2 other scatterers altogether.
    pub tilt: f64,
}

impl Motion {
    /// The movement of `seed`, around an artery at `center` with `radius`, mm.
    pub fn new(seed: u64, center: [f32; 2], radius: f32) -> Self {
        let mut rng = Rng::new(seed, 2);
        let phases = [(); 6].map(|()| f64::from(rng.uniform(0.0, 1.0)));
        Self { phases, heart_hz: f64::from(rng.uniform(1.0, 1.35)), artery: center, radius }
    }

    /// Where everything is at `t` seconds.
    pub fn at(&self, t: f64) -> Pose {
        let wave = |i: usize, period: f64| sin_turns(t / period + self.phases[i]);
        let slide = (2.6 * wave(0, 13.0) + 0.7 * wave(1, 5.1)) as f32;
        let breath = (0.8 * wave(2, 4.2) + 0.15 * wave(3, 2.1)) as f32;
        // systole: a quick rise, then a slow fall with the dicrotic wave
        let beat = t * self.heart_hz + self.phases[4];
        let wave_1 = sin_turns(beat);
        let wave_2 = sin_turns(2.0 * beat + 0.11);
        let wave_3 = sin_turns(3.0 * beat + 0.2);
        let pulse = (0.55 * wave_1 + 0.30 * wave_2 + 0.15 * wave_3) as f32;
        let scale = 1.0 + 0.055 * pulse;
        let depth = self.artery[1];
        Pose {
            slide,
            breath,
            artery: [self.artery[0] - slide, depth - shift(breath, depth)],
            r2: self.radius * self.radius,
            swell: scale * scale,
            tilt: 0.55 * wave(5, 7.3) + 0.2 * wave(1, 2.9),
        }
    }
}

/// Displacement at `depth` by breathing: none at the skin, which the probe holds.
#[inline]
fn shift(breath: f32, depth: f32) -> f32 {
    let d = depth * (1.0 / DEPTH_MM);
    breath * d * (1.6 - 0.6 * d)
}

impl Pose {
    /// The tissue that the places `x`, `y` (mm) of a row show, written over `x` and to `ys`.
    ///
    /// The artery swells by `swell` in area and pushes the tissue around it away without compressing it: the area
    /// between two circles about its centre is kept, r² = r'² + (swell - 1) R².
    pub fn tissue_row(&self, xs: &mut [f32], y: f32, ys: &mut [f32]) {
        let push = (self.swell - 1.0) * self.r2;
        let inside = self.swell * self.r2;
        let dy = y - self.artery[1];
        for (x, out) in xs.iter_mut().zip(ys) {
            let dx = *x - self.artery[0];
            let r2 = (dx * dx + dy * dy).max(inside);
            let scale = (1.0 - push / r2).sqrt();
            let moved = self.artery[1] + dy * scale;
            *x = self.artery[0] + dx * scale + self.slide;
            *out = moved + shift(self.breath, moved);
        }
    }
}
