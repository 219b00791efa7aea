//! Resize, and Upsample as it was called before.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor;
use super::movement::axes_of;
use super::resample_axis::{Along, Rules, by_axis};
use super::{Lowering, Refusal};
use crate::backend::cpu::resize_axis::AxisFilter;
use crate::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, Rounding};

/// Largest length of an axis.
const MOST: f64 = (1u64 << 28) as f64;

/// New length and factor of every axis that is named, in order.
fn lengths(lowering: &Lowering, node: &Node, dims: &[usize], old: bool) -> Result<Vec<Along>, String> {
    let rank = dims.len();
    let scales = match lowering.constant(node, if old { 1 } else { 2 }, "scales")? {
        Some(tensor) => Some(tensor.to_floats()),
        None => node.floats("scales")?.map(<[f32]>::to_vec),
    };
    let sizes = if old { None } else { lowering.constant(node, 3, "sizes")?.map(|t| t.to_ints()) };
    let axes = match node.ints("axes")? {
        Some(list) => axes_of(list, rank)?,
        None => (0..rank).collect(),
    };
    let length = |size: f64, found: &dyn Fn() -> String| match (1.0..=MOST).contains(&size) {
        true => Ok(size as usize),
        false => Err(format!("its {}, its input has the shape {dims:?}", found())),
    };
    let crop = crops(lowering, node, axes.len(), old)?;
    let crop = |i: usize| crop.as_ref().map(|(list, level)| (list[i], *level));
    match (scales.filter(|s| !s.is_empty()), sizes.filter(|s| !s.is_empty())) {
        (Some(list), None) if list.len() == axes.len() => {
            let one = |(i, &axis): (usize, &usize)| {
                let part = crop(i).map_or(1.0, |([start, end], _)| f64::from(end) - f64::from(start));
                let size = (f64::from(list[i]) * part * dims[axis] as f64).floor();
                let out = length(size, &|| format!("scales are {list:?}"))?;
                Ok(Along { axis, out, scale: list[i], crop: crop(i) })
            };
            axes.iter().enumerate().map(one).collect()
        }
        (None, Some(list)) if list.len() == axes.len() => {
            let ratio = |i: usize| list[i] as f32 / dims[axes[i]] as f32;
            let ratios = || (0..axes.len()).map(ratio);
            let common = match node.text("keep_aspect_ratio_policy", "stretch")? {
                "stretch" => None,
                "not_larger" => Some(ratios().fold(f32::INFINITY, f32::min)),
                "not_smaller" => Some(ratios().fold(0.0, f32::max)),
                other => return Err(format!("its `keep_aspect_ratio_policy` is `{other}`")),
            };
            let one = |(i, &axis): (usize, &usize)| {
                let size = match common {
                    Some(scale) => (f64::from(scale) * dims[axis] as f64 + 0.5).floor(),
                    None => list[i] as f64,
                };
                let out = length(size, &|| format!("sizes are {list:?}"))?;
                Ok(Along { axis, out, scale: common.unwrap_or_else(|| ratio(i)), crop: crop(i) })
            };
            axes.iter().enumerate().map(one).collect()
        }
        _ => Err(format!("it needs either scales or sizes, {} of them", axes.len())),
    }
}

/// The part of each axis that is resized, and the value beyond, where a part is.
#[allow(clippy::type_complexity)] // a list and a number
fn crops(lowering: &Lowering, node: &Node, axes: usize, old: bool) -> Result<Option<(Vec<[f32; 2]>, f32)>, String> {
    if old || node.text("coordinate_transformation_mode", "half_pixel")? != "tf_crop_and_resize" {
        return Ok(None);
    }
    let roi = lowering.required(node, 1, "region")?.to_floats();
    if roi.len() != 2 * axes || roi.iter().any(|r| !r.is_finite()) {
        return Err(format!("its region is {roi:?}, expected {} numbers", 2 * axes));
    }
    let level = node.float("extrapolation_value", 0.0)?;
    Ok(Some(((0..axes).map(|i| [roi[i], roi[i + axes]]).collect(), level)))
}

pub(super) fn resize(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let mode = node.text("mode", "nearest")?;
    let nearest = mode == "nearest";
    let value = if nearest { lowering.any_input(node, 0)? } else { lowering.input(node, 0)? };
    let dims = lowering.shape(value).to_vec();
    // Upsample and Resize of opset 10 have (x, scales); Resize since has (x, roi, scales, sizes).
    let old = node.operator == "Upsample" || lowering.opset < 11;
    let along = lengths(lowering, node, &dims, old)?;
    let mut out = dims.clone();
    along.iter().for_each(|a| out[a.axis] = a.out);
    tensor::elements(&out)?;
    let coordinates =
        match node.text("coordinate_transformation_mode", if old { "asymmetric" } else { "half_pixel" })? {
            "half_pixel" | "tf_crop_and_resize" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixel,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            other => return Err(format!("its coordinates are `{other}`, which is not computed").into()),
        };
    let rounding = match node.text("nearest_mode", if old { "floor" } else { "round_prefer_floor" })? {
        "round_prefer_floor" => Rounding::RoundPreferFloor,
        "round_prefer_ceil" => Rounding::RoundPreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return Err(format!("its `nearest_mode` is `{other}`").into()),
    };
    let filter = match mode {
        "nearest" => AxisFilter::Nearest(rounding),
        "linear" | "bilinear" => AxisFilter::Linear,
        "cubic" => AxisFilter::Cubic(node.float("cubic_coeff_a", -0.75)?),
        other => return Err(format!("its mode is `{other}`; computed are nearest, linear and cubic").into()),
    };
    let (antialias, exclude_outside) = (node.int("antialias", 0)? != 0, node.int("exclude_outside", 0)? != 0);
    let interpolation = match filter {
        AxisFilter::Nearest(rounding) => Some(Interpolation::Nearest(rounding)),
        AxisFilter::Linear if !antialias && !exclude_outside => Some(Interpolation::Linear),
        _ => None,
    };
    let planes = dims.len() == 4 && out[..2] == dims[..2] && along.iter().all(|a| a.crop.is_none());
    let (Some(interpolation), true) = (interpolation, planes) else {
        return by_axis(lowering, node, value, &along, Rules { coordinates, filter, antialias, exclude_outside });
    };
    let scale = |axis: usize| along.iter().find(|a| a.axis == axis).map_or(1.0, |a| a.scale);
    let shape = ResizeShape {
        planes: dims[1],
        in_size: [dims[2], dims[3]],
        out_size: [out[2], out[3]],
        scales: Some([scale(2), scale(3)]),
        coordinates,
        interpolation,
    };
    lowering.step(node, Op::Resize(shape), vec![value], out)
}
