//! The tissue as the beam meets it: scatterers with their strength, mirror-like layers, and attenuation.

use super::anatomy::{Anatomy, Curve, DEPTH_MM};
use super::math::{Rng, amplitude, noise, sin_turns};
use super::motion::{REACH_X_MM, REACH_Y_MM};

/// Scatterers on a grid as fine as the picture, wider than it by as far as tissue ever moves.
///
/// A scatterer is two complex numbers of which the tilt of the probe mixes one: the echo of the plane, and that of the
/// plane an elevational beam width away. Layers that reflect like mirrors are in the first alone, so they come and go
/// as the probe tilts.
#[derive(Clone, Debug)]
pub(super) struct Tissue {
    pub width: usize,
    pub height: usize,
    /// Place of the first scatterer, mm.
    pub origin: [f32; 2],
    /// `height × width`: real and imaginary part of the first echo, then of the second.
    pub echoes: Vec<[f32; 4]>,
    /// `height × width`: attenuation there and back, dB per mm.
    pub attenuation: Vec<f32>,
}

/// What a place is made of: strength of its scatterers in dB, attenuation in dB per mm there and back.
struct Matter(f32, f32);

/// Attenuation there and back at 7.5 MHz of a tissue with `a` dB / (cm MHz).
///
/// # References
/// Duck, "Physical properties of tissues", Academic Press, 1990, chapter 4, for the values used below.
const fn two_way(a: f32) -> f32 {
    a * 7.5 * 2.0 / 10.0
}

/// Fibres of one layer.
struct Bundle<'a> {
    top: &'a Curve,
    bottom: &'a Curve,
    /// How many in a picture 53 mm wide.
    count: f32,
    /// Shortest and longest, mm.
    length: [f32; 2],
    slope: f32,
    /// Level of the brightest, dB.
    db: f32,
}

/// Draws with a pencil that is as thin as fibrous tissue.
struct Sheet<'a> {
    tissue: &'a mut Tissue,
    lines: Vec<f32>,
    diffuse: Vec<f32>,
    pitch: f32,
}

impl Tissue {
    /// The tissue of `anatomy` for a picture `width_mm` wide with `pitch` mm between pixels.
    pub fn new(seed: u64, anatomy: &Anatomy, width_mm: f32, pitch: f32, rim_px: usize) -> Self {
        let rim = rim_px as f32 * pitch;
        let origin = [-width_mm * 0.5 - REACH_X_MM - rim, -REACH_Y_MM - rim];
        let width = ((-2.0 * origin[0]) / pitch) as usize + 2;
        let height = ((DEPTH_MM + 2.0 * (REACH_Y_MM + rim)) / pitch) as usize + 2;
        let n = width * height;
        let mut tissue = Self { width, height, origin, echoes: vec![[0.0; 4]; n], attenuation: vec![0.0; n] };
        let mut sheet = Sheet { tissue: &mut tissue, lines: vec![0.0; n], diffuse: vec![0.0; n], pitch };
        sheet.fill(seed, anatomy);
        sheet.draw_layers(seed, anatomy);
        sheet.draw_fibres(seed, anatomy, width_mm);
        sheet.draw_walls(seed, anatomy);
        sheet.scatter(seed);
        tissue
    }
}

