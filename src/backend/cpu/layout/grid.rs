//! Numbers as bytes.

use serde::{Deserialize, Serialize};

use crate::backend::cpu::lanes::code_of;

/// The 256 numbers that bytes stand for: x = scale · (code − zero), zero itself always among them.
///
/// # References
/// Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR
/// 2018, equation 1.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Grid {
    /// From a number to the next; positive.
    pub scale: f32,
    /// The code of zero.
    pub zero: u8,
}

impl Grid {
    /// Whole numbers from 0 on: every code stands for itself.
    pub const WHOLE: Self = Self { scale: 1.0, zero: 0 };

    /// The grid that reaches from `low` to `high`, and zero.
    pub fn between(low: f32, high: f32) -> Self {
        let (low, high) = (low.min(0.0), high.max(0.0));
        let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
        Self { scale, zero: code_of(-low / scale) }
    }

    /// Whether its numbers are numbers.
    pub fn is_valid(self) -> bool {
        self.scale.is_normal() && self.scale > 0.0 && (255.0 * self.scale).is_finite() && self.steps().is_finite()
    }

    /// Steps of the grid in a unit.
    pub fn steps(self) -> f32 {
        1.0 / self.scale
    }

    /// The code of the number next to `x`.
    pub fn code(self, x: f32) -> u8 {
        code_of(x * self.steps() + f32::from(self.zero))
    }

    /// The number that a code stands for.
    pub fn value(self, code: u8) -> f32 {
        (f32::from(code) - f32::from(self.zero)) * self.scale
    }
}

impl PartialEq for Grid {
    fn eq(&self, other: &Self) -> bool {
        (self.scale.to_bits(), self.zero) == (other.scale.to_bits(), other.zero)
    }
}

impl Eq for Grid {}

impl std::hash::Hash for Grid {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.scale.to_bits(), self.zero).hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::Grid;

    #[test]
    fn a_grid_holds_its_ends_and_zero() {
        for (low, high) in [(0.0, 6.0), (-1.0, 3.0), (-4.0, -1.0), (2.0, 5.0), (0.0, 0.0), (-1e-3, 1e3)] {
            let grid = Grid::between(low, high);
            assert!(grid.is_valid());
            assert_eq!(grid.value(grid.code(0.0)), 0.0);
            for x in [low, high, (low + high) / 2.0] {
                assert!((grid.value(grid.code(x)) - x).abs() <= 1.01 * grid.scale, "{x} from {low} to {high}");
            }
            // What lies outside becomes the end.
            assert_eq!((grid.code(1e9), grid.code(-1e9)), (255, 0));
        }
        assert_eq!(Grid::between(0.0, 1.0).code(f32::NAN), 0);
    }
}
