//! Pad: borders of a level, of the nearest values, mirrored or repeated; less than nothing cuts off.

use super::super::super::attribute::Node;
use super::super::super::graph::Op;
use super::super::{Known, Lowering, Refusal};
use super::{apply, axes_of, slices};

/// Largest border.
const MOST: i64 = 1 << 20;

/// What a border is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Border {
    Level(f32),
    Edge,
    Reflect,
    Wrap,
}

impl Border {
    /// Where position `at` of an axis of `n` elements is taken from; `None` where the level stands.
    fn source(self, at: i64, n: i64) -> Option<usize> {
        let inside = (0..n).contains(&at);
        let place = match self {
            _ if inside => at,
            Self::Level(_) => return None,
            Self::Edge => at.clamp(0, n - 1),
            Self::Wrap => at.rem_euclid(n),
            Self::Reflect => {
                let period = (2 * (n - 1)).max(1);
                let back = at.rem_euclid(period);
                back.min(period - back).min(n - 1)
            }
        };
        Some(place as usize)
    }
}

/// Lowers a Pad node; by attributes before opset 11, by inputs since.
pub(super) fn pad_node(lowering: &mut Lowering, node: &Node, from: &[usize]) -> Result<(), Refusal> {
    let name = if node.attributes.contains_key("paddings") { "paddings" } else { "pads" };
    let list = lowering.list(node, 1, name)?.ok_or("its pads are missing")?;
    let level = match lowering.constant(node, 2, "level")?.map(|t| t.to_floats()) {
        // JSON, in which a plan keeps its steps, has no infinities.
        Some(v) => match v.first() {
            Some(v) if !v.is_nan() => v.clamp(f32::MIN, f32::MAX),
            None => 0.0,
            _ => return Err("its level is not a number".into()),
        },
        None => node.float("value", 0.0)?,
    };
    let border = match node.text("mode", "constant")? {
        "constant" => Border::Level(level),
        "edge" => Border::Edge,
        "reflect" => Border::Reflect,
        "wrap" => Border::Wrap,
        other => return Err(format!("its mode is `{other}`; computed are constant, reflect, edge and wrap").into()),
    };
    let axes = match lowering.constant(node, 3, "axes")? {
        Some(tensor) => axes_of(&tensor.to_ints(), from.len())?,
        None => (0..from.len()).collect(),
    };
    if list.len() != 2 * axes.len() {
        return Err(format!("its pads are {list:?}, expected {} numbers", 2 * axes.len()).into());
    }
    let mut pads = vec![[0i64; 2]; from.len()];
    for (i, &axis) in axes.iter().enumerate() {
        pads[axis] = [list[i], list[i + axes.len()]];
    }
    pad(lowering, node, from, &pads, border)
}

/// Draws a border of `pads[axis]` elements before and after each axis.
pub(in super::super) fn pad(
    lowering: &mut Lowering,
    node: &Node,
    from: &[usize],
    pads: &[[i64; 2]],
    border: Border,
) -> Result<(), Refusal> {
    let source = lowering.known(node, 0).ok_or("its input is missing")?;
    if pads.iter().flatten().any(|p| !(-MOST..=MOST).contains(p)) {
        return Err(format!("its pads are {pads:?}, more than is computed").into());
    }
    if pads.iter().flatten().all(|&p| p == 0) {
        return lowering.same(node);
    }
    let around_planes = from.len() == 4 && pads[..2] == [[0; 2]; 2] && pads.iter().flatten().all(|&p| p >= 0);
    if let (Known::Value(_), Border::Level(level), true) = (&source, border, around_planes) {
        let (value, [images, channels, height, width]) =
            (lowering.any_input(node, 0)?, [from[0], from[1], from[2], from[3]]);
        let [[top, bottom], [left, right]] = [pads[2], pads[3]].map(|p| p.map(|n| n as usize));
        let op = Op::Pad { channels, size: [height, width], pads: [top, left, bottom, right], level };
        return lowering.step(
            node,
            op,
            vec![value],
            vec![images, channels, height + top + bottom, width + left + right],
        );
    }
    let level = if let Border::Level(level) = border { level } else { 0.0 };
    let (mut moves, mut shape) = (Vec::new(), from.to_vec());
    for (axis, &[before, after]) in pads.iter().enumerate().filter(|(_, p)| **p != [0; 2]) {
        let n = from[axis] as i64;
        let indices: Vec<_> = (-before..n + after).map(|at| border.source(at, n)).collect();
        if indices.is_empty() || n == 0 {
            return Err(format!("its pads {pads:?} leave nothing of {from:?}").into());
        }
        moves.push(slices(&shape, axis, indices, level));
        shape[axis] = (n + before + after) as usize;
        super::elements(&shape)?;
    }
    apply(lowering, node, 0, source, moves)
}
