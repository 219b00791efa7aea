//! Functions of two or more values, with broadcasting.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::onnx::data_type;
use super::super::tensor::{Data, Tensor, elements};
use super::super::tensor_op::TensorOp;
use super::movement::pick;
use super::{Lowering, Refusal};
use crate::backend::cpu::elementwise::{Arithmetic, broadcast, broadcast_shape};
use crate::backend::cpu::strided::Strided;

/// Operators of two values, in their ONNX names.
const BINARY: &[(&str, Arithmetic)] = &[
    ("Add", Arithmetic::Add),
    ("And", Arithmetic::And),
    ("Div", Arithmetic::Div),
    ("Equal", Arithmetic::Equal),
    ("Greater", Arithmetic::Greater),
    ("GreaterOrEqual", Arithmetic::GreaterOrEqual),
    ("Less", Arithmetic::Less),
    ("LessOrEqual", Arithmetic::LessOrEqual),
    ("Max", Arithmetic::Max),
    ("Mean", Arithmetic::Add),
    ("Min", Arithmetic::Min),
    ("Mul", Arithmetic::Mul),
    ("Or", Arithmetic::Or),
    ("PRelu", Arithmetic::Prelu),
    ("Pow", Arithmetic::Pow),
    ("Sub", Arithmetic::Sub),
    ("Sum", Arithmetic::Add),
    ("Xor", Arithmetic::Xor),
];

/// What comes out is a truth.
fn compares(op: Arithmetic) -> bool {
    use Arithmetic::{And, Equal, Greater, GreaterOrEqual, Less, LessOrEqual, Or, Xor};
    matches!(op, Equal | Greater | GreaterOrEqual | Less | LessOrEqual | And | Or | Xor)
}

/// Lowers the node where it is a function of two or more values; false where it is none.
pub(super) fn binary(lowering: &mut Lowering, node: &Node) -> Result<bool, Refusal> {
    let op = match BINARY.iter().find(|(name, _)| *name == node.operator) {
        Some((_, op)) => *op,
        None if node.operator == "Mod" && node.int("fmod", 0)? != 0 => Arithmetic::Remainder,
        None if node.operator == "Mod" => Arithmetic::Mod,
        None => return Ok(false),
    };
    let many = ["Max", "Min", "Mean", "Sum"].contains(&node.operator.as_str());
    if node.inputs.is_empty() || !many && node.inputs.len() != 2 {
        return Err(format!("it has {} inputs", node.inputs.len()).into());
    }
    if lowering.opset < 7 && node.attributes.contains_key("axis") {
        return Err("it broadcasts along an `axis`, as before opset 7; export the model with opset 13 to 20".into());
    }
    if let Some(inputs) = lowering.all_constant(node) {
        let mut result = inputs[0].as_ref().clone();
        for next in &inputs[1..] {
            result = of_constants(op, &result, next)?;
        }
        if node.operator == "Mean" {
            let list = result.to_floats().iter().map(|x| x / inputs.len() as f32).collect();
            result = Tensor::floats(result.shape, list);
        }
        lowering.bind_constant(node, 0, result)?;
        return Ok(true);
    }
    let any = compares(op) || matches!(op, Arithmetic::Max | Arithmetic::Min);
    let mut values = Vec::with_capacity(node.inputs.len());
    for i in 0..node.inputs.len() {
        values.push(if any { lowering.any_input(node, i)? } else { lowering.input(node, i)? });
    }
    let mut result = values[0];
    for &next in &values[1..] {
        let shape = broadcast_shape(lowering.shape(result), lowering.shape(next)).map_err(|e| e.to_string())?;
        if op == Arithmetic::Prelu && shape != lowering.shape(result) {
            return Err(format!("its slope has the shape {:?}", lowering.shape(next)).into());
        }
        result = lowering.emit(node, Op::Binary(op), vec![result, next], shape)?;
    }
    if node.operator == "Mean" && values.len() > 1 {
        let part = lowering.made(node, Vec::new(), vec![values.len() as f32]);
        let shape = lowering.shape(result).to_vec();
        result = lowering.emit(node, Op::Binary(Arithmetic::Div), vec![result, part], shape)?;
    }
    if compares(op) {
        lowering.types[result] = data_type::BOOL;
    }
    lowering.bind(node, 0, result)?;
    Ok(true)
}

/// `tensor` repeated to `shape`.
fn expanded(tensor: &Tensor, shape: &[usize]) -> Tensor {
    let whole = Strided::whole(&tensor.shape);
    let new = shape.len() - tensor.shape.len();
    let stride = |d: usize| if d < new || tensor.shape[d - new] == 1 { 0 } else { whole.strides[d - new] };
    let places = Strided { shape: shape.to_vec(), strides: (0..shape.len()).map(stride).collect(), offset: 0 };
    pick(tensor, shape.to_vec(), (0..places.out_len()).map(|i| Some(places.place(i))), 0.0)
}

