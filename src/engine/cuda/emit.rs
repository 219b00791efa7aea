//! Launches and constants, step by step.

use std::collections::BTreeMap;
use std::ops::Range;

use super::super::graph::{Op, Then};
use super::super::plan::{Header, Plan, PlanStep};
use super::kernels::{OnFloats, follows, is_head, reads_planes};
use super::tensors::{ALIGN, Tensor, Tensors};
use super::weights::{dense, dense_transposed, spread};
use super::{CudaError, Program};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::resize_tensor::ResizeTensor;
use crate::backend::cuda::conv::first::ConvFirst;
use crate::backend::cuda::conv::int8::{ConvInt8, Kept};
use crate::backend::cuda::conv::{Conv, Halves, head};
use crate::backend::cuda::launch::{Launch, MOST_ROWS, Region};
use crate::backend::cuda::{elementwise, layout, max_pool, resize_tensor};

pub(super) fn program(plan: &Plan, share: bool) -> Result<Program, CudaError> {
    settled(plan, share).map(|(program, _)| program)
}

/// How the tensors of a plan lie, each with memory of its own or not.
pub(super) fn tensors(plan: &Plan) -> Result<Tensors, CudaError> {
    settled(plan, true).map(|(_, tensors)| tensors)
}

/// The program of a plan, and how its tensors lie. What no kernel computes of channels-last halves is computed on floats, which
/// changes how its neighbours lie: until no more such steps are found.
fn settled(plan: &Plan, share: bool) -> Result<(Program, Tensors), CudaError> {
    let header = &plan.header;
    let mut on_floats = OnFloats::default();
    let (emitted, tensors) = loop {
        let (tensors, end) = Tensors::new(header, &on_floats, share)?;
        let (emitted, without) = Emit::new(plan, &tensors, end).all(header)?;
        if without.is_empty() {
            break (emitted, tensors);
        }
        without.into_iter().for_each(|step| on_floats.insert(step));
    };
    let unknown = |step: &&PlanStep| !step.tactic.is_empty() && !tensors.tactics(header, step).contains(&step.tactic);
    if let Some(step) = header.steps.iter().find(unknown) {
        return Err(CudaError::of(step, format!("it has no tactic `{}`; build the plan again", step.tactic)));
    }
    let Emitted { end, constants, launches, steps } = emitted;
    let inputs = plan.inputs().into_iter().zip(header.inputs.iter().map(|&v| tensors.planes(v))).collect();
    let outputs = plan.outputs().into_iter().zip(header.outputs.iter().map(|(_, v)| tensors.planes(*v))).collect();
    let on_floats = header.steps.iter().filter(|step| tensors.on_floats(step) || follows(step)).count();
    let program = Program {
        room: end,
        launches,
        steps,
        on_floats,
        inputs,
        outputs,
        tensors: tensors.regions().collect(),
        constants,
    };
    Ok((program, tensors))
}

/// What has come of a plan.
struct Emitted {
    end: u64,
    constants: Vec<(Region, Vec<u8>)>,
    launches: Vec<Launch>,
    steps: Vec<Range<usize>>,
}

pub(super) struct Emit<'a> {
    pub plan: &'a Plan,
    pub tensors: &'a Tensors,
    /// Where the memory that is taken ends.
    end: u64,
    constants: Vec<(Region, Vec<u8>)>,
    pub launches: Vec<Launch>,
    /// Which of them each step has become.
    steps: Vec<Range<usize>>,
    /// Where constant values are that have been read.
    pub stored: BTreeMap<usize, Region>,
}

impl<'a> Emit<'a> {
    fn new(plan: &'a Plan, tensors: &'a Tensors, end: u64) -> Self {
        let (constants, launches, steps) = (Vec::new(), Vec::new(), Vec::new());
        Self { plan, tensors, end, constants, launches, steps, stored: BTreeMap::new() }
    }

