//! Functions of one value that networks use beside activations.

use serde::{Deserialize, Serialize};

/// A function of one value. Truth is 1, falsehood 0.
///
/// # References
/// The operators of the same names in the ONNX specification, opset 20.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum Math {
    Abs,
    Acos,
    Acosh,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Cos,
    Cosh,
    Erf,
    Exp,
    Floor,
    /// Whether it is infinite.
    IsInf,
    /// Whether it is +∞.
    IsPositiveInf,
    /// Whether it is −∞.
    IsNegativeInf,
    IsNan,
    Log,
    Neg,
    /// Whether it is zero.
    Not,
    Reciprocal,
    /// To the nearest whole number, halves to the even one.
    Round,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Square,
    Tan,
    /// Without the fraction.
    Truncate,
    /// Whether it is not zero.
    Truth,
}

impl Math {
    /// The function of one value.
    #[inline]
    pub fn of(self, x: f32) -> f32 {
        let truth = |yes: bool| f32::from(u8::from(yes));
        match self {
            Self::Abs => x.abs(),
            Self::Acos => x.acos(),
            Self::Acosh => x.acosh(),
            Self::Asin => x.asin(),
            Self::Asinh => x.asinh(),
            Self::Atan => x.atan(),
            Self::Atanh => x.atanh(),
            Self::Ceil => x.ceil(),
            Self::Cos => x.cos(),
            Self::Cosh => x.cosh(),
            Self::Erf => erf(x),
            Self::Exp => x.exp(),
            Self::Floor => x.floor(),
            Self::IsInf => truth(x.is_infinite()),
            Self::IsPositiveInf => truth(x == f32::INFINITY),
            Self::IsNegativeInf => truth(x == f32::NEG_INFINITY),
            Self::IsNan => truth(x.is_nan()),
            Self::Log => x.ln(),
            Self::Neg => -x,
            Self::Not => truth(x == 0.0),
            Self::Reciprocal => 1.0 / x,
            Self::Round => x.round_ties_even(),
            Self::Sign => {
                if x == 0.0 || x.is_nan() {
                    x
                } else {
                    x.signum()
                }
            }
            Self::Sin => x.sin(),
            Self::Sinh => x.sinh(),
            Self::Sqrt => x.sqrt(),
            Self::Square => x * x,
            Self::Tan => x.tan(),
            Self::Truncate => x.trunc(),
            Self::Truth => truth(x != 0.0),
        }
    }

    /// Replaces every value by the function of it.
    pub fn apply(self, values: &mut [f32]) {
        // The match stands outside the loop so that the cheap ones become vector instructions.
        match self {
            Self::Abs => values.iter_mut().for_each(|x| *x = x.abs()),
            Self::Erf => values.iter_mut().for_each(|x| *x = erf(*x)),
            Self::Neg => values.iter_mut().for_each(|x| *x = -*x),
            Self::Reciprocal => values.iter_mut().for_each(|x| *x = 1.0 / *x),
            Self::Sqrt => values.iter_mut().for_each(|x| *x = x.sqrt()),
            Self::Square => values.iter_mut().for_each(|x| *x *= *x),
            other => values.iter_mut().for_each(|x| *x = other.of(*x)),
        }
    }
}

/// The error function, within 3 units of the last place: a quotient of polynomials on −4 … 4, beyond which it is ±1.
///
/// # References
/// The rational approximation of Eigen's `erf` for single precision.
#[inline]
pub(super) fn erf(x: f32) -> f32 {
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] = [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329e-3, -1.426_473_9e-2];
    if x.is_nan() {
        return x;
    }
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let polynomial = |c: &[f32]| c.iter().fold(0.0, |sum, &c| sum * square + c);
    (x * polynomial(&ABOVE) / polynomial(&BELOW)).clamp(-1.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_function_agrees_with_its_tables() {
        // Abramowitz and Stegun, table 7.1.
        for (x, expected) in
            [(0.0, 0.0), (0.1, 0.112_462_92), (0.5, 0.520_499_9), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (9.0, 1.0)]
        {
            assert!((erf(x) - expected).abs() <= 3e-7 * expected.max(0.1), "{x}: {}", erf(x));
            assert_eq!(erf(-x), -erf(x));
        }
        assert!(erf(f32::NAN).is_nan());
    }
}
