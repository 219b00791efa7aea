//! Two-dimensional convolution of one picture, with bias, residual and activation in the same step.
//!
//! `out[o, y, x] = act(bias[o] + Σ w[o, c, i, j] · in[c, y·s − p + i·d, x·s − p + j·d] + residual[o, y, x])`

use super::activation::Activation;
use super::blocked;
use super::dot::Factor;
use super::error::KernelError;
use super::isa::{self, Isa};
use super::layout::{BLOCK, Layout, Reader, pack, unpack};
use super::max_pool::PoolShape;
use super::pool::Pool;
use super::softmax::softmax;

mod beside;
mod depthwise;
mod direct;
mod head;
mod keep;
mod naive;
mod run;
mod shape;
pub(super) mod taps;
mod winograd;

use beside::{Beside, Pooled};
use keep::{Keep, Way};
pub(super) use run::{Finish, Run};
pub use shape::ConvShape;
pub(super) use shape::check;

/// A convolution with its weights, laid out for one tactic.
#[derive(Clone, Debug)]
pub struct Conv {
    shape: ConvShape,
    /// Of the input and the output.
    layouts: [Layout; 2],
    /// Of what is added.
    residual: Layout,
    /// What is pooled beside it.
    pooled: Option<PoolShape>,
    /// Whether softmax of the channels follows.
    softmax: bool,
    tactic: Tactic,
}

#[derive(Clone, Debug)]
enum Tactic {
    Naive(naive::Naive),
    Direct(Box<direct::Direct>),
    Taps(Box<taps::Taps>),
    Depthwise(Box<depthwise::Depthwise>),
    Head(Box<head::Head>),
    Winograd(Box<winograd::Winograd>),
}

/// Output channels and pixels of the widest product whose sums stay in registers: of AVX-512's 32 registers 28 hold
/// sums, of 16 registers 12 do. NEON's 32 hold 24: products of bytes need the others where there is no instruction for them.
fn tile(isa: Isa, outs: usize) -> (usize, usize) {
    match isa {
        Isa::Portable => (8, 6),
        Isa::Neon => (8, 12),
        Isa::Avx2 => (16, 6),
        Isa::Avx512 if outs.div_ceil(BLOCK).is_multiple_of(2) => (32, 14),
        Isa::Avx512 => (16, 28),
    }
}

/// Multiplications in the time in which a weight comes from memory, as measured on an AMD EPYC of 2024.
const WEIGHT: usize = 50;

/// The ways to compute the shape from and to these layouts, the best guess first. The last way converts what is not
/// planar.
///
/// Winograd's filtering has fewer multiplications and more weights, which come from memory: the guess counts both, a
/// weight as [`WEIGHT`] multiplications.
fn ways(shape: &ConvShape, layouts: [Layout; 2]) -> Vec<&'static str> {
    let [h, w] = shape.out_size();
    let tiled = |m: usize| (m + 2).pow(2) * (h.div_ceil(m) * w.div_ceil(m) + WEIGHT);
    let mut families = [
        (tiled(4), ["winograd4_bf16", "winograd4"]),
        (tiled(2), ["winograd2_bf16", "winograd2"]),
        (9 * (h * w + WEIGHT), ["taps_bf16", "taps"]),
    ];
    families.sort_by_key(|(cost, _)| *cost);
    // Factors of 16 bits first, of every family, since a plan of full precision leaves them out.
    let guess = [0, 1].into_iter().flat_map(|i| families.map(|(_, names)| names[i]));
    let guess = ["head", "depthwise", "taps_int8"].into_iter().chain(guess).chain(["direct"]);
    let blocked = layouts.iter().all(|l| l.is_blocked());
    let fits = |way: &&str| match *way {
        "winograd4" | "winograd2" | "winograd4_bf16" | "winograd2_bf16" => blocked && winograd::Winograd::fits(shape),
        "taps_int8" => {
            let products = shape.in_channels * shape.kernel[0] * shape.kernel[1];
            shape.groups == 1 && matches!(layouts[0], Layout::BlockedU8(_)) && taps::Taps::sums_fit(products)
        }
        "taps_bf16" => shape.groups == 1 && layouts[0].is_blocked(),
        "taps" => shape.groups == 1 && layouts != [Layout::Planar; 2],
        "head" => layouts[0].is_blocked() && layouts[1] == Layout::Planar && head::Head::fits(shape),
        "depthwise" => blocked && depthwise::Depthwise::fits(shape),
        _ => true,
    };
    guess.filter(fits).collect()
}

