//! Networks changed at random: none panics, and whatever still runs gives the same with and without the passes.

use sonoplex::engine::onnx::{GraphProto, ModelProto};
use sonoplex::engine::{Builder, Engine, Network, Plan, describe};

use crate::engine_exports::exports;
use crate::engine_networks::{Up, residual, unet, variety};
use crate::onnx_writer::Writer;

/// Whole numbers that sit at the edges of what is checked.
const NUMBERS: [i64; 14] = [-1, 0, 1, 2, 3, 4, 7, 100, -2, i64::MAX, i64::MIN, 1 << 31, 1 << 20, 1 << 62];

/// Operators that a node may become.
const OPERATORS: [&str; 45] = [
    "Conv",
    "Relu",
    "Add",
    "Concat",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Gather",
    "GatherElements",
    "GatherND",
    "ScatterElements",
    "ScatterND",
    "Slice",
    "Transpose",
    "Softmax",
    "MaxPool",
    "Pad",
    "Resize",
    "ConvTranspose",
    "BatchNormalization",
    "ArgMax",
    "AveragePool",
    "Cast",
    "ConstantOfShape",
    "DepthToSpace",
    "DequantizeLinear",
    "Einsum",
    "Equal",
    "Expand",
    "Gemm",
    "GlobalMaxPool",
    "InstanceNormalization",
    "LayerNormalization",
    "LogSoftmax",
    "MatMul",
    "Mod",
    "PRelu",
    "QuantizeLinear",
    "Range",
    "ReduceMean",
    "ReduceProd",
    "SpaceToDepth",
    "Split",
    "Tile",
    "Where",
];

/// xorshift64: the same changes in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n.max(1) as u64) as usize
    }

    fn number(&mut self) -> i64 {
        NUMBERS[self.below(NUMBERS.len())]
    }

    fn one_of<'a, T>(&mut self, list: &'a mut [T]) -> Option<&'a mut T> {
        let at = self.below(list.len());
        list.get_mut(at)
    }
}

/// Changes one thing: a dimension, a constant, a setting, an operator, or who reads what.
pub fn change(graph: &mut GraphProto, dice: &mut Dice) -> Option<()> {
    match dice.below(6) {
        0 => {
            let tensor = dice.one_of(&mut graph.initializer)?;
            *dice.one_of(&mut tensor.dims)? = dice.number();
        }
        1 => {
            let tensor = dice.one_of(&mut graph.initializer)?;
            *dice.one_of(&mut tensor.int64_data)? = dice.number();
        }
        2 | 3 => {
            let node = dice.one_of(&mut graph.node)?;
            let attribute = dice.one_of(&mut node.attribute)?;
            attribute.i = dice.number();
            attribute.f = [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e30][dice.below(5)];
            match dice.below(4) {
                0 => drop(attribute.ints.pop()),
                1 => attribute.ints.push(1),
                _ => *dice.one_of(&mut attribute.ints)? = dice.number(),
            }
        }
        4 => OPERATORS[dice.below(OPERATORS.len())].clone_into(&mut dice.one_of(&mut graph.node)?.op_type),
        _ => {
            let name = dice.one_of(&mut graph.node)?.output[0].clone();
            let node = dice.one_of(&mut graph.node)?;
            *dice.one_of(&mut node.input)? = name;
        }
    }
    Some(())
}

fn run(plan: Plan) -> Vec<f32> {
    let engine = Engine::new(plan.with_threads(1)).expect("tactics of this machine");
    let mut context = engine.context();
    let input = &engine.inputs()[0];
    let data = Writer::new(13).randoms(input.shape.iter().product());
    context.bind(&input.name, &input.shape, &data).expect("its own shape");
    // Twice: what the first run leaves in the arena must not change the second.
    (0..2).for_each(|_| context.enqueue().expect("the CPU never refuses"));
    context.output(&engine.outputs()[0].name).expect("named by the engine").to_vec()
}

#[test]
fn changed_networks_are_refused_or_run_the_same_with_and_without_passes() {
    let mut seeds: Vec<ModelProto> = vec![
        unet([1, 1, 16, 16], Up::Transpose, true, true, "Softmax").model,
        unet([2, 1, 16, 16], Up::Linear, true, false, "Sigmoid").model,
        residual(2).model,
        variety(2).model,
    ];
    // A rounded number may fall the other way in another order of sums, so that a quantised network is not among them.
    let exported = [1, 2].map(exports).into_iter().flatten().filter(|(name, ..)| *name != "quantized");
    seeds.extend(exported.map(|(.., writer)| writer.model));
    let mut dice = Dice(4242);
    let (mut refused, mut ran) = (0, 0);
    for round in 0..3000 {
        let mut model = seeds[dice.below(seeds.len())].clone();
        for _ in 0..=dice.below(2) {
            change(model.graph.as_mut().expect("the seeds have one"), &mut dice);
        }
        let Ok(network) = Network::from_onnx(&prost::Message::encode_to_vec(&model)) else {
            refused += 1;
            continue;
        };
        let (flops, plan) = (describe(&network).flops, Builder::default().build(&network));
        let Ok(plan) = plan else {
            refused += 1;
            continue;
        };
        // What a change made huge is sound, and slow.
        if flops.is_none_or(|f| f > 100_000_000) || plan.arena_bytes() > 1 << 26 {
            continue;
        }
        let read = Plan::from_bytes(&plan.to_bytes()).expect("what is built is what is read");
        assert_eq!(read.sha256(), plan.sha256());
        let (fused, plain) =
            (run(plan), run(Builder::default().build_with(&network, &[]).expect("it was built with passes")));
        let largest = plain.iter().filter(|v| v.is_finite()).fold(1f32, |m, v| m.max(v.abs()));
        let pairs = fused.iter().zip(&plain).filter(|(a, b)| a.is_finite() && b.is_finite());
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst <= 1e-3 * largest, "round {round}: {worst} of {largest}");
        ran += 1;
    }
    println!("{refused} refused, {ran} ran");
    assert!(refused > 300 && ran > 200, "{refused} refused, {ran} ran");
}
