//! Conv, ConvTranspose, BatchNormalization, and Gemm as a convolution of single pixels.

use super::super::attribute::{Attribute, Node};
use super::super::graph::Op;
use super::{Lowering, Refusal};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::conv::ConvShape;
use crate::backend::cpu::conv_transpose::ConvTransposeShape;

/// A list of two positive numbers, or both `default`.
pub(super) fn pair(node: &Node, name: &str, default: usize) -> Result<[usize; 2], String> {
    let Some(list) = node.ints(name)? else { return Ok([default; 2]) };
    let numbers: Vec<usize> =
        list.iter().filter_map(|&v| usize::try_from(v).ok().filter(|n| (1..=1 << 20).contains(n))).collect();
    numbers
        .try_into()
        .map_err(|_| format!("its `{name}` is {list:?}; expected two numbers from 1 (two spatial dimensions)"))
}

/// Zeros around the input, from `pads` or `auto_pad`: top, left, bottom, right. `out_of` gives the total that makes
/// an axis come out as `SAME` wants it.
pub(super) fn pads_of(node: &Node, same: impl Fn(usize) -> usize) -> Result<[usize; 4], String> {
    match node.text("auto_pad", "NOTSET")? {
        "NOTSET" => {
            let Some(list) = node.ints("pads")? else { return Ok([0; 4]) };
            let pads: Vec<usize> =
                list.iter().filter_map(|&v| usize::try_from(v).ok().filter(|&n| n <= 1 << 20)).collect();
            pads.try_into().map_err(|_| {
                format!("its `pads` are {list:?}; expected four numbers from 0 (top, left, bottom, right)")
            })
        }
        "VALID" => Ok([0; 4]),
        upper_or_lower @ ("SAME_UPPER" | "SAME_LOWER") => {
            let mut pads = [0; 4];
            for i in 0..2 {
                let total = same(i);
                let (small, large) = (total / 2, total - total / 2);
                (pads[i], pads[i + 2]) = if upper_or_lower == "SAME_UPPER" { (small, large) } else { (large, small) };
            }
            Ok(pads)
        }
        other => Err(format!("its `auto_pad` is `{other}`; expected NOTSET, VALID, SAME_UPPER or SAME_LOWER")),
    }
}

/// Padding in total along one axis so that the output has ⌈size / stride⌉ elements.
pub(super) fn same_total(size: usize, kernel: usize, stride: usize, dilation: usize) -> usize {
    let extent = (kernel - 1) * dilation + 1;
    ((size.div_ceil(stride) - 1) * stride + extent).saturating_sub(size)
}

/// `value` as images of planes, and whether it was images of lines: N, C, L becomes N, C, 1, L.
pub(super) fn planes_of(
    lowering: &mut Lowering,
    node: &Node,
    value: usize,
) -> Result<(usize, [usize; 4], bool), Refusal> {
    let shape = lowering.shape(value).to_vec();
    match *shape.as_slice() {
        [n, c, h, w] => Ok((value, [n, c, h, w], false)),
        [n, c, l] => Ok((lowering.reshaped(node, value, &[n, c, 1, l])?, [n, c, 1, l], true)),
        _ => {
            let expected = "expected 4 dimensions (images, channels, height, width), or 3";
            Err(format!("its input has the shape {shape:?}; {expected}").into())
        }
    }
}

/// The way back from [`planes_of`].
pub(super) fn unplaned(lowering: &mut Lowering, node: &Node, value: usize, line: bool) -> Result<usize, Refusal> {
    match *lowering.shape(value) {
        [n, c, 1, l] if line => lowering.reshaped(node, value, &[n, c, l]),
        _ => Ok(value),
    }
}

/// The node with settings for planes where it has some for lines.
pub(super) fn widened(node: &Node, line: bool) -> Node {
    let mut node = node.clone();
    for (name, attribute) in node.attributes.iter_mut().filter(|_| line) {
        let (Attribute::Ints(list), Some(neutral)) = (attribute, NEUTRAL.iter().find(|n| n.0 == name)) else {
            continue;
        };
        match list.as_slice() {
            [before, after] if name == "pads" => *list = vec![0, *before, 0, *after],
            [one] => *list = vec![neutral.1, *one],
            _ => {}
        }
    }
    node
}

/// Settings along each axis, with the value that does nothing.
const NEUTRAL: &[(&str, i64)] =
    &[("dilations", 1), ("kernel_shape", 1), ("output_padding", 0), ("output_shape", 1), ("pads", 0), ("strides", 1)];

/// The constants of a convolution.
pub(super) struct Filter {
    /// The weights.
    pub numbers: Vec<f32>,
    /// Their dimensions.
    pub shape: Vec<usize>,
    /// One a channel.
    pub bias: Option<Vec<f32>>,
}

impl Filter {
    fn read(lowering: &Lowering, node: &Node) -> Result<Self, String> {
        let tensor = lowering.required(node, 1, "weight")?;
        let bias = lowering.constant(node, 2, "bias")?.map(|t| t.to_floats());
        Ok(Self { numbers: tensor.to_floats(), shape: tensor.shape.clone(), bias })
    }

