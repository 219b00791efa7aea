//! Launches `kernels/matmul.cu`.

use super::launch::{Arg, Launch, MOST_ROWS, Region};
use super::layout::{floats, words};
use crate::backend::cpu::matmul::MatMul;

/// Rows and columns of a block; as `kernels/matmul.cu` has it.
const TILE: usize = 16;

/// What the kernel looks up: for every product the numbers of the two matrices.
pub fn tables(sizes: &MatMul) -> Vec<u8> {
    words(sizes.pairs.iter().flat_map(|&(a, b)| [a as u32, b as u32]))
}

/// Products of matrices, `bias` added to every row. None of more than a launch has blocks for.
///
/// # Shapes
/// `a`, `b` and `dst` so many floats as `lens` says and the products have; `lookup` what [`tables`] made; `bias` one float a
/// column.
///
/// # Panics
/// When a region has another length or does not lie as its numbers must, or a matrix is outside.
pub fn launch(
    sizes: &MatMul,
    [(a, a_len), (b, b_len)]: [(Region, usize); 2],
    bias: Option<Region>,
    lookup: Region,
    dst: Region,
) -> Option<Launch> {
    sizes.check(a_len, b_len).unwrap_or_else(|e| panic!("{e}"));
    let grid = [sizes.rows.div_ceil(TILE), sizes.columns.div_ceil(TILE), sizes.pairs.len()];
    let from = floats(a, a_len);
    let has_bias = Arg::U32(u32::from(bias.is_some()));
    let bias = bias.map_or(from, |bias| floats(bias, sizes.columns));
    let mut args = vec![from, floats(b, b_len), bias, has_bias, floats(dst, sizes.out_len())];
    args.push(floats(lookup, 2 * sizes.pairs.len()));
    args.extend([sizes.rows, sizes.depth, sizes.columns].map(|n| Arg::U32(n as u32)));
    let fits = grid[1..].iter().all(|&n| n <= MOST_ROWS);
    fits.then(|| Launch::tiles("matmul", grid.map(|n| n as u32), (TILE * TILE) as u32, args))
}
