//! Functions of one value.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::onnx::data_type;
use super::super::tensor::{Data, Tensor};
use super::{Known, Lowering, Refusal};
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::math::Math;

/// The function that the operator is, where it is one.
fn function(lowering: &Lowering, node: &Node) -> Result<Option<Activation>, String> {
    let float = |name, default| node.float(name, default);
    Ok(Some(match node.operator.as_str() {
        "Relu" => Activation::Relu,
        "LeakyRelu" => Activation::LeakyRelu(float("alpha", 0.01)?),
        "Sigmoid" => Activation::Sigmoid,
        "Tanh" => Activation::Tanh,
        "HardSwish" => Activation::HardSwish,
        "HardSigmoid" => Activation::HardSigmoid { alpha: float("alpha", 0.2)?, beta: float("beta", 0.5)? },
        "Elu" => Activation::Elu(float("alpha", 1.0)?),
        "Selu" => Activation::Selu { alpha: float("alpha", 1.673_263_2)?, gamma: float("gamma", 1.050_701)? },
        "Celu" => match float("alpha", 1.0)? {
            0.0 => return Err("its `alpha` is 0, by which it divides".to_owned()),
            alpha => Activation::Celu(alpha),
        },
        "ThresholdedRelu" => Activation::ThresholdedRelu(float("alpha", 1.0)?),
        "Shrink" => Activation::Shrink { bias: float("bias", 0.0)?, lambda: float("lambd", 0.5)? },
        "Swish" => match float("alpha", 1.0)? {
            1.0 => Activation::Silu,
            alpha => Activation::Swish(alpha),
        },
        "Gelu" | "com.microsoft.Gelu" => match node.text("approximate", "none")? {
            "none" => Activation::Gelu,
            "tanh" => Activation::GeluTanh,
            other => return Err(format!("its `approximate` is `{other}`; expected `none` or `tanh`")),
        },
        "Mish" => Activation::Mish,
        "Softplus" => Activation::Softplus,
        "Softsign" => Activation::Softsign,
        "Clip" => {
            let (low, high) = (bound(lowering, node, "min", 1, f32::MIN)?, bound(lowering, node, "max", 2, f32::MAX)?);
            Activation::Clip(low, high)
        }
        "IsInf" => match (node.int("detect_negative", 1)? != 0, node.int("detect_positive", 1)? != 0) {
            (true, true) => Activation::Math(Math::IsInf),
            (true, false) => Activation::Math(Math::IsNegativeInf),
            (false, true) => Activation::Math(Math::IsPositiveInf),
            (false, false) => return Err("it looks for neither infinity".to_owned()),
        },
        name => match MATH.iter().find(|(known, _)| *known == name) {
            Some((_, math)) => Activation::Math(*math),
            None => return Ok(None),
        },
    }))
}

/// Operators without settings.
const MATH: &[(&str, Math)] = &[
    ("Abs", Math::Abs),
    ("Acos", Math::Acos),
    ("Acosh", Math::Acosh),
    ("Asin", Math::Asin),
    ("Asinh", Math::Asinh),
    ("Atan", Math::Atan),
    ("Atanh", Math::Atanh),
    ("Ceil", Math::Ceil),
    ("Cos", Math::Cos),
    ("Cosh", Math::Cosh),
    ("Erf", Math::Erf),
    ("Exp", Math::Exp),
    ("Floor", Math::Floor),
    ("IsNaN", Math::IsNan),
    ("Log", Math::Log),
    ("Neg", Math::Neg),
    ("Not", Math::Not),
    ("Reciprocal", Math::Reciprocal),
    ("Round", Math::Round),
    ("Sign", Math::Sign),
    ("Sin", Math::Sin),
    ("Sinh", Math::Sinh),
    ("Sqrt", Math::Sqrt),
    ("Tan", Math::Tan),
];

/// A bound of Clip: an attribute before opset 11, an input since.
fn bound(lowering: &Lowering, node: &Node, name: &str, index: usize, default: f32) -> Result<f32, String> {
    match lowering.constant(node, index, name)?.map(|t| t.to_floats()) {
        None => node.float(name, default),
        Some(v) if v.len() == 1 && !v[0].is_nan() => Ok(v[0].clamp(f32::MIN, f32::MAX)),
        Some(v) => Err(format!("its {name} should be one number, found {}", v.len())),
    }
}

/// Lowers the node where it is a function of one value; false where it is none.
pub(super) fn unary(lowering: &mut Lowering, node: &Node) -> Result<bool, Refusal> {
    let Some(function) = function(lowering, node)? else { return Ok(false) };
    let truth = matches!(
        function,
        Activation::Math(Math::Not | Math::IsNan | Math::IsInf | Math::IsPositiveInf | Math::IsNegativeInf)
    );
    // What stands beside it, as the bounds of Clip, was constant or left out.
    if let Some(Known::Constant(from)) = lowering.known(node, 0) {
        let tensor = match &from.data {
            Data::Ints(list) => whole(&node.operator, function, list, &from)?,
            Data::Floats(list) => {
                let numbers = list.iter().map(|&x| function.of(x));
                match truth {
                    true => Tensor::integers(from.shape.clone(), numbers.map(|x| x as i64).collect(), data_type::BOOL),
                    false => {
                        Tensor { shape: from.shape.clone(), data: Data::Floats(numbers.collect()), dtype: from.dtype }
                    }
                }
            }
        };
        lowering.bind_constant(node, 0, tensor)?;
        return Ok(true);
    }
    // What gives one of its inputs back is exact for whole numbers too.
    let exact = matches!(function, Activation::Relu | Activation::Clip(..) | Activation::Math(Math::Sign));
    let value = if truth || exact { lowering.any_input(node, 0)? } else { lowering.input(node, 0)? };
    let shape = lowering.shape(value).to_vec();
    let dtype = if truth { data_type::BOOL } else { lowering.types[value] };
    lowering.step_of(node, Op::Activate(function), vec![value], shape, dtype)?;
    Ok(true)
}

/// The function of whole numbers, as shape arithmetic uses it.
fn whole(operator: &str, function: Activation, list: &[i64], from: &Tensor) -> Result<Tensor, String> {
    let dtype = if operator == "Not" { data_type::BOOL } else { from.dtype };
    let of = |x: &i64| {
        Some(match function {
            Activation::Math(Math::Not) => i64::from(*x == 0),
            Activation::Math(Math::Abs) => x.checked_abs()?,
            Activation::Math(Math::Neg) => x.checked_neg()?,
            Activation::Math(Math::Sign) => x.signum(),
            Activation::Math(Math::Floor | Math::Ceil | Math::Round) => *x,
            Activation::Relu => (*x).max(0),
            Activation::Clip(low, high) => (*x).clamp(low as i64, (high as i64).max(low as i64)),
            _ => return None,
        })
    };
    let numbers: Option<Vec<i64>> = list.iter().map(of).collect();
    let numbers = numbers.ok_or("its constant input is made of whole numbers, of which it is not computed")?;
    Ok(Tensor::integers(from.shape.clone(), numbers, dtype))
}