/// The result of two constants; whole numbers stay whole.
pub(super) fn of_constants(op: Arithmetic, a: &Tensor, b: &Tensor) -> Result<Tensor, String> {
    let shape = broadcast_shape(&a.shape, &b.shape).map_err(|e| e.to_string())?;
    let count = elements(&shape)?;
    if count == 0 {
        return Ok(Tensor { shape, data: Data::Floats(Vec::new()), dtype: a.dtype });
    }
    if let (Data::Ints(_), Data::Ints(_)) = (&a.data, &b.data) {
        let (x, y) = (expanded(a, &shape).to_ints(), expanded(b, &shape).to_ints());
        let numbers: Option<Vec<i64>> = x.iter().zip(&y).map(|(&x, &y)| of_whole(op, x, y)).collect();
        let numbers = numbers.ok_or("its integers overflow, or are divided by zero")?;
        let dtype = if compares(op) { data_type::BOOL } else { a.dtype };
        let (low, high) = data_type::range(dtype).unwrap_or((i64::MIN, i64::MAX));
        if numbers.iter().any(|n| !(low..=high).contains(n)) {
            return Err(format!("its integers leave the range of {}", data_type::name(dtype)));
        }
        return Ok(Tensor::integers(shape, numbers, dtype));
    }
    let mut out = vec![0.0; count];
    broadcast(op, &a.to_floats(), &a.shape, &b.to_floats(), &b.shape, &mut out, &shape);
    Ok(match compares(op) {
        true => Tensor::integers(shape, out.iter().map(|&x| x as i64).collect(), data_type::BOOL),
        false => Tensor { shape, data: Data::Floats(out), dtype: a.dtype },
    })
}

fn of_whole(op: Arithmetic, x: i64, y: i64) -> Option<i64> {
    Some(match op {
        Arithmetic::Add => x.checked_add(y)?,
        Arithmetic::Sub => x.checked_sub(y)?,
        Arithmetic::Mul => x.checked_mul(y)?,
        Arithmetic::Div => x.checked_div(y)?,
        Arithmetic::Remainder => x.checked_rem(y)?,
        // The remainder has the sign of the divisor.
        Arithmetic::Mod => x.checked_rem(y)?.checked_add(y)?.checked_rem(y)?,
        Arithmetic::Pow => x.checked_pow(u32::try_from(y).ok()?)?,
        Arithmetic::Prelu => {
            if x < 0 {
                x.checked_mul(y)?
            } else {
                x
            }
        }
        Arithmetic::Min => x.min(y),
        Arithmetic::Max => x.max(y),
        Arithmetic::Equal => i64::from(x == y),
        Arithmetic::Greater => i64::from(x > y),
        Arithmetic::GreaterOrEqual => i64::from(x >= y),
        Arithmetic::Less => i64::from(x < y),
        Arithmetic::LessOrEqual => i64::from(x <= y),
        Arithmetic::And => i64::from(x != 0 && y != 0),
        Arithmetic::Or => i64::from(x != 0 || y != 0),
        Arithmetic::Xor => i64::from((x != 0) != (y != 0)),
    })
}

/// Where: the second input where the first is true, else the third.
pub(super) fn choose(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    if let Some(inputs) = lowering.all_constant(node)
        && let [condition, yes, no] = inputs.as_slice()
    {
        let two = broadcast_shape(&condition.shape, &yes.shape).map_err(|e| e.to_string())?;
        let shape = broadcast_shape(&two, &no.shape).map_err(|e| e.to_string())?;
        elements(&shape)?;
        let [condition, yes, no] = [condition, yes, no].map(|t| expanded(t, &shape));
        let chosen: Vec<bool> = condition.to_floats().iter().map(|&x| x != 0.0).collect();
        let data = match (&yes.data, &no.data) {
            (Data::Ints(a), Data::Ints(b)) => {
                Data::Ints(chosen.iter().enumerate().map(|(i, &first)| if first { a[i] } else { b[i] }).collect())
            }
            _ => {
                let (a, b) = (yes.to_floats(), no.to_floats());
                Data::Floats(chosen.iter().enumerate().map(|(i, &first)| if first { a[i] } else { b[i] }).collect())
            }
        };
        return lowering.bind_constant(node, 0, Tensor { shape, data, dtype: yes.dtype });
    }
    let mut values = Vec::with_capacity(3);
    for i in 0..3 {
        values.push(lowering.any_input(node, i)?);
    }
    let two = broadcast_shape(lowering.shape(values[0]), lowering.shape(values[1])).map_err(|e| e.to_string())?;
    let shape = broadcast_shape(&two, lowering.shape(values[2])).map_err(|e| e.to_string())?;
    let dtype = lowering.types[values[1]];
    lowering.step_of(node, Op::Tensor(TensorOp::Select), values, shape, dtype)
}
