//! Which operator is lowered where.

use super::super::attribute::Node;
use super::super::onnx::data_type;
use super::super::tensor::Tensor;
use super::{
    Lowering, Refusal, binary, cast, constant, convolution, einsum, matmul, movement, normalize, pool, quantize,
    reduce, resample, unary,
};
use crate::backend::cpu::reduce::Reduction;

/// Operators that are understood, sorted.
#[rustfmt::skip]
pub const OPERATORS: &[&str] = &[
    "Abs", "Acos", "Acosh", "Add", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "AveragePool",
    "BatchNormalization", "Cast", "CastLike", "Ceil", "Celu", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv",
    "ConvInteger", "ConvTranspose", "Cos", "Cosh", "DepthToSpace", "DequantizeLinear", "Div", "Dropout", "Einsum", "Elu",
    "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm", "GlobalAveragePool",
    "GlobalMaxPool", "Greater", "GreaterOrEqual", "GroupNormalization", "HardSigmoid", "HardSwish", "Identity",
    "InstanceNormalization", "IsInf", "IsNaN", "LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log",
    "LogSoftmax", "LpNormalization", "MatMul", "MatMulInteger", "Max", "MaxPool", "Mean", "Min", "Mish", "Mod", "Mul",
    "Neg", "NonZero", "Not", "Or", "PRelu", "Pad", "Pow", "QLinearConv", "QLinearMatMul", "QuantizeLinear",
    "RMSNormalization", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax",
    "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Resize", "Round",
    "Scatter", "ScatterElements", "ScatterND", "Selu", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus", "Softsign",
    "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Sum", "Swish", "Tan", "Tanh", "ThresholdedRelu", "Tile",
    "Transpose", "Unsqueeze", "Upsample", "Where", "Xor",
];

impl Lowering {
    /// Adds the steps of one node, or computes it where it does not depend on the inputs.
    pub(super) fn node(&mut self, node: &Node) -> Result<(), Refusal> {
        self.first = self.graph.values.len();
        if let Some(tensor) = constant::constant(self, node)? {
            return self.bind_constant(node, 0, tensor);
        }
        let known = [movement::movement, unary::unary, binary::binary, reduce::reduce];
        for family in known {
            if family(self, node)? {
                return Ok(());
            }
        }
        match node.operator.as_str() {
            "Conv" => convolution::conv(self, node),
            "ConvTranspose" => convolution::conv_transpose(self, node),
            "BatchNormalization" => convolution::batch_norm(self, node),
            "ConvInteger" | "QLinearConv" => quantize::conv(self, node),
            "MatMulInteger" | "QLinearMatMul" => quantize::product(self, node),
            "QuantizeLinear" => quantize::quantize(self, node),
            "DequantizeLinear" => quantize::dequantize(self, node),
            "Gemm" => matmul::gemm(self, node),
            "MatMul" => matmul::matmul(self, node),
            "MaxPool" | "AveragePool" => pool::pool(self, node),
            "GlobalAveragePool" => reduce::global(self, node, Reduction::Mean),
            "GlobalMaxPool" => reduce::global(self, node, Reduction::Max),
            "ArgMax" | "ArgMin" => reduce::arg_extreme(self, node),
            "Softmax" | "LogSoftmax" => reduce::softmax(self, node),
            "InstanceNormalization" | "GroupNormalization" => normalize::channels(self, node),
            "LayerNormalization" | "RMSNormalization" => normalize::layer(self, node),
            "LpNormalization" => normalize::norm(self, node),
            "Einsum" => einsum::einsum(self, node),
            "Concat" => movement::concat(self, node),
            "Where" => binary::choose(self, node),
            "Resize" | "Upsample" => resample::resize(self, node),
            "Cast" | "CastLike" => cast::cast(self, node),
            "Identity" => self.same(node),
            "Dropout" => dropout(self, node),
            _ => Err(Refusal::Operator),
        }
    }
}

/// In use, not in training, Dropout does nothing.
fn dropout(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let training = lowering.constant(node, 2, "training mode")?.is_some_and(|t| t.to_ints().first() == Some(&1));
    if training {
        return Err("it is in training mode; export the model after `model.eval()`".into());
    }
    if lowering.is_read(node, 1) {
        let value = lowering.any_input(node, 0)?;
        let shape = lowering.shape(value).to_vec();
        let kept = vec![1; shape.iter().product()];
        lowering.bind_constant(node, 1, Tensor::integers(shape, kept, data_type::BOOL))?;
    }
    lowering.same(node)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_that_is_listed_is_lowered_and_the_list_is_sorted() {
        assert!(OPERATORS.is_sorted());
        for operator in OPERATORS.iter().chain(&["LSTM"]) {
            let node = Node {
                name: "n".to_owned(),
                operator: (*operator).to_owned(),
                inputs: vec![],
                outputs: vec![],
                attributes: Default::default(),
            };
            let outcome = Lowering::default().node(&node);
            assert_eq!(matches!(outcome, Err(Refusal::Operator)), *operator == "LSTM", "{operator}");
            assert!(outcome.is_err(), "{operator}: nothing can be computed from nothing");
        }
    }
}
