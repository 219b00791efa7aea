//! Resize, and Upsample as it was called before.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor;
use super::{Lowering, Refusal};
use crate::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, Rounding};

pub(super) fn resize(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (value, dims) = lowering.planes(node)?;
    // Upsample and Resize of opset 10 have (x, scales); Resize since has (x, roi, scales, sizes).
    let old = node.operator == "Upsample" || lowering.opset < 11;
    let scales = match lowering.constant(node, if old { 1 } else { 2 }, "scales")? {
        Some(tensor) => Some(tensor.to_floats()),
        None => node.floats("scales")?.map(<[f32]>::to_vec),
    };
    let sizes = if old { None } else { lowering.constant(node, 3, "sizes")?.map(|t| t.to_ints()) };
    let axes: Vec<usize> = match node.ints("axes")? {
        Some(list) => list.iter().map(|&a| super::fold::axis_of(a, 4)).collect::<Result<_, _>>()?,
        None => vec![0, 1, 2, 3],
    };
    let (mut out, mut given) = (dims, None);
    match (scales.filter(|s| !s.is_empty()), sizes.filter(|s| !s.is_empty())) {
        (Some(list), None) if list.len() == axes.len() => {
            for (&axis, &s) in axes.iter().zip(&list) {
                let size = f64::from(s) * dims[axis] as f64;
                if !(1.0..=(1u64 << 28) as f64).contains(&size) {
                    return Err(format!("its scales are {list:?}, its input has the shape {dims:?}").into());
                }
                out[axis] = size.floor() as usize;
                given.get_or_insert([1f32; 4])[axis] = s;
            }
        }
        (None, Some(list)) if list.len() == axes.len() => {
            if node.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
                return Err("its `keep_aspect_ratio_policy` is not `stretch`, which alone is computed".into());
            }
            for (&axis, &n) in axes.iter().zip(&list) {
                let size = usize::try_from(n).ok().filter(|n| (1..=1 << 28).contains(n));
                out[axis] = size.ok_or_else(|| format!("its sizes are {list:?}"))?;
            }
        }
        _ => return Err(format!("it needs either scales or sizes, {} of them", axes.len()).into()),
    }
    tensor::elements(&out)?;
    if out[..2] != dims[..2] {
        return Err(format!("it changes {dims:?} to {out:?}; only height and width are resized").into());
    }
    let mode = node.text("mode", "nearest")?;
    let coordinates = match node
        .text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })?
    {
        "half_pixel" => Coordinates::HalfPixel,
        "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
        "align_corners" => Coordinates::AlignCorners,
        "asymmetric" => Coordinates::Asymmetric,
        other => {
            return Err(format!("its coordinates are `{other}`; computed are half_pixel, pytorch_half_pixel, align_corners and asymmetric").into());
        }
    };
    let interpolation = match mode {
        "nearest" => Interpolation::Nearest(
            match node.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" })? {
                "round_prefer_floor" => Rounding::RoundPreferFloor,
                "round_prefer_ceil" => Rounding::RoundPreferCeil,
                "floor" => Rounding::Floor,
                "ceil" => Rounding::Ceil,
                other => return Err(format!("its `nearest_mode` is `{other}`").into()),
            },
        ),
        "linear" | "bilinear" => Interpolation::Linear,
        other => return Err(format!("its mode is `{other}`; computed are `nearest` and `linear`").into()),
    };
    if node.int("antialias", 0)? != 0 && out != dims {
        return Err("it asks for `antialias`, which is not computed; export it without".into());
    }
    let shape = ResizeShape {
        planes: dims[1],
        in_size: [dims[2], dims[3]],
        out_size: [out[2], out[3]],
        scales: given.map(|s| [s[2], s[3]]),
        coordinates,
        interpolation,
    };
    lowering.step(node, Op::Resize(shape), vec![value], out.to_vec())
}
