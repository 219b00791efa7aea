//! Launches and constants, step by step.

use std::ops::Range;

use super::super::graph::{Op, Then};
use super::super::plan::{Header, Plan, PlanStep};
use super::kernels::{is_head, reads_planes};
use super::tensors::{ALIGN, Tensor, Tensors};
use super::{CudaError, Program};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cpu::resize_tensor::ResizeTensor;
use crate::backend::cuda::conv::first::ConvFirst;
use crate::backend::cuda::conv::int8::{ConvInt8, Kept};
use crate::backend::cuda::conv::{Conv, Halves, head};
use crate::backend::cuda::launch::{Launch, Region};
use crate::backend::cuda::{activation, elementwise, layout, max_pool, resize_tensor, softmax};

pub(super) fn program(plan: &Plan, share: bool) -> Result<Program, CudaError> {
    let header = &plan.header;
    let (tensors, end) = Tensors::new(header, share)?;
    let mut emit =
        Emit { plan, tensors: &tensors, end, constants: Vec::new(), launches: Vec::new(), steps: Vec::new() };
    emit.all(header)?;
    let Emit { end, constants, launches, steps, .. } = emit;
    let inputs = plan.inputs().into_iter().zip(header.inputs.iter().map(|&v| tensors.planes(v))).collect();
    let outputs = plan.outputs().into_iter().zip(header.outputs.iter().map(|(_, v)| tensors.planes(*v))).collect();
    Ok(Program { room: end, launches, steps, inputs, outputs, tensors: tensors.regions().collect(), constants })
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
}

impl<'a> Emit<'a> {
    fn all(&mut self, header: &Header) -> Result<(), CudaError> {
        for &v in &header.inputs {
            let own = self.tensors.of(v);
            if own.last {
                let sizes = [own.channels, own.pixels];
                self.launches.push(layout::to_last(sizes, self.tensors.planes(v), self.tensors.halves(v), own.width));
            }
        }
        for step in &header.steps {
            let first = self.launches.len();
            self.step(header, step)?;
            let out = self.tensors.of(step.output);
            if out.planes && !out.made_as_planes {
                if !out.places.iter().enumerate().all(|(i, &place)| i == place) {
                    return Err(CudaError::of(step, "what it joins does not fill whole chunks of eight channels"));
                }
                let (sizes, from) = ([out.channels, out.pixels], self.tensors.slice(step.output, 0, out.channels));
                self.launches.push(layout::to_planes(sizes, from, self.tensors.planes(step.output)));
            }
            self.steps.push(first..self.launches.len());
        }
        Ok(())
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
            Op::Conv { activation, then, .. } if is_head(step) && to.made_as_planes => {
                let (weights, bias) = self.numbers(step);
                let weights = spread(&weights, (&to.places, to.channels), (&from.places, from.width));
                let constants = [self.floats(&weights), self.floats(&bias)];
                let (src, dst) = (self.tensors.halves(step.inputs[0]), self.tensors.planes(step.output));
                self.launches.push(head::launch(to.pixels, [from.width, to.channels], src, constants, dst));
                if *then == Some(Then::Softmax) {
                    self.launches.push(softmax::launch([to.channels, to.pixels], dst));
                } else if *activation == Activation::Sigmoid {
                    self.launches.push(activation::sigmoid(to.channels * to.pixels, dst));
                }
            }
            Op::Conv { activation, .. } if self.tensors.depthwise(step).is_some() => {
                let conv = self.tensors.depthwise(step).ok_or_else(no_kernel)?;
                let (weights, bias) = self.numbers(step);
                let [weights, bias] = [weights, bias].map(|own| spread(&own, (&to.places, to.width), (&[0], 1)));
                let constants = [self.constant(conv.pack(&weights)), self.floats(&bias)];
                let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
                self.held(to, dst, *activation, |bounds| vec![conv.launch(src, constants, dst, bounds)])
                    .ok_or_else(no_kernel)?;
            }
            Op::Conv { activation, .. } | Op::ConvTranspose { activation, .. } if from.grid.is_some() => {
                self.conv_int8(step, *activation).ok_or_else(no_kernel)?;
            }
            Op::Conv { shape, activation, then: None, .. } => {
                let conv = self.tensors.conv(header, step).ok_or_else(no_kernel)?;
                let (weights, bias) = self.numbers(step);
                let weights = dense(shape, weights);
                let weights = spread(&weights, (&to.places, to.width), (&from.places, from.width));
                self.conv(step, &conv, (weights, bias), *activation).ok_or_else(no_kernel)?;
            }
            Op::ConvTranspose { activation, .. } => {
                let conv = self.tensors.conv(header, step).ok_or_else(no_kernel)?;
                let (weights, bias) = self.numbers(step);
                let weights = spread(&weights, (&from.places, from.width), (&to.places, to.width));
                self.conv(step, &conv, (weights, bias), *activation).ok_or_else(no_kernel)?;
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
    fn numbers(&self, step: &PlanStep) -> (Vec<f32>, Vec<f32>) {
        let (Op::Conv { weights, bias, .. } | Op::ConvTranspose { weights, bias, .. }) = &step.op else {
            unreachable!("asked of convolutions alone")
        };
        let none = || vec![0.0; self.tensors.of(step.output).channels];
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

/// Weights with their channels where the tensors have them, and zeros between: for each axis of channels, the outer first,
/// where each is and how many places there are.
fn spread(weights: &[f32], outer: (&[usize], usize), inner: (&[usize], usize)) -> Vec<f32> {
    let taps = weights.len() / (outer.0.len() * inner.0.len());
    let mut spread = vec![0.0; outer.1 * inner.1 * taps];
    for (i, run) in weights.chunks_exact(taps).enumerate() {
        let place = outer.0[i / inner.0.len()] * inner.1 + inner.0[i % inner.0.len()];
        spread[place * taps..][..taps].copy_from_slice(run);
    }
    spread
}

/// The weights of a convolution in groups as those of one of all channels: zeros between the groups.
fn dense(shape: &ConvShape, weights: Vec<f32>) -> Vec<f32> {
    if shape.groups == 1 {
        return weights;
    }
    let taps = shape.kernel[0] * shape.kernel[1];
    let (ins, outs) = (shape.in_channels / shape.groups * taps, shape.out_channels / shape.groups);
    let mut dense = vec![0.0; shape.out_channels * shape.in_channels * taps];
    for (o, own) in weights.chunks_exact(ins).enumerate() {
        dense[o * shape.in_channels * taps + o / outs * ins..][..ins].copy_from_slice(own);
    }
    dense
}

/// What an activation holds values between; none where it is more than that.
fn bounds(activation: Activation) -> Option<[f32; 2]> {
    activation.bounds().map(|(low, high)| [low, high])
}