    /// Its four dimensions; those of a filter for lines have a height of 1.
    fn dims(&self, line: bool) -> Result<[usize; 4], String> {
        match *self.shape.as_slice() {
            [o, i, h, w] if !line => Ok([o, i, h, w]),
            [o, i, l] if line => Ok([o, i, 1, l]),
            _ => Err(format!("its weight has the shape {:?}; expected as many dimensions as the input", self.shape)),
        }
    }

    /// Indices of weights and bias in the graph.
    fn store(self, lowering: &mut Lowering, channels: usize) -> Result<(usize, Option<usize>), String> {
        match &self.bias {
            Some(v) if v.len() != channels => {
                Err(format!("its bias has {} numbers, expected {channels}, one a channel", v.len()))
            }
            _ => Ok((lowering.graph.weight(self.numbers), self.bias.map(|b| lowering.graph.weight(b)))),
        }
    }
}

/// Numbers of which there is one a channel: their index.
fn per_channel(
    lowering: &Lowering,
    node: &Node,
    index: usize,
    what: &str,
    channels: usize,
) -> Result<Option<Vec<f32>>, String> {
    match lowering.constant(node, index, what)?.map(|t| t.to_floats()) {
        Some(v) if v.len() != channels => {
            Err(format!("its {what} has {} numbers, expected {channels}, one a channel", v.len()))
        }
        other => Ok(other),
    }
}

fn groups_of(node: &Node) -> Result<usize, String> {
    let groups = node.int("group", 1)?;
    usize::try_from(groups)
        .ok()
        .filter(|&g| g > 0)
        .ok_or_else(|| format!("its `group` is {groups}, expected 1 or more"))
}

fn kernel_of(node: &Node, weight: [usize; 4]) -> Result<[usize; 2], String> {
    let kernel = [weight[2], weight[3]];
    match node.ints("kernel_shape")? {
        Some(list) if list != kernel.map(|k| k as i64) => {
            Err(format!("its `kernel_shape` is {list:?}, its weight has the shape {weight:?}"))
        }
        _ => Ok(kernel),
    }
}

pub(super) fn conv(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (value, filter) = (lowering.input(node, 0)?, Filter::read(lowering, node)?);
    let output = conv_of(lowering, node, value, filter)?;
    lowering.bind(node, 0, output)
}

/// A convolution of `value` with the settings of the node.
pub(super) fn conv_of(lowering: &mut Lowering, node: &Node, value: usize, filter: Filter) -> Result<usize, Refusal> {
    let (value, [images, in_channels, height, width], line) = planes_of(lowering, node, value)?;
    let (node, weight) = (&widened(node, line), filter.dims(line)?);
    let groups = groups_of(node)?;
    let [out_channels, per_group, ..] = weight;
    if per_group.checked_mul(groups) != Some(in_channels) || out_channels % groups != 0 {
        return Err(format!(
            "its weight has the shape {weight:?} in {groups} groups, its input has {in_channels} channels"
        )
        .into());
    }
    let (kernel, stride, dilation) = (kernel_of(node, weight)?, pair(node, "strides", 1)?, pair(node, "dilations", 1)?);
    let in_size = [height, width];
    if kernel.contains(&0) {
        return Err(format!("its weight has the shape {weight:?}, which holds nothing").into());
    }
    let pads = pads_of(node, |i| same_total(in_size[i], kernel[i], stride[i], dilation[i]))?;
    let shape = ConvShape { in_channels, out_channels, groups, in_size, kernel, stride, pads, dilation };
    shape.check().map_err(|e| e.to_string())?;
    let (weights, bias) = filter.store(lowering, out_channels)?;
    let [h, w] = shape.out_size();
    let op = Op::Conv { shape, weights, bias, activation: Activation::None, then: None };
    let output = lowering.emit(node, op, vec![value], vec![images, out_channels, h, w])?;
    unplaned(lowering, node, output, line)
}