impl Sheet<'_> {
    fn place(&self, column: usize, row: usize) -> [f32; 2] {
        let o = self.tissue.origin;
        [o[0] + column as f32 * self.pitch, o[1] + row as f32 * self.pitch]
    }

    /// Strength and attenuation of every place.
    fn fill(&mut self, seed: u64, a: &Anatomy) {
        for column in 0..self.tissue.width {
            let x = self.place(column, 0)[0];
            let layers = [&a.skin, &a.fat, &a.septum, &a.muscle, &a.compartment].map(|c: &Curve| c.at(x));
            let bone = a.bone_surface(x);
            for row in 0..self.tissue.height {
                let y = self.place(column, row)[1];
                let Matter(db, attenuation) = matter(seed, a, x, y, layers, bone);
                let i = row * self.tissue.width + column;
                self.diffuse[i] = amplitude(db);
                self.tissue.attenuation[i] = attenuation;
            }
        }
    }

    /// Fascia on every boundary: bright sheets, often double, whose brightness changes along them.
    fn draw_layers(&mut self, seed: u64, a: &Anatomy) {
        let sheets: [(&Curve, f32, f32, f32); 8] = [
            (&a.skin, 0.0, -28.0, 0.05),
            (&a.fat, 0.0, -17.0, 0.06),
            (&a.fat, 0.65, -26.0, 0.06),
            (&a.septum, 0.0, -24.0, 0.06),
            (&a.muscle, 0.0, -17.0, 0.07),
            (&a.muscle, -0.6, -27.0, 0.05),
            (&a.compartment, 0.0, -20.0, 0.07),
            (&a.compartment, 0.8, -28.0, 0.06),
        ];
        for (k, &(curve, offset, db, thick)) in sheets.iter().enumerate() {
            let salt = seed ^ (0xFA5C + k as u64);
            for column in 0..self.tissue.width {
                let x = self.place(column, 0)[0];
                let wander = 0.25 * noise(salt ^ 0x77, x / 4.0, 0.0);
                let y = curve.at(x) + offset * (1.0 + wander) + 0.12 * noise(salt ^ 0x78, x / 1.8, 0.0);
                let between = (std::ptr::eq(curve, &a.septum)) && !(a.fat.at(x)..a.muscle.at(x)).contains(&y);
                if between || a.bone_surface(x).is_some_and(|b| y > b - 0.5) {
                    continue;
                }
                let level = db + 15.0 * noise(salt, x / 7.0, 0.0) + 7.0 * noise(salt ^ 1, x / 1.9, 0.0) - 2.0;
                self.dab(column, y, thick * (1.0 + 0.3 * noise(salt ^ 2, x / 3.0, 0.0)), amplitude(level), 0.9);
            }
        }
    }

    /// Septa of the fat, perimysium of the muscles, loose fibres of the compartment.
    fn draw_fibres(&mut self, seed: u64, a: &Anatomy, width_mm: f32) {
        let mut rng = Rng::new(seed, 3);
        let half = width_mm * 0.5 + REACH_X_MM;
        let share = width_mm / 53.0;
        let bundles = [
            Bundle { top: &a.skin, bottom: &a.fat, count: 34.0, length: [3.0, 14.0], slope: 0.0, db: -13.0 },
            Bundle {
                top: &a.fat,
                bottom: &a.muscle,
                count: 90.0,
                length: [0.8, 9.0],
                slope: a.pinnation[0],
                db: -13.0,
            },
            Bundle { top: &a.muscle, bottom: &a.compartment, count: 95.0, length: [2.0, 12.0], slope: 0.0, db: -11.0 },
            Bundle {
                top: &a.compartment,
                bottom: &a.compartment,
                count: 80.0,
                length: [1.0, 8.5],
                slope: a.pinnation[1],
                db: -13.0,
            },
        ];
        for (k, &Bundle { top, bottom, count, length, slope, db }) in bundles.iter().enumerate() {
            for _ in 0..(count * share) as usize {
                let x0 = rng.uniform(-half, half);
                let y0 = top.at(x0);
                let deep = if k == 3 { 14.0 } else { bottom.at(x0) - y0 };
                let part = rng.uniform(0.08, 0.92);
                let y0 = y0 + part * deep;
                let length = rng.uniform(length[0], length[1]) * rng.uniform(0.4, 1.0);
                let slope = slope + rng.uniform(-0.09, 0.09);
                let bend = rng.uniform(-0.012, 0.012);
                let faint = rng.uniform(0.0, 1.0);
                let level = db - 24.0 * faint;
                let thick = rng.uniform(0.04, 0.09);
                let salt = rng.bits();
                let columns = (length / self.pitch) as usize;
                let first = ((x0 - self.tissue.origin[0] - length * 0.5) / self.pitch).max(0.0) as usize;
                for step in 0..=columns {
                    let column = first + step;
                    let s = 2.0 * step as f32 / columns.max(1) as f32 - 1.0;
                    let dx = s * length * 0.5;
                    let x = x0 + dx;
                    let y = y0 + slope * dx + bend * dx * dx + 0.22 * noise(salt, x / 1.7, 0.5);
                    let inside = column < self.tissue.width
                        && y < a.bone_surface(x).unwrap_or(99.0) - 0.3
                        && !a.vessels.iter().any(|v| v.level(x, y) < 1.15)
                        && !a.nerves.iter().any(|n| n.outline.level(x, y) < 1.1)
                        && (k != 0 || y < a.fat.at(x) - 0.2)
                        && (k != 1 || (y > a.fat.at(x) + 0.3 && y < a.muscle.at(x) - 0.3));
                    if inside {
                        let fade = (1.0 - s * s) * (1.0 - s * s) * (0.7 + 0.3 * noise(salt ^ 5, x / 0.8, 0.0));
                        self.dab(column, y, thick, amplitude(level) * fade, 0.6);
                    }
                }
            }
        }
    }

    /// The walls of vessels where the beam meets them squarely, the sheath of nerves, the surface of the bone.
    fn draw_walls(&mut self, seed: u64, a: &Anatomy) {
        for column in 0..self.tissue.width {
            let x = self.place(column, 0)[0];
            for row in 0..self.tissue.height {
                let y = self.place(column, row)[1];
                for v in &a.vessels {
                    let level = v.level(x, y);
                    if (0.98..1.28).contains(&level) {
                        let square = ((y - v.center[1]).abs() / v.axes[1]).min(1.0);
                        let i = row * self.tissue.width + column;
                        let fourth = square * square * square * square;
                        self.lines[i] += 0.06 * fourth * fourth;
                        self.diffuse[i] = self.diffuse[i].max(amplitude(-40.0 + 12.0 * square * square));
                    }
                }
                for n in &a.nerves {
                    let level = n.outline.level(x, y);
                    if (0.86..1.02).contains(&level) {
                        let square = ((y - n.outline.center[1]).abs() / n.outline.axes[1]).min(1.0);
                        self.lines[row * self.tissue.width + column] += 0.02 * square * square;
                    }
                }
            }
            if let Some(y) = a.bone_surface(x) {
                let u = (x - a.bone[0]) / a.bone[2];
                let square = 1.0 - u * u;
                let patchy = amplitude(7.0 * noise(seed ^ 0xB0, x / 3.5, 0.0) + 3.0 * noise(seed ^ 0xB1, x / 0.9, 0.0));
                self.dab(column, y + 0.10, 0.12, 0.30 * square * square * patchy, 0.8);
                self.dab(column, y + 0.60, 0.30, 0.05 * square * patchy, 0.8);
            }
        }
    }

    /// One spot of a line: a Gaussian across, `thick` mm; `rough` is the share of scatterers beside the mirror.
    fn dab(&mut self, column: usize, y: f32, thick: f32, strength: f32, rough: f32) {
        let center = (y - self.tissue.origin[1]) / self.pitch;
        let sigma = (thick / self.pitch).max(0.5);
        let first = (center - 3.0 * sigma).max(0.0) as usize;
        let last = ((center + 3.0 * sigma).max(0.0) as usize).min(self.tissue.height - 1);
        for row in first..=last {
            let d = (row as f32 - center) / sigma;
            let here = strength * super::math::exp2(-0.721_347_5 * d * d);
            let i = row * self.tissue.width + column;
            self.lines[i] += here * 0.42;
            self.diffuse[i] += here * rough;
        }
    }

    /// Turns strengths into echoes: many scatterers a cell make a complex Gaussian number each.
    ///
    /// # References
    /// Burckhardt, "Speckle in ultrasound B-mode scans", IEEE Trans. Sonics Ultrason. 25, 1978. Wagner, Smith, Sandrik,
    /// Lopez, "Statistics of speckle in ultrasound B-scans", IEEE Trans. Sonics Ultrason. 30, 1983.
    fn scatter(&mut self, seed: u64) {
        let mut rng = Rng::new(seed, 4);
        for row in 0..self.tissue.height {
            for column in 0..self.tissue.width {
                let i = row * self.tissue.width + column;
                let [x, y] = self.place(column, row);
                let d = self.diffuse[i];
                let mut echo = [0.0; 4].map(|_: f32| d * rng.normal());
                if self.lines[i] > 1e-4 {
                    let turns = f64::from(noise(seed ^ 0x9A5E, x / 6.0, y / 4.0));
                    echo[0] += self.lines[i] * sin_turns(turns + 0.25) as f32;
                    echo[1] += self.lines[i] * sin_turns(turns) as f32;
                }
                self.tissue.echoes[i] = echo;
            }
        }
    }
}

