//! A bias that is added to a product of matrices is added where the product is computed.

use super::super::graph::{Graph, Op};
use super::super::tensor_op::TensorOp;
use crate::backend::cpu::activation::Activation;
use crate::backend::cpu::elementwise::Arithmetic;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    super::at_every_step(graph, fuse);
}

/// Makes the addition that reads the product at `at` part of it.
fn fuse(graph: &mut Graph, at: usize) -> Option<()> {
    let Op::Tensor(TensorOp::MatMul { sizes, bias: None, activation: Activation::None }) = &graph.steps[at].op else {
        return None;
    };
    let (product, columns) = (graph.steps[at].output, sizes.columns);
    let reader = graph.only_reader(product)?;
    let add = &graph.steps[reader];
    if add.op != Op::Binary(Arithmetic::Add) || graph.values[add.output].shape != graph.values[product].shape {
        return None;
    }
    let other = if add.inputs[0] == product { add.inputs[1] } else { add.inputs[0] };
    let shape = &graph.values[other].shape;
    let row = graph.values[product].shape.last() == Some(&columns) && shape.last() == Some(&columns);
    if !row || shape.iter().product::<usize>() != columns {
        return None;
    }
    let numbers = graph.values[other].constant?;
    let output = add.output;
    if let Op::Tensor(TensorOp::MatMul { bias, .. }) = &mut graph.steps[at].op {
        *bias = Some(numbers);
    }
    graph.steps[at].output = output;
    graph.steps.remove(reader);
    Some(())
}