    /// All launches, and those steps that no kernel for halves computes.
    fn all(mut self, header: &Header) -> Result<(Emitted, Vec<&PlanStep>), CudaError> {
        let (mut without, mut refused) = (Vec::new(), None);
        for &v in &header.inputs {
            let own = self.tensors.of(v);
            if own.last {
                self.lay_last(v);
            }
        }
        for step in &header.steps {
            let first = self.launches.len();
            let out = self.tensors.of(step.output);
            match self.tensors.on_floats(step) {
                true if out.grid.is_some() => return Err(CudaError::of(step, "no kernel computes codes so")),
                true => self.on_floats(step).ok_or_else(|| CudaError::of(step, "no kernel computes it yet"))?,
                false => match self.step(header, step) {
                    // Nothing makes floats of codes; but it may be computed once its neighbours lie otherwise.
                    Err(found) if self.tensors.of(step.inputs[0]).grid.is_some() => {
                        refused.get_or_insert(found);
                    }
                    Err(_) => without.push(step),
                    Ok(()) => {}
                },
            }
            if !without.is_empty() || refused.is_some() {
                continue;
            }
            if out.planes && out.grid.is_some() {
                return Err(CudaError::of(step, "no kernel makes floats of the codes that it keeps"));
            }
            if out.planes && !out.made_as_planes {
                self.lay_as_planes(step.output);
            }
            if follows(step) && !out.made_as_planes {
                self.follow(step).ok_or_else(|| CudaError::of(step, "no kernel computes its function"))?;
            }
            if out.last && (out.made_as_planes || out.followed) {
                self.lay_last(step.output);
            }
            self.steps.push(first..self.launches.len());
        }
        if let Some(found) = refused.filter(|_| without.is_empty()) {
            return Err(found);
        }
        let Self { end, constants, launches, steps, .. } = self;
        Ok((Emitted { end, constants, launches, steps }, without))
    }

    /// From planes to channels last.
    ///
    /// # Panics
    /// When its channels do not lie side by side.
    fn lay_last(&mut self, value: usize) {
        let own = self.tensors.of(value);
        assert!(own.places.iter().copied().eq(0..own.channels), "planes lie side by side");
        let (sizes, planes, halves) =
            ([own.channels, own.pixels], self.tensors.planes(value), self.tensors.halves(value));
        self.launches.push(layout::to_last(sizes, planes, halves, own.width));
    }

    /// From channels last to planes: each run of channels that lie side by side.
    fn lay_as_planes(&mut self, value: usize) {
        let own = self.tensors.of(value);
        let mut first = 0;
        while first < own.channels {
            let place = own.places[first];
            let run = (first..own.channels).take(MOST_ROWS).take_while(|&c| own.places[c] == place + c - first).count();
            let [at, bytes] = [first, run].map(|channels| 4 * (channels * own.pixels) as u64);
            let (from, to) = (self.tensors.slice(value, place, run), self.tensors.planes(value).part(at, bytes));
            self.launches.push(layout::to_planes([run, own.pixels], from, to));
            first += run;
        }
    }

    pub fn constant(&mut self, bytes: Vec<u8>) -> Region {
        let region = Region { offset: self.end, bytes: bytes.len() as u64 };
        self.end = (self.end + region.bytes).next_multiple_of(ALIGN as u64);
        self.constants.push((region, bytes));
        region
    }

    pub fn floats(&mut self, numbers: &[f32]) -> Region {
        self.constant(numbers.iter().flat_map(|x| x.to_le_bytes()).collect())
    }