impl Conv {
    /// The tactics that can compute `shape` from and to planes on `isa`, the one that is probably fastest first,
    /// `naive` last.
    pub fn tactics(shape: &ConvShape, isa: Isa) -> Vec<String> {
        Self::tactics_between(shape, [Layout::Planar; 2], isa)
    }

    /// As [`Conv::tactics`], for an input and an output of these layouts.
    pub fn tactics_between(shape: &ConvShape, layouts: [Layout; 2], isa: Isa) -> Vec<String> {
        isa::tactics(&ways(shape, layouts), isa)
    }

    /// Lays the weights out for a tactic that works on planes.
    ///
    /// # Shapes
    /// `weights` out × in/groups × height × width; `bias` out, or empty for none.
    ///
    /// # Errors
    /// When the sizes contradict each other, the tactic is not known, or this processor cannot run it.
    pub fn new(shape: ConvShape, tactic: &str, weights: &[f32], bias: &[f32]) -> Result<Self, KernelError> {
        Self::between(shape, [Layout::Planar; 2], tactic, weights, bias)
    }

    /// As [`Conv::new`], from and to these layouts.
    ///
    /// # Errors
    /// As there, and when the tactic does not work between the layouts.
    pub fn between(
        shape: ConvShape,
        layouts: [Layout; 2],
        tactic: &str,
        weights: &[f32],
        bias: &[f32],
    ) -> Result<Self, KernelError> {
        shape.check()?;
        let bias = checked("conv", weights.len(), shape.weights_len(), bias, shape.out_channels)?;
        let (way, needed) = isa::parse("conv", &ways(&shape, layouts), tactic)?;
        let winograd = |m, factor| {
            Tactic::Winograd(Box::new(winograd::Winograd::new(&shape, (needed, factor), layouts, m, weights, &bias)))
        };
        let taps =
            |factor| Tactic::Taps(Box::new(taps::Taps::convolution(&shape, needed, factor, layouts, weights, &bias)));
        let tactic = match way {
            "winograd4" => winograd(4, Factor::F32),
            "winograd2" => winograd(2, Factor::F32),
            "winograd4_bf16" => winograd(4, Factor::Bf16),
            "winograd2_bf16" => winograd(2, Factor::Bf16),
            "taps" => taps(Factor::F32),
            "taps_bf16" => taps(Factor::Bf16),
            "taps_int8" => taps(Factor::Int8),
            "depthwise" => {
                Tactic::Depthwise(Box::new(depthwise::Depthwise::new(&shape, needed, layouts, weights, &bias)))
            }
            "head" => Tactic::Head(Box::new(head::Head::new(&shape, needed, layouts[0], weights, &bias))),
            "direct" => Tactic::Direct(Box::new(direct::Direct::new(&shape, needed, weights, bias))),
            _ => Tactic::Naive(naive::Naive { weights: weights.to_vec(), bias }),
        };
        Ok(Self { shape, layouts, residual: layouts[1], pooled: None, softmax: false, tactic })
    }

    /// The same convolution where what is added has a layout of its own; else it has the output's.
    pub fn adding(self, residual: Layout) -> Self {
        Self { residual, ..self }
    }

