//! Steps that take values one by one, or all pixels of a channel together.

use super::super::graph::Op;
use super::super::plan::PlanStep;
use super::super::tensor_op::TensorOp;
use super::emit::Emit;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::{Arithmetic, batch_norm_affine};
use crate::backend::cpu::reduce::{Reduce, Reduction};
use crate::backend::cuda::conv::int8::{CHUNK, Kept};
use crate::backend::cuda::elementwise::{self, Operand};
use crate::backend::cuda::{layout, reduce};

impl Emit<'_> {
    /// None where no kernel computes it.
    pub(super) fn pointwise(&mut self, step: &PlanStep) -> Option<()> {
        match &step.op {
            Op::Activate(activation) => self.affine(step, None, *activation),
            Op::Copy => self.copy(step),
            Op::BatchNorm { numbers, epsilon } => {
                let [scale, bias, mean, variance] = numbers.map(|n| self.plan.weights[n].to_vec());
                let of = |c: usize| batch_norm_affine(scale[c], bias[c], mean[c], variance[c], *epsilon);
                let (factors, addends) = (0..scale.len()).map(of).unzip();
                self.affine(step, Some([factors, addends]), Activation::None)
            }
            Op::Tensor(TensorOp::Affine { plane, numbers, activation }) => {
                let numbers = numbers.map(|n| self.plan.weights[n].to_vec());
                let own = self.tensors.of(step.output);
                let each = *plane == own.pixels && numbers[0].len() == own.channels;
                if each { self.affine(step, Some(numbers), *activation) } else { None }
            }
            Op::Binary(op) => self.binary(step, *op, Activation::None),
            Op::Tensor(TensorOp::Binary { op, activation }) => self.binary(step, *op, *activation),
            Op::Tensor(TensorOp::Reduce(reduce)) => self.reduce(step, reduce),
            Op::Tensor(TensorOp::Normalize { numbers, activation, .. }) => self.normalize(step, *numbers, *activation),
            _ => None,
        }
    }

    /// By mean and variance of groups of channels, each with its scale and bias.
    fn normalize(&mut self, step: &PlanStep, numbers: [usize; 2], activation: Activation) -> Option<()> {
        let own = self.tensors.of(step.output);
        if self.tensors.of(step.inputs[0]).places != own.places {
            return None;
        }
        let groups = self.tensors.groups(step)?;
        let Op::Tensor(TensorOp::Normalize { sizes, .. }) = &step.op else { return None };
        let [scales, biases] = numbers.map(|n| {
            let list = &self.plan.weights[n];
            (0..own.channels).map(|c| list[c * own.pixels / sizes.plane % sizes.channels]).collect::<Vec<f32>>()
        });
        let constants = self.constant(groups.pack(&own.places, &scales, &biases));
        let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
        let scratch = self.tensors.scratch(step.output);
        self.launches.extend(groups.launches(src, constants, dst, scratch, activation)?);
        Some(())
    }

    /// The same numbers in the same order, as codes or halves.
    fn copy(&mut self, step: &PlanStep) -> Option<()> {
        let [from, to] = [step.inputs[0], step.output].map(|v| self.tensors.of(v));
        let launch = match [step.inputs[0], step.output].map(|v| self.tensors.whole(v)) {
            _ if from.pixels != to.pixels => return None,
            [Kept::Codes(_), Kept::Halves(_)] => return self.decode(step),
            _ if from.places != to.places => return None,
            [Kept::Halves(src), Kept::Codes(dst)] => layout::to_codes([from.width, to.pixels], src, to.grid?, dst),
            [Kept::Codes(_), Kept::Codes(_)] if from.grid != to.grid => return None,
            [src, dst] => layout::copy([to.width, to.pixels], src, dst),
        };
        self.launches.push(launch);
        Some(())
    }

    /// Codes to halves: each run of channels that lie side by side in both, since a joined tensor may have places of nothing
    /// between its parts. None where one begins within a chunk.
    fn decode(&mut self, step: &PlanStep) -> Option<()> {
        let (input, output) = (step.inputs[0], step.output);
        let [from, to] = [input, output].map(|v| self.tensors.of(v));
        if from.channels != to.channels {
            return None;
        }
        let mut first = 0;
        while first < from.channels {
            let [source, target] = [&from.places, &to.places].map(|places| places[first]);
            let together = |c: &usize| [from.places[*c], to.places[*c]] == [source + c - first, target + c - first];
            let alike = from.places == to.places;
            let run = if alike { from.channels } else { (first..from.channels).take_while(together).count() };
            // What is more than the run is overwritten by the next, or nobody's; places between parts are zeros on both sides.
            let width = if alike { to.width } else { run.next_multiple_of(8) };
            if !source.is_multiple_of(CHUNK) || !target.is_multiple_of(8) || target + width > to.width {
                return None;
            }
            let Kept::Codes(src) = self.tensors.kept(input, source, width.next_multiple_of(CHUNK)) else { return None };
            let dst = self.tensors.slice(output, target, width);
            self.launches.push(layout::to_halves([width, to.pixels], src, from.grid?, dst));
            first += run;
        }
        Some(())
    }

    /// A function of every value, with scale and shift of its channel before it.
    fn affine(&mut self, step: &PlanStep, numbers: Option<[Vec<f32>; 2]>, activation: Activation) -> Option<()> {
        let [from, to] = [step.inputs[0], step.output].map(|v| self.tensors.of(v));
        if (from.pixels, &from.places) != (to.pixels, &to.places) {
            return None;
        }
        let numbers = numbers.map(|numbers| {
            let mut spread = vec![0.0; 2 * to.width];
            for (half, own) in spread.chunks_exact_mut(to.width).zip(&numbers) {
                to.places.iter().zip(own).for_each(|(&place, &number)| half[place] = number);
            }
            self.floats(&spread)
        });
        let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
        self.launches.push(elementwise::affine([to.pixels, to.width], src, numbers, dst, activation)?);
        Some(())
    }

    /// Two values together, of which one may have a single pixel or channel.
    fn binary(&mut self, step: &PlanStep, op: Arithmetic, activation: Activation) -> Option<()> {
        let to = self.tensors.of(step.output);
        let rank = |v: usize| self.plan.header.values[v].shape.len();
        let operand = |&v: &usize| {
            let own = self.tensors.of(v);
            // Of fewer dimensions it would lie along the rows, not the channels.
            if rank(v) != rank(step.output) && own.channels * own.pixels != 1 {
                return None;
            }
            let single = own.channels == 1 && to.channels != 1;
            let fits = (own.pixels == to.pixels || own.pixels == 1) && (single || own.places == to.places);
            let width = if single { 8 } else { own.width };
            fits.then(|| Operand { halves: self.tensors.slice(v, 0, width), pixels: own.pixels, single })
        };
        let [a, b] = step.inputs[..] else { return None };
        let operands = [operand(&a)?, operand(&b)?];
        let dst = self.tensors.halves(step.output);
        self.launches.push(elementwise::binary(op, [to.pixels, to.width], operands, dst, activation)?);
        Some(())
    }

    /// All pixels of each channel.
    fn reduce(&mut self, step: &PlanStep, reduce: &Reduce) -> Option<()> {
        let [from, to] = [step.inputs[0], step.output].map(|v| self.tensors.of(v));
        let largest = match reduce.reduction {
            Reduction::Mean => false,
            Reduction::Max => true,
            _ => return None,
        };
        let all = [(from.channels, false), (from.pixels, true)];
        // Dimensions of one are left out.
        if !all.into_iter().filter(|(length, _)| *length != 1).eq(reduce.axes.iter().copied()) || to.pixels != 1 {
            return None;
        }
        let [src, dst] = [step.inputs[0], step.output].map(|v| self.tensors.halves(v));
        self.launches.push(reduce::pixels([from.pixels, from.width], src, dst, largest));
        Some(())
    }
}