pub(super) fn conv_transpose(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (value, filter) = (lowering.input(node, 0)?, Filter::read(lowering, node)?);
    let (value, [images, in_channels, height, width], line) = planes_of(lowering, node, value)?;
    let (node, weight) = (&widened(node, line), filter.dims(line)?);
    let groups = groups_of(node)?;
    if weight[0] != in_channels || in_channels % groups != 0 {
        return Err(format!(
            "its weight has the shape {weight:?} in {groups} groups, its input has {in_channels} channels"
        )
        .into());
    }
    let out_channels = weight[1].checked_mul(groups).ok_or("its weight is too large")?;
    let (kernel, stride, dilation) = (kernel_of(node, weight)?, pair(node, "strides", 1)?, pair(node, "dilations", 1)?);
    if kernel.contains(&0) {
        return Err(format!("its weight has the shape {weight:?}, which holds nothing").into());
    }
    let in_size = [height, width];
    let output_padding = match node.ints("output_padding")? {
        None => [0; 2],
        Some(list) => {
            let numbers: Vec<usize> =
                list.iter().filter_map(|&v| usize::try_from(v).ok().filter(|&n| n < 1 << 20)).collect();
            numbers.try_into().map_err(|_| format!("its `output_padding` is {list:?}; expected two numbers from 0"))?
        }
    };
    // Without padding an axis comes out at stride·(size − 1) + extent + output_padding; pads take away from that.
    let full = |i: usize| stride[i] * (in_size[i] - 1) + (kernel[i] - 1) * dilation[i] + 1 + output_padding[i];
    let pads = match node.ints("output_shape")? {
        Some(list) => {
            let wanted = list.get(list.len().saturating_sub(2)..).unwrap_or(list);
            let mut pads = [0; 4];
            for i in 0..2 {
                let want = wanted.get(i).and_then(|&v| usize::try_from(v).ok()).filter(|&v| v > 0 && v <= full(i));
                let total =
                    full(i) - want.ok_or_else(|| format!("its `output_shape` is {list:?}, which it cannot reach"))?;
                let (small, large) = (total / 2, total - total / 2);
                let upper = node.text("auto_pad", "NOTSET")? == "SAME_UPPER";
                (pads[i], pads[i + 2]) = if upper { (small, large) } else { (large, small) };
            }
            pads
        }
        None => pads_of(node, |i| full(i).saturating_sub(in_size[i] * stride[i]))?,
    };
    let shape = ConvTransposeShape {
        in_channels,
        out_channels,
        groups,
        in_size,
        kernel,
        stride,
        pads,
        dilation,
        output_padding,
    };
    shape.check().map_err(|e| e.to_string())?;
    let (weights, bias) = filter.store(lowering, out_channels)?;
    let [h, w] = shape.out_size();
    let op = Op::ConvTranspose { shape, weights, bias, activation: Activation::None };
    let output = lowering.emit(node, op, vec![value], vec![images, out_channels, h, w])?;
    let output = unplaned(lowering, node, output, line)?;
    lowering.bind(node, 0, output)
}

pub(super) fn batch_norm(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    if node.int("training_mode", 0)? != 0 {
        return Err("it is in training mode; export the model after `model.eval()`".into());
    }
    if node.int("spatial", 1)? == 0 {
        return Err("it has statistics for every pixel (`spatial`); export the model with opset 13 to 20".into());
    }
    let value = lowering.input(node, 0)?;
    let shape = lowering.shape(value).to_vec();
    let &channels =
        shape.get(1).ok_or_else(|| format!("its input has the shape {shape:?}, expected two or more dimensions"))?;
    let mut numbers = [0; 4];
    for (i, what) in ["scale", "bias", "mean", "variance"].into_iter().enumerate() {
        let list =
            per_channel(lowering, node, i + 1, what, channels)?.ok_or_else(|| format!("its {what} is missing"))?;
        numbers[i] = lowering.graph.weight(list);
    }
    let epsilon = node.float("epsilon", 1e-5)?;
    lowering.step(node, Op::BatchNorm { numbers, epsilon }, vec![value], shape)
}

/// alpha · A · B + beta · C with constant B and C: rows of A are images of one pixel.
pub(super) fn gemm(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let value = lowering.input(node, 0)?;
    let b = lowering.required(node, 1, "matrix B")?;
    let &[rows, depth] = lowering.shape(value) else {
        return Err(format!("its input has the shape {:?}, expected a matrix", lowering.shape(value)).into());
    };
    let &[b_rows, b_columns] = b.shape.as_slice() else {
        return Err(format!("its matrix B has the shape {:?}", b.shape).into());
    };
    if node.int("transA", 0)? != 0 {
        return Err("it transposes what depends on the input (`transA`); export it without".into());
    }
    let transposed = node.int("transB", 0)? != 0;
    let (columns, inner) = if transposed { (b_rows, b_columns) } else { (b_columns, b_rows) };
    if inner != depth {
        return Err(format!("its input has {depth} columns, its matrix B {inner} rows").into());
    }
    let (alpha, beta, numbers) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?, b.to_floats());
    let at = |o: usize, i: usize| if transposed { numbers[o * depth + i] } else { numbers[i * columns + o] };
    let weights = (0..columns).flat_map(|o| (0..depth).map(move |i| (o, i))).map(|(o, i)| alpha * at(o, i)).collect();
    let bias = match lowering.constant(node, 2, "C")?.map(|c| c.to_floats()) {
        None => None,
        Some(c) if c.len() == columns => Some(c.iter().map(|v| beta * v).collect()),
        Some(c) if c.len() == 1 => Some(vec![beta * c[0]; columns]),
        Some(c) => return Err(format!("its C has {} numbers, expected {columns} or one", c.len()).into()),
    };
    let shape = ConvShape {
        in_channels: depth,
        out_channels: columns,
        groups: 1,
        in_size: [1, 1],
        kernel: [1, 1],
        stride: [1, 1],
        pads: [0; 4],
        dilation: [1, 1],
    };
    shape.check().map_err(|e| e.to_string())?;
    let weights = lowering.graph.weight(weights);
    let bias = bias.map(|b| lowering.graph.weight(b));
    let op = Op::Conv { shape, weights, bias, activation: Activation::None, then: None };
    lowering.step(node, op, vec![value], vec![rows, columns])
}
