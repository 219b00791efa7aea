//! Convolution 3×3 with stride 1 by Winograd's minimal filtering F(m×m, 3×3): m² outputs of a tile with (m+2)²
//! multiplications instead of 9·m².
//!
//! `Y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A`, summed over the input channels before the outer transform.
//!
//! 1. The weights are transformed once: `U[panel][position][channel][panel width]`.
//! 2. A task takes a few groups of `t` tiles. It transforms their inputs into scratch memory,
//!    `V[position][group][block][t][16]`, then panel by panel: for every position a product of matrices,
//!    `M[position][tile][panel width]`, with t × panel sums in registers; then the outer transform with bias, residual
//!    and activation.
//! 3. The scratch memory of a task fits the second-level cache.
//!
//! # References
//! Lavin, Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016, sections 4.1 to 4.3.

use super::{Beside, ConvShape, Finish, Keep, Pooled, Run, Way};
use crate::backend::cpu::aligned::Aligned;
use crate::backend::cpu::dot::{self, Dot, Factor, Products};
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::lanes::Lanes;
use crate::backend::cpu::layout::{BLOCK, Cell, Cells, Code, Grid, Half, Layout, Reader};
use crate::backend::cpu::pool::{Pool, SharedMut};
use crate::backend::cpu::unroll::opaque;
use crate::backend::cpu::window::start;

mod product;
mod transform;

use product::product;
use transform::{output_transform, pack, transform_tile};

/// Words of V that a task should keep: half of a usual second-level cache.
const TASK_WORDS: usize = 144 << 10;
/// Tasks that a layer is cut into at least, where it is large enough.
const TASKS: usize = 16;

/// Transformed weights and sizes.
#[derive(Clone, Debug)]
pub(super) struct Winograd {
    isa: Isa,
    factor: Factor,
    layouts: [Layout; 2],
    shape: ConvShape,
    /// Outputs of a tile along one axis: 2 or 4.
    m: usize,
    /// Words of factors.
    weights: Aligned,
    bias: Aligned,
    /// Output channels of a panel.
    panel: usize,
    /// Tiles down and across.
    tiles: [usize; 2],
    /// Groups of tiles in all, tiles of the largest, groups of a task.
    groups: usize,
    group: usize,
    span: usize,
    /// Ranges of panels that a span is cut into, each a task.
    cuts: usize,
}

impl Winograd {
    /// Whether the shape can be computed so.
    pub fn fits(shape: &ConvShape) -> bool {
        shape.kernel == [3, 3] && shape.stride == [1, 1] && shape.dilation == [1, 1] && shape.groups == 1
    }

    pub fn new(
        shape: &ConvShape,
        (isa, factor): (Isa, Factor),
        layouts: [Layout; 2],
        m: usize,
        oihw: &[f32],
        bias: &[f32],
    ) -> Self {
        let (panel, most) = super::tile(isa, shape.out_channels);
        let bias = Aligned::padded(bias, BLOCK);
        let tiles = shape.out_size().map(|n| n.div_ceil(m));
        let total = tiles[0] * tiles[1];
        let groups = total.div_ceil(most);
        let group = total.div_ceil(groups);
        let words = (m + 2).pow(2) * shape.in_channels.next_multiple_of(BLOCK) / factor.per_word();
        let fits = (TASK_WORDS / (words * group)).max(1);
        let span = fits.min(groups.div_ceil(TASKS)).max(if groups < 4 { groups } else { 1 });
        let spans = groups.div_ceil(span);
        let cuts = TASKS.div_ceil(spans).min(bias.len() / panel);
        Self {
            isa,
            factor,
            layouts,
            m,
            weights: pack(isa, factor, m, [shape.in_channels, shape.out_channels], panel, oihw),
            bias,
            panel,
            tiles,
            groups,
            group,
            span,
            cuts,
            shape: shape.clone(),
        }
    }