    /// The same convolution with a max-pooling of its output in the same step, for [`Conv::run_pooled`].
    ///
    /// # Errors
    /// When the pooling takes something else, or values that are further apart than one, or the output lies in planes.
    pub fn pooling(self, shape: PoolShape) -> Result<Self, KernelError> {
        shape.check()?;
        let fits = shape.channels == self.shape.out_channels
            && shape.in_size == self.shape.out_size()
            && shape.dilation == [1, 1]
            && self.layouts[1].is_blocked();
        match fits {
            true => Ok(Self { pooled: Some(shape), ..self }),
            false => Err(KernelError::shape("conv", "a pooling of its own output in blocks", format!("{shape:?}"))),
        }
    }

    /// The same convolution followed by the softmax of the channels of each pixel.
    ///
    /// # Errors
    /// When its output does not lie in planes.
    pub fn softmax(self) -> Result<Self, KernelError> {
        match self.layouts[1] {
            Layout::Planar => Ok(Self { softmax: true, ..self }),
            other => Err(KernelError::shape("conv", "planes to take the softmax of", format!("{other:?}"))),
        }
    }

    /// Its sizes.
    pub fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// The floats of scratch memory that [`Conv::run`] needs on so many threads.
    pub fn scratch_len(&self, threads: usize) -> usize {
        self.own_scratch_len(threads) + self.pooled.as_ref().map_or(0, Pooled::scratch_len)
    }

    /// The same without what pooling needs.
    fn own_scratch_len(&self, threads: usize) -> usize {
        match &self.tactic {
            Tactic::Naive(_) => self.converted_len(),
            Tactic::Direct(direct) => direct.scratch_len() + self.converted_len(),
            Tactic::Winograd(winograd) => winograd.scratch_len(threads),
            Tactic::Taps(taps) => taps.scratch_len(),
            Tactic::Depthwise(_) | Tactic::Head(_) => 0,
        }
    }

    /// Floats of planes that stand in for blocks: input, output and residual.
    fn converted_len(&self) -> usize {
        let input = if self.layouts[0].is_blocked() { self.shape.in_len() } else { 0 };
        let made = [self.layouts[1], self.residual].iter().filter(|l| l.is_blocked()).count();
        input + made * self.shape.out_len()
    }

    /// Convolves one picture: output = act(conv + bias + residual), or the softmax of that.
    ///
    /// # Shapes
    /// `input` in × height × width; `residual` and `output` out × height × width of [`ConvShape::out_size`], each as
    /// [`Layout::len`] says.
    ///
    /// # Panics
    /// When a slice has another length, the scratch memory is shorter than [`Conv::scratch_len`], or something is to be
    /// pooled.
    pub fn run(
        &self,
        pool: &Pool,
        input: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        output: &mut [f32],
        scratch: &mut [f32],
    ) {
        assert!(self.pooled.is_none(), "a convolution that pools nothing");
        self.run_pooled(pool, input, residual, activation, [output, &mut []], scratch);
    }