/// Strength and attenuation at one place; `layers` are the depths of the boundaries there, from the skin down.
fn matter(seed: u64, a: &Anatomy, x: f32, y: f32, layers: [f32; 5], bone: Option<f32>) -> Matter {
    for v in &a.vessels {
        let level = v.level(x, y);
        if level < 1.0 {
            // reverberation from the walls: haze near them, black in the middle
            return Matter(-58.0 + 11.0 * level * level, two_way(0.15));
        }
    }
    let grain = |sx: f32, sy: f32, salt: u64| noise(seed ^ salt, x / sx, y / sy);
    for n in &a.nerves {
        let level = n.outline.level(x, y);
        if level < 1.0 {
            return Matter(
                nerve_db(n.outline.center, &n.fascicles, level, x, y) + 2.0 * grain(0.9, 0.4, 11),
                two_way(0.6),
            );
        }
    }
    if let Some(surface) = bone.filter(|&b| y > b) {
        let u = (x - a.bone[0]) / a.bone[2];
        let hard = ((1.0 - u.abs()) * 4.0).clamp(0.04, 1.0);
        return Matter(-27.0 - 1.5 * (y - surface), two_way(4.5 * hard));
    }
    let [skin, fat, septum, muscle, compartment] = layers;
    let broad = 1.5 * grain(9.0, 3.0, 1) + grain(4.0, 1.2, 9);
    let fine = 1.5 * grain(1.8, 0.4, 2);
    if y < skin {
        // contact with the probe is nowhere perfect: it throws faint shadows
        let contact = 1.0 + 0.9 * noise(seed ^ 7, x / 3.0, 0.0) + 0.5 * noise(seed ^ 8, x / 0.9, 0.0);
        Matter(-31.0 + 3.0 * grain(4.0, 0.3, 3), two_way(1.1 * contact.max(0.0)))
    } else if y < fat {
        Matter(-37.0 + 4.0 * broad + 3.0 * fine, two_way(0.5))
    } else if y < muscle {
        let which = if y < septum { 0.0 } else { -2.5 };
        let along = y - a.pinnation[0] * x;
        let striae = noise(seed ^ 4, x / 4.5, along / 0.5);
        Matter(-43.5 + which + 4.5 * broad + 5.0 * striae, two_way(0.62))
    } else if y < compartment {
        let strand = noise(seed ^ 5, x / 3.2, (y - 0.5 * (muscle + compartment)) / 0.55);
        Matter(-35.5 + 5.0 * broad + 3.0 * fine + 5.0 * strand, two_way(0.55))
    } else {
        let along = y - a.pinnation[1] * x;
        let striae = noise(seed ^ 6, x / 4.0, along / 0.6);
        Matter(-42.5 + 5.0 * broad + 6.0 * striae, two_way(0.72))
    }
}

/// Dark fascicles in bright connective tissue: the honeycomb; a bright rim around.
///
/// # References
/// Silvestri et al., "Echotexture of peripheral nerves: correlation between US and histologic findings and criteria to
/// differentiate tendons", Radiology 197, 1995.
fn nerve_db(center: [f32; 2], fascicles: &[[f32; 3]], level: f32, x: f32, y: f32) -> f32 {
    let mut depth: f32 = -9.0; // how far inside the nearest fascicle, in units of its radius
    for &[fx, fy, radius] in fascicles {
        let (dx, dy) = (x - fx, y - fy);
        depth = depth.max(1.0 - (dx * dx + dy * dy).sqrt() / radius);
    }
    let rim = if level > 0.80 { 2.0 } else { 0.0 };
    let shade = ((depth + 0.15) * 4.0).clamp(0.0, 1.0);
    // the upper half is seen more squarely than the flanks
    let upper = if y < center[1] { 1.0 } else { 0.0 };
    -25.5 + rim + upper - 15.0 * shade
}