    /// Words of the transformed channels of one tile at one position.
    fn words(&self) -> usize {
        self.shape.in_channels.next_multiple_of(BLOCK) / self.factor.per_word()
    }

    fn v_len(&self) -> usize {
        (self.m + 2).pow(2) * self.words() * self.group * self.span
    }

    fn m_len(&self) -> usize {
        (self.m + 2).pow(2) * self.panel * self.group * self.span
    }

    pub fn scratch_len(&self, threads: usize) -> usize {
        (self.v_len() + self.m_len()).next_multiple_of(Aligned::LINE) * threads
    }

    /// Input and output in blocks.
    pub fn run(&self, mut run: Run, pooled: Option<Pooled>) {
        let finish = run.finish(self.layouts[1]);
        // SAFETY: the tasks below alone keep outputs.
        let beside = pooled.map(|pooled| unsafe { Beside::new((self.isa, self.layouts[1]), pooled, &finish) });
        let Run { pool, input, scratch, .. } = run;
        let own = self.scratch_len(1);
        let scratch = SharedMut::new(scratch);
        let spans = self.groups.div_ceil(self.span);
        pool.run(spans * self.cuts, &|i| {
            // SAFETY: no two threads of a call have the same number.
            let scratch = unsafe { scratch.slice(Pool::thread() * own, own) };
            let (v, m) = scratch.split_at_mut(self.v_len());
            let first = i / self.cuts * self.span;
            let panels = self.bias.len() / self.panel;
            let cut = i % self.cuts;
            // SAFETY of the task: slices were measured by the caller; no two tasks write the same outputs.
            let task = Task {
                winograd: self,
                groups: first..(first + self.span).min(self.groups),
                panels: start(panels, self.cuts, cut)..start(panels, self.cuts, cut + 1),
                input: Reader::new(input, self.layouts[0]),
                finish,
                beside: beside.as_ref(),
                v,
                m,
            };
            dot::run(self.isa, self.factor, task);
        });
    }
}

struct Task<'a> {
    winograd: &'a Winograd,
    groups: std::ops::Range<usize>,
    panels: std::ops::Range<usize>,
    input: Reader<'a>,
    finish: Finish<'a>,
    beside: Option<&'a Beside<'a>>,
    v: &'a mut [f32],
    m: &'a mut [f32],
}

impl Products for Task<'_> {
    #[inline(always)]
    unsafe fn run<D: Dot>(mut self) {
        let w = self.winograd;
        let (v, m) = (std::mem::take(&mut self.v), std::mem::take(&mut self.m));
        // SAFETY: the caller's promise.
        unsafe {
            match w.m {
                2 => self.take_in::<D, 4>(v),
                _ => self.take_in::<D, 6>(v),
            }
            for panel in self.panels.clone() {
                self.multiply::<D>(panel, v, m);
                match w.m {
                    2 => self.give_out::<D, 4, 2>(panel, m),
                    _ => self.give_out::<D, 6, 4>(panel, m),
                }
            }
        }
    }
}

