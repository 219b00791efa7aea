//! MaxPool, AveragePool and GlobalAveragePool.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::convolution::{pads_of, pair, same_total};
use super::{Lowering, Refusal};
use crate::backend::cpu::max_pool::PoolShape;

pub(super) fn pool(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (value, [images, channels, height, width]) = lowering.planes(node)?;
    if node.outputs.get(1).is_some_and(|o| !o.is_empty()) {
        return Err("its second output, the indices, is asked for; export with `return_indices=False`".into());
    }
    if node.ints("kernel_shape")?.is_none() {
        return Err("its `kernel_shape` is missing".into());
    }
    let kernel = pair(node, "kernel_shape", 1)?;
    let (stride, dilation) = (pair(node, "strides", 1)?, pair(node, "dilations", 1)?);
    let in_size = [height, width];
    let pads = pads_of(node, |i| same_total(in_size[i], kernel[i], stride[i], dilation[i]))?;
    if (0..4).any(|i| pads[i] >= (kernel[i % 2] - 1) * dilation[i % 2] + 1) {
        return Err(format!("its pads {pads:?} are not smaller than its kernel {kernel:?}").into());
    }
    let max = node.operator == "MaxPool";
    let shape =
        PoolShape { channels, in_size, kernel, stride, pads, dilation, ceil_mode: node.int("ceil_mode", 0)? != 0 };
    shape.check().map_err(|e| e.to_string())?;
    let [h, w] = shape.out_size();
    let op = if max {
        Op::MaxPool(shape)
    } else {
        Op::AveragePool { shape, padded: node.int("count_include_pad", 0)? != 0 }
    };
    lowering.step(node, op, vec![value], vec![images, channels, h, w])
}

pub(super) fn global(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (value, [images, channels, height, width]) = lowering.planes(node)?;
    let shape = PoolShape {
        channels,
        in_size: [height, width],
        kernel: [height, width],
        stride: [1, 1],
        pads: [0; 4],
        dilation: [1, 1],
        ceil_mode: false,
    };
    shape.check().map_err(|e| e.to_string())?;
    lowering.step(node, Op::AveragePool { shape, padded: false }, vec![value], vec![images, channels, 1, 1])
}
