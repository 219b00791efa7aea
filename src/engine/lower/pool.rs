//! MaxPool and AveragePool.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::convolution::{pads_of, pair, planes_of, same_total, unplaned, widened};
use super::{Lowering, Refusal};
use crate::backend::cpu::max_pool::PoolShape;

pub(super) fn pool(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let max = node.operator == "MaxPool";
    let value = if max { lowering.any_input(node, 0)? } else { lowering.input(node, 0)? };
    if lowering.is_read(node, 1) {
        return Err("its second output, the indices, is asked for; export with `return_indices=False`".into());
    }
    if node.ints("kernel_shape")?.is_none() {
        return Err("its `kernel_shape` is missing".into());
    }
    let (value, [images, channels, height, width], line) = planes_of(lowering, node, value)?;
    let settings = widened(node, line);
    let kernel = pair(&settings, "kernel_shape", 1)?;
    let (stride, dilation) = (pair(&settings, "strides", 1)?, pair(&settings, "dilations", 1)?);
    let in_size = [height, width];
    let pads = pads_of(&settings, |i| same_total(in_size[i], kernel[i], stride[i], dilation[i]))?;
    if (0..4).any(|i| pads[i] > (kernel[i % 2] - 1) * dilation[i % 2]) {
        return Err(format!("its pads {pads:?} are not smaller than its kernel {kernel:?}").into());
    }
    let shape =
        PoolShape { channels, in_size, kernel, stride, pads, dilation, ceil_mode: node.int("ceil_mode", 0)? != 0 };
    shape.check().map_err(|e| e.to_string())?;
    let [h, w] = shape.out_size();
    let op = if max {
        Op::MaxPool(shape)
    } else {
        Op::AveragePool { shape, padded: node.int("count_include_pad", 0)? != 0 }
    };
    let output = lowering.emit(node, op, vec![value], vec![images, channels, h, w])?;
    let output = unplaned(lowering, node, output, line)?;
    lowering.bind(node, 0, output)
}