impl Task<'_> {
    /// Tiles of a group of the layer: the first and how many.
    fn tiles_of(&self, group: usize) -> (usize, usize) {
        let w = self.winograd;
        let total = w.tiles[0] * w.tiles[1];
        let first = start(total, w.groups, group);
        (first, start(total, w.groups, group + 1) - first)
    }

    /// Tells which outputs of a panel are stored: those of these tiles, row by row of tiles.
    ///
    /// # Safety
    /// They are, and this is told once.
    unsafe fn tell(&self, beside: &Beside, panel: usize, tiles: std::ops::Range<usize>) {
        let w = self.winograd;
        let ([h, width], across) = (w.shape.out_size(), w.tiles[1]);
        for line in tiles.start / across..tiles.end.div_ceil(across) {
            let first = tiles.start.max(line * across) - line * across;
            let last = tiles.end.min((line + 1) * across) - line * across;
            for row in line * w.m..((line + 1) * w.m).min(h) {
                let pixels = row * width + first * w.m..row * width + (last * w.m).min(width);
                // SAFETY: the caller's promise.
                unsafe { beside.stored([panel * w.panel, w.panel], pixels) };
            }
        }
    }

    /// V of all tiles: `A` = m + 2.
    ///
    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn take_in<D: Dot, const A: usize>(&self, v: &mut [f32]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.input.cells() {
                Cells::Floats(cells) => self.take_cells::<D, _, A>(cells, 0.0, Grid::WHOLE, v),
                Cells::Halves(cells) => self.take_cells::<D, _, A>(cells, Half::of(0.0), Grid::WHOLE, v),
                Cells::Codes(cells, grid) => self.take_cells::<D, _, A>(cells, Code(grid.zero), grid, v),
            }
        }
    }

    /// As `take_in`, where the input is kept in `cells`, zero as `zero`.
    ///
    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn take_cells<D: Dot, C: Cell, const A: usize>(&self, cells: &[C], zero: C, grid: Grid, v: &mut [f32]) {
        let w = self.winograd;
        let s = &w.shape;
        let [h, width] = s.in_size;
        let blocks = s.in_channels.div_ceil(BLOCK);
        // From a position to the next.
        let (pixel, step) = (BLOCK / D::FACTOR.per_word(), w.span * w.words() * w.group);
        let (border, mut patch) = ([zero; BLOCK], [zero; 6 * 6 * BLOCK]);
        for group in self.groups.clone() {
            let (start, count) = self.tiles_of(group);
            for block in 0..blocks {
                let plane = &cells[block * h * width * BLOCK..][..h * width * BLOCK];
                for t in 0..count {
                    let (ty, tx) = ((start + t) / w.tiles[1], (start + t) % w.tiles[1]);
                    let (y, x) = ((ty * w.m) as isize - s.pads[0] as isize, (tx * w.m) as isize - s.pads[1] as isize);
                    let inside = y >= 0 && x >= 0 && y as usize + A <= h && x as usize + A <= width;
                    let (from, pitch) = if inside {
                        (&plane[(y as usize * width + x as usize) * BLOCK..], width * BLOCK)
                    } else {
                        for i in 0..A * A {
                            // Before the picture they have wrapped and are huge.
                            let (row, column) = ((y + (i / A) as isize) as usize, (x + (i % A) as isize) as usize);
                            let from = match row < h && column < width {
                                true => &plane[(row * width + column) * BLOCK..][..BLOCK],
                                false => &border,
                            };
                            patch[i * BLOCK..][..BLOCK].copy_from_slice(from);
                        }
                        (&patch[..], A * BLOCK)
                    };
                    debug_assert!(from.len() >= (A - 1) * (pitch + BLOCK) + BLOCK, "a tile");
                    let at = (((group - self.groups.start) * blocks + block) * w.group + t) * pixel;
                    for lane in (0..BLOCK).step_by(D::Lanes::COUNT) {
                        // SAFETY: a tile of A × A pixels of a block is readable at `from`; V has a place for each
                        // position of each tile of each group of the task.
                        unsafe {
                            let to = v.as_mut_ptr().cast::<u32>().add(at + lane / D::FACTOR.per_word());
                            transform_tile::<D, C, A>(from.as_ptr().add(lane), pitch, grid, to, step);
                        }
                    }
                }
            }
        }
    }

    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn multiply<D: Dot>(&self, panel: usize, v: &[f32], m: &mut [f32]) {
        let w = self.winograd;
        let positions = (w.m + 2) * (w.m + 2);
        for position in 0..positions {
            let weights = &w.weights[(panel * positions + position) * w.words() * w.panel..][..w.words() * w.panel];
            for group in 0..self.groups.len() {
                let place = position * w.span + group;
                let v = &v[place * w.words() * w.group..][..w.words() * w.group];
                let m = &mut m[place * w.group * w.panel..][..w.group * w.panel];
                let count = self.tiles_of(self.groups.start + group).1;
                // SAFETY: the caller's promise; the slices are as long as the product needs.
                unsafe { product::<D>(w.panel / D::Lanes::COUNT, w.group, count, v, weights, m) };
            }
        }
    }

    /// Outputs of a panel of all tiles.
    ///
    /// # Safety
    /// The processor has the instructions of `D`.
    #[inline(always)]
    unsafe fn give_out<D: Dot, const A: usize, const M: usize>(&self, panel: usize, m: &[f32]) {
        // SAFETY: the caller's promise.
        unsafe {
            match self.finish.way() {
                Way::Codes(to) => self.give::<D, _, A, M>(panel, m, to),
                Way::CodesWithCodes(to) => self.give::<D, _, A, M>(panel, m, to),
                Way::Floats(to) => self.give::<D, _, A, M>(panel, m, to),
                Way::Halves(to) => self.give::<D, _, A, M>(panel, m, to),
                Way::Any(to) => self.give::<D, _, A, M>(panel, m, to),
            }
        }
    }

    /// # Safety
    /// As for `give_out`.
    #[allow(clippy::needless_range_loop)] // matrices are read by row and column
    #[inline(always)]
    unsafe fn give<D: Dot, K: Keep, const A: usize, const M: usize>(&self, panel: usize, m: &[f32], to: K) {
        let w = self.winograd;
        let [h, width] = w.shape.out_size();
        for group in self.groups.clone() {
            let (first, count) = self.tiles_of(group);
            for t in 0..count {
                let (y, x) = ((first + t) / w.tiles[1] * M, (first + t) % w.tiles[1] * M);
                let (rows, columns) = (M.min(h - y), M.min(width - x));
                for lane in (0..w.panel).step_by(D::Lanes::COUNT) {
                    let channel = panel * w.panel + lane;
                    // SAFETY: M has every position of every tile; outputs and residuals lie inside the picture.
                    unsafe {
                        let from = m.as_ptr().add(((group - self.groups.start) * w.group + t) * w.panel + lane);
                        let step = w.span * w.group * w.panel;
                        let mut d = [[D::Lanes::splat(0.0); M]; A];
                        for (i, row) in d.iter_mut().enumerate() {
                            let from = opaque(from.add(i * A * step));
                            let mut values = [D::Lanes::splat(0.0); A];
                            for (j, value) in values.iter_mut().enumerate() {
                                *value = D::Lanes::load(from.add(j * step));
                            }
                            *row = output_transform::<D::Lanes, A, M>(values);
                        }
                        let bias = D::Lanes::load(w.bias.as_ptr().add(channel));
                        let (scale, bias) = to.affine(D::Lanes::splat(1.0), bias);
                        let plane = channel / BLOCK * h * width * BLOCK + channel % BLOCK;
                        let mut values = [[bias; M]; M];
                        for j in 0..M {
                            let mut column = [bias; A];
                            for (i, value) in column.iter_mut().enumerate() {
                                *value = d[i][j];
                            }
                            for (i, value) in output_transform::<D::Lanes, A, M>(column).into_iter().enumerate() {
                                values[i][j] = value.multiply_add(scale, bias);
                            }
                        }
                        for (i, row) in values.iter().enumerate().take(rows) {
                            let at = plane + ((y + i) * width + x) * BLOCK;
                            if M == 4 && columns == 4 {
                                to.keep_four::<D>(at, [row[0], row[1 % M], row[2 % M], row[3 % M]]);
                                continue;
                            }
                            for (j, &value) in row.iter().enumerate().take(columns) {
                                to.keep::<D>(at + j * BLOCK, value);
                            }
                        }
                    }
                }
            }
            if let Some(beside) = self.beside {
                // SAFETY: the outputs of the panel of these tiles are stored.
                unsafe { self.tell(beside, panel, first..first + count) };
            }
        }
    }
}