    fn step(&mut self, header: &Header, step: &PlanStep) -> Result<(), CudaError> {
        let (from, to) = (self.tensors.of(step.inputs[0]), self.tensors.of(step.output));
        let no_kernel = || CudaError::of(step, "no kernel computes it yet");
        match &step.op {
            Op::Conv { shape, activation, .. } if reads_planes(header, step) => {
                let wide = ConvShape { out_channels: to.width, ..shape.clone() };
                let conv = ConvFirst::new(&wide).ok_or_else(no_kernel)?;
                let (mut weights, mut bias) = self.numbers(step);
                weights.resize(weights.len() / shape.out_channels * to.width, 0.0);
                bias.resize(to.width, 0.0);
                let constants = [self.constant(conv.pack(&weights)), self.floats(&bias)];
                let (src, dst) = (self.tensors.planes(step.inputs[0]), self.tensors.halves(step.output));
                let [low, high] = bounds(*activation).ok_or_else(no_kernel)?;
                self.launches.push(conv.launch(src, constants, dst, [low, high]));
            }
            Op::Conv { .. } if is_head(step) && to.made_as_planes => {
                let (weights, bias) = self.numbers(step);
                let weights = spread(&weights, (&to.places, to.channels), (&from.places, from.width));
                let constants = [self.floats(&weights), self.floats(&bias)];
                let (src, dst) = (self.tensors.halves(step.inputs[0]), self.tensors.planes(step.output));
                self.launches.push(head::launch(to.pixels, [from.width, to.channels], src, constants, dst));
                self.follow(step).ok_or_else(no_kernel)?;
            }
            Op::Conv { activation, .. } if self.tensors.depthwise(step).is_some() => {
                let conv = self.tensors.depthwise(step).ok_or_else(no_kernel)?;
                let (weights, bias) = self.numbers(step);
                let [weights, bias] = [weights, bias].map(|own| spread(&own, (&to.places, to.width), (&[0], 1)));
                let constants = [self.constant(conv.pack(&weights)), self.floats(&bias)];
                let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
                self.held(to, dst, before(step, *activation), |bounds| vec![conv.launch(src, constants, dst, bounds)])
                    .ok_or_else(no_kernel)?;
            }
            Op::Conv { activation, .. } | Op::ConvTranspose { activation, .. } if from.grid.is_some() => {
                self.conv_int8(step, before(step, *activation)).ok_or_else(no_kernel)?;
            }
            Op::Conv { shape, activation, then: None | Some(Then::Softmax), .. } => {
                let conv = self.tensors.conv(header, step).ok_or_else(no_kernel)?;
                let (weights, bias) = self.numbers(step);
                let weights = dense(shape, weights);
                let weights = spread(&weights, (&to.places, to.width), (&from.places, from.width));
                self.conv(step, &conv, (weights, bias), before(step, *activation)).ok_or_else(no_kernel)?;
            }
            Op::ConvTranspose { shape, activation, .. } => {
                let conv = self.tensors.conv(header, step).ok_or_else(no_kernel)?;
                let (weights, bias) = self.numbers(step);
                let weights = dense_transposed(shape, weights);
                let weights = spread(&weights, (&from.places, from.width), (&to.places, to.width));
                self.conv(step, &conv, (weights, bias), before(step, *activation)).ok_or_else(no_kernel)?;
            }
            // The convolution before it has done it.
            Op::MaxPool(_) if self.tensors.is_pooled(step.output) => {}
            Op::MaxPool(shape) => {
                let wide = PoolShape { channels: from.width, ..shape.clone() };
                let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.whole(v));
                self.launches.push(max_pool::launch(&wide, src, dst).ok_or_else(no_kernel)?);
            }
            Op::AveragePool { shape, padded } => {
                let wide = PoolShape { channels: from.width, ..shape.clone() };
                let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
                self.launches.push(max_pool::average(&wide, *padded, src, dst).ok_or_else(no_kernel)?);
            }
            Op::Resize(shape) => {
                let resize = ResizeTensor::new(shape.clone()).map_err(|e| CudaError::of(step, e.to_string()))?;
                let tables = self.constant(resize_tensor::tables(&resize));
                let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
                self.launches.push(resize_tensor::launch(&resize, from.width, src, tables, dst));
            }
            Op::Concat { axis: 1 } => self.join(step),
            _ => self.pointwise(step).ok_or_else(no_kernel)?,
        }
        Ok(())
    }

    /// Weights and bias of a convolution; zeros where it has none.
    pub(super) fn numbers(&self, step: &PlanStep) -> (Vec<f32>, Vec<f32>) {
        let (weights, bias, outs) = match &step.op {
            Op::Conv { shape, weights, bias, .. } => (weights, bias, shape.out_channels),
            Op::ConvTranspose { shape, weights, bias, .. } => (weights, bias, shape.out_channels),
            _ => unreachable!("asked of convolutions alone"),
        };
        let none = || vec![0.0; outs];
        (self.plan.weights[*weights].to_vec(), bias.map_or_else(none, |bias| self.plan.weights[bias].to_vec()))
    }

    /// A convolution between halves; none where its activation is more than bounds, or what is added lies in other places.
    fn conv(
        &mut self,
        step: &PlanStep,
        conv: &Conv,
        (weights, mut bias): (Vec<f32>, Vec<f32>),
        activation: Activation,
    ) -> Option<()> {
        let to = self.tensors.of(step.output);
        bias.resize(to.width, 0.0);
        let constants = (self.constant(conv.pack(&weights)), self.floats(&bias));
        let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
        let added = match step.inputs.get(1) {
            // Each thread reads of it what it then writes.
            Some(&v) if self.tensors.adds_planes(step) => {
                let (planes, sizes) = (self.given(v).0, [to.channels, to.pixels]);
                self.launches.push(layout::to_last(sizes, planes, dst, to.width));
                Some(dst)
            }
            Some(&v) if self.tensors.of(v).places != to.places => return None,
            added => added.map(|&v| self.tensors.halves(v)),
        };
        let scratch = self.tensors.scratch(step.output);
        let conv = match self.tensors.pooled(step.output) {
            Some(Kept::Halves(pooled)) => &conv.clone().pooling(pooled),
            _ => conv,
        };
        self.held(to, dst, activation, |bounds| conv.launches(src, constants, added, dst, bounds, scratch))
    }

    /// A convolution of codes; none where no kernel computes it, what is added lies in other places, or numbers of another
    /// activation than bounds would be codes already.
    fn conv_int8(&mut self, step: &PlanStep, activation: Activation) -> Option<()> {
        let [from, to] = [step.inputs[0], step.output].map(|v| self.tensors.of(v));
        let conv = self.tensors.conv_int8(step)?;
        let (weights, mut bias) = self.numbers(step);
        if !weights.iter().chain(&bias).all(|x| x.is_finite()) {
            return None;
        }
        let weights = match &step.op {
            Op::ConvTranspose { .. } => spread(&weights, (&from.places, from.width), (&to.places, to.width)),
            _ => spread(&weights, (&to.places, to.width), (&from.places, from.width)),
        };
        bias.resize(to.width, 0.0);
        let added = match step.inputs.get(1) {
            Some(&v) if self.tensors.of(v).places != to.places || self.tensors.of(v).width < to.width => return None,
            added => added.map(|&v| self.tensors.kept(v, 0, to.width)),
        };
        let Kept::Codes(src) = self.tensors.whole(step.inputs[0]) else { return None };
        let constants = self.constant(conv.pack(&weights, &bias, added.is_some()));
        let held = bounds(activation).unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
        let dst = self.tensors.whole(step.output);
        let conv = self.tensors.pooled(step.output).into_iter().fold(conv, ConvInt8::pooling);
        let scratch = self.tensors.scratch(step.output);
        self.launches.extend(conv.launches(src, constants, added, dst, held, scratch));
        match (bounds(activation), dst) {
            (None, Kept::Halves(dst)) => {
                self.launches.push(elementwise::affine([to.pixels, to.width], dst, None, dst, activation)?);
            }
            (None, Kept::Codes(_)) => return None,
            _ => {}
        }
        Some(())
    }

    /// A convolution that clips to bounds; a function that is more follows in place. None where no kernel computes it.
    fn held(
        &mut self,
        to: &Tensor,
        dst: Halves,
        activation: Activation,
        convolve: impl FnOnce([f32; 2]) -> Vec<Launch>,
    ) -> Option<()> {
        let held = bounds(activation);
        self.launches.extend(convolve(held.unwrap_or([f32::NEG_INFINITY, f32::INFINITY])));
        if held.is_none() {
            self.launches.push(elementwise::affine([to.pixels, to.width], dst, None, dst, activation)?);
        }
        Some(())
    }

    /// Copies those parts of a joined tensor that were not written where they belong.
    fn join(&mut self, step: &PlanStep) {
        let mut first = 0;
        for (number, &v) in step.inputs.iter().enumerate() {
            let part = self.tensors.of(v);
            let is_first = !step.inputs[..number].contains(&v);
            if !is_first || !self.tensors.is_part(v, step.output, first) {
                let (src, dst) = (self.tensors.whole(v), self.tensors.kept(step.output, first, part.width));
                self.launches.push(layout::copy([part.width, part.pixels], src, dst));
            }
            first += part.width;
        }
    }
}

/// What a convolution does itself of its activation.
fn before(step: &PlanStep, activation: Activation) -> Activation {
    if follows(step) { Activation::None } else { activation }
}

/// What an activation holds values between; none where it is more than that.
fn bounds(activation: Activation) -> Option<[f32; 2]> {
    activation.bounds().map(|(low, high)| [low, high])
}