    /// As [`Conv::run`], and beside it the largest values of the windows of [`Conv::pooling`], where it was asked for.
    ///
    /// # Shapes
    /// The second output out × height × width of [`PoolShape::out_size`], else empty.
    ///
    /// # Panics
    /// When a slice has another length, or the scratch memory is shorter than [`Conv::scratch_len`].
    pub fn run_pooled(
        &self,
        pool: &Pool,
        input: &[f32],
        residual: Option<&[f32]>,
        activation: Activation,
        [output, pooled]: [&mut [f32]; 2],
        scratch: &mut [f32],
    ) {
        let (s, layout) = (&self.shape, self.layouts[1]);
        let pixels = [s.in_size, s.out_size()].map(|[h, w]| h * w);
        assert_eq!(input.len(), self.layouts[0].len(s.in_channels, pixels[0]), "values of the input");
        assert_eq!(output.len(), layout.len(s.out_channels, pixels[1]), "values of the output");
        let added = self.residual.len(s.out_channels, pixels[1]);
        assert!(residual.is_none_or(|r| r.len() == added), "values of the residual");
        let windows = self.pooled.as_ref().map_or(0, |p| layout.len(p.channels, p.out_size().iter().product()));
        assert_eq!(pooled.len(), windows, "values of the pooling");
        let threads = pool.threads();
        assert!(scratch.len() >= self.scratch_len(threads), "floats of scratch memory");
        let (scratch, rest) = scratch[..self.scratch_len(threads)].split_at_mut(self.own_scratch_len(threads));
        // An activation that is more than bounds follows, on all values.
        let follows = activation.bounds().is_none() && !matches!(layout, Layout::BlockedU8(_));
        let able = !follows && matches!(self.tactic, Tactic::Taps(_) | Tactic::Winograd(_));
        let residual = residual.map(|r| Reader::new(r, self.residual));
        let beside = self.pooled.as_ref().filter(|_| able);
        let beside = beside.map(|shape| Pooled { shape, output: &mut *pooled, scratch: rest });
        let run = Run { pool, input, residual, activation, output: &mut *output, scratch };
        match &self.tactic {
            Tactic::Naive(_) | Tactic::Direct(_) => self.planar(run),
            Tactic::Taps(taps) => taps.run(run, beside),
            Tactic::Depthwise(depthwise) => depthwise.run(run),
            Tactic::Head(head) => head.run(run, self.softmax && !follows),
            Tactic::Winograd(winograd) => winograd.run(run, beside),
        }
        if follows && !matches!(self.tactic, Tactic::Naive(_) | Tactic::Direct(_)) {
            activation.run_on(pool, layout, output);
        }
        if self.softmax && (follows || !matches!(self.tactic, Tactic::Head(_))) {
            softmax(pool, output, [1, s.out_channels, pixels[1]]);
        }
        if let Some(shape) = self.pooled.as_ref().filter(|_| !able) {
            blocked::pool(pool, layout, shape, None, output, pooled);
        }
    }

    /// Runs a tactic that knows planes alone.
    fn planar(&self, run: Run) {
        let Run { pool, input, residual, activation, output, scratch } = run;
        let s = &self.shape;
        let pixels = [s.in_size, s.out_size()].map(|[h, w]| h * w);
        let (mut input, mut residual, mut rest) = (input, residual, scratch);
        if self.layouts[0].is_blocked() {
            let (planes, after) = rest.split_at_mut(s.in_len());
            unpack(pool, self.layouts[0], s.in_channels, pixels[0], input, planes);
            (input, rest) = (planes, after);
        }
        if let Some(shortcut) = &mut residual
            && self.residual.is_blocked()
        {
            let (planes, after) = rest.split_at_mut(s.out_len());
            unpack(pool, self.residual, s.out_channels, pixels[1], shortcut.values(), planes);
            (*shortcut, rest) = (Reader::new(planes, Layout::Planar), after);
        }
        if self.layouts[1] == Layout::Planar {
            return self.planes(Run { pool, input, residual, activation, output, scratch: rest });
        }
        let (planes, scratch) = rest.split_at_mut(s.out_len());
        self.planes(Run { pool, input, residual, activation, output: planes, scratch });
        pack(pool, self.layouts[1], s.out_channels, pixels[1], planes, output);
    }

    fn planes(&self, run: Run) {
        match &self.tactic {
            Tactic::Naive(naive) => naive.run(&self.shape, run),
            Tactic::Direct(direct) => direct.run(run),
            _ => unreachable!("the others do not work on planes"),
        }
    }
}

/// The bias, zeros where there is none, of weights and a bias that have the lengths they should.
pub(super) fn checked(
    operation: &'static str,
    weights: usize,
    expected: usize,
    bias: &[f32],
    outs: usize,
) -> Result<Vec<f32>, KernelError> {
    if weights != expected {
        return Err(KernelError::shape(operation, format!("{expected} weights"), weights));
    }
    match bias.len() {
        0 => Ok(vec![0.0; outs]),
        n if n == outs => Ok(bias.to_vec()),
        n => Err(KernelError::shape(operation, format!("{outs} biases or none"), n)),
    }
}
