//! One of two values, by a third.

use super::elementwise::{RANK, steps};

/// `yes` where `condition` is not 0, else `no`, by the rules of numpy; each tensor comes with its shape.
///
/// # Panics
/// When a shape does not fit `out_shape`, or a slice has another length.
pub fn select(
    condition: (&[f32], &[usize]),
    yes: (&[f32], &[usize]),
    no: (&[f32], &[usize]),
    out: &mut [f32],
    out_shape: &[usize],
) {
    assert_eq!(out.len(), out_shape.iter().product::<usize>(), "values of the result");
    let strides = [condition.1, yes.1, no.1].map(|shape| steps(shape, out_shape));
    let mut index = [0usize; RANK];
    let mut at = [0usize; 3];
    for out in out {
        *out = if condition.0[at[0]] != 0.0 { yes.0[at[1]] } else { no.0[at[2]] };
        for axis in (0..out_shape.len()).rev() {
            index[axis] += 1;
            (0..3).for_each(|t| at[t] += strides[t][axis]);
            if index[axis] < out_shape[axis] {
                break;
            }
            (0..3).for_each(|t| at[t] -= strides[t][axis] * out_shape[axis]);
            index[axis] = 0;
        }
    }
}
