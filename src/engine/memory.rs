//! Where tensors lie: one arena, in which two tensors share memory when they are never needed at the same time.
//!
//! # References
//! Pisarchyk, Lee, "Efficient Memory Management for Deep Neural Net Inference", MLSys 2020: greedy by size.

use super::graph::Graph;

/// Most elements that all tensors together may take (4 GiB of f32).
pub const MAX_ARENA: usize = 1 << 30;
/// To what weights on a GPU are filled up at most: channels of a block, input channels of a step.
pub const FILLED: usize = 64;

/// Tensors begin at multiples of this many elements: a cache line.
pub const ALIGN: usize = 16;

/// The arena: its length, and where each value begins that has memory of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arena {
    /// Elements in all.
    pub len: usize,
    /// By value; `None` for constants, slices of other values, and values that nobody needs.
    pub offsets: Vec<Option<usize>>,
}

/// The first and the last step at which the memory of a value is needed, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// First step.
    pub first: usize,
    /// Last step.
    pub last: usize,
}

impl Lifetime {
    /// Whether there is a step at which both are needed.
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// The lifetime of each value that has memory of its own, its slices included.
///
/// Inputs and outputs live for ever: one may be bound once and run twice, the other read at any time.
pub fn lifetimes(graph: &Graph) -> Vec<Option<Lifetime>> {
    let mut lifetimes: Vec<Option<Lifetime>> = vec![None; graph.values.len()];
    let mut touch = |value: usize, first: usize, last: usize| {
        let (root, _) = graph.root(value);
        if graph.values[root].constant.is_none() {
            let life = lifetimes[root].get_or_insert(Lifetime { first, last });
            *life = Lifetime { first: life.first.min(first), last: life.last.max(last) };
        }
    };
    for (index, step) in graph.steps.iter().enumerate() {
        let written = std::iter::once(step.output).chain(step.op.second_output());
        step.inputs.iter().copied().chain(written).for_each(|v| touch(v, index, index));
    }
    for value in graph.inputs.iter().chain(graph.outputs.iter().map(|(_, v)| v)) {
        touch(*value, 0, graph.steps.len());
    }
    lifetimes
}

/// Places every value: the largest first, each at the lowest offset that is free during its lifetime.
///
/// # Errors
/// When all together take more than [`MAX_ARENA`].
pub fn place(graph: &Graph) -> Result<Arena, String> {
    let lifetimes = lifetimes(graph);
    let mut arena = Arena { len: 0, offsets: vec![None; graph.values.len()] };
    let items: Vec<(usize, usize, Lifetime)> = lifetimes
        .iter()
        .enumerate()
        .filter_map(|(v, life)| life.map(|life| (v, graph.values[v].room().next_multiple_of(ALIGN), life)))
        .collect();
    for (value, offset, end) in arrange(items) {
        if end > MAX_ARENA {
            return Err(format!("they take more than {MAX_ARENA} elements at once; give the network a smaller input"));
        }
        arena.len = arena.len.max(end);
        arena.offsets[value] = Some(offset);
    }
    Ok(arena)
}

/// Where each item begins and ends, of its number, length and lifetime: the largest first, each at the lowest offset that is
/// free during its lifetime.
pub(super) fn arrange(mut items: Vec<(usize, usize, Lifetime)>) -> Vec<(usize, usize, usize)> {
    items.sort_by_key(|&(number, len, life)| (std::cmp::Reverse(len), life.first, number));
    let mut placed: Vec<(usize, usize, Lifetime)> = Vec::with_capacity(items.len()); // offset, length, lifetime
    let mut places = Vec::with_capacity(items.len());
    for (number, len, life) in items {
        let mut offset = 0;
        // Kept sorted by offset, so the first gap that is wide enough is the lowest.
        for &(other, other_len, _) in placed.iter().filter(|p| p.2.meets(life)) {
            if offset + len <= other {
                break;
            }
            offset = offset.max(other + other_len);
        }
        places.push((number, offset, offset + len));
        let at = placed.partition_point(|p| p.0 <= offset);
        placed.insert(at, (offset, len, life));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::super::graph::{Graph, Op, Part, Step};
    use super::*;
    use crate::backend::cpu::activation::Activation;

    /// A chain with shortcuts: value i + 1 is made of value i and of one before it.
    fn chain(lengths: &[usize]) -> Graph {
        let mut graph = Graph::default();
        for (i, &n) in lengths.iter().enumerate() {
            let value = graph.value(format!("v{i}"), vec![n]);
            if value > 0 {
                let inputs = vec![value - 1, value / 2];
                let name = format!("s{i}");
                graph.steps.push(Step { name, op: Op::Activate(Activation::Relu), inputs, output: value });
            }
        }
        graph.inputs = vec![0];
        graph.outputs = vec![("out".to_owned(), lengths.len() - 1)];
        graph
    }

    #[test]
    fn no_two_tensors_that_are_needed_together_overlap() {
        let mut seed = 1u64;
        for round in 0..50 {
            let mut next = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 40) as usize % 500 + 1
            };
            let lengths: Vec<usize> = (0..20 + round).map(|_| next()).collect();
            let mut graph = chain(&lengths);
            let whole = graph.value("joined", vec![lengths[3] + lengths[4]]);
            graph.values[3].part_of = Some(Part { whole, offset: 0 });
            graph.values[4].part_of = Some(Part { whole, offset: lengths[3] });
            let (arena, lives) = (place(&graph).expect("it is small"), lifetimes(&graph));
            let own: Vec<usize> = (0..graph.values.len()).filter(|&v| arena.offsets[v].is_some()).collect();
            assert!(!own.contains(&3) && own.contains(&whole) && own.len() == lengths.len() - 1);
            for (i, &a) in own.iter().enumerate() {
                let range = |v: usize| {
                    (arena.offsets[v].expect("placed"), arena.offsets[v].expect("placed") + graph.values[v].len())
                };
                assert!(range(a).1 <= arena.len);
                for &b in &own[i + 1..] {
                    let together = lives[a].expect("used").meets(lives[b].expect("used"));
                    let apart = range(a).1 <= range(b).0 || range(b).1 <= range(a).0;
                    assert!(apart || !together, "values {a} and {b} of round {round}");
                }
            }
            assert!(arena.len < lengths.iter().map(|n| n.next_multiple_of(ALIGN)).sum::<usize>(), "nothing is shared");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused() {
        let graph = chain(&[1 << 28; 12]);
        assert!(place(&graph).expect_err("too large").contains("smaller input"));
    }
}
