//! Copies from one layout to another, where steps do not keep tensors alike.

use std::collections::HashMap;

use super::super::graph::{Graph, Op, Step};
use crate::backend::cpu::layout::Layout;

/// The steps of a graph as a pass rewrites them, and which values are there in another layout.
#[derive(Default)]
pub(super) struct Conversions {
    steps: Vec<Step>,
    converted: HashMap<(usize, Layout), usize>,
}

impl Conversions {
    /// Rewrites a graph step by step.
    pub fn rewrite(graph: &mut Graph, mut each: impl FnMut(&mut Self, &mut Graph, Step)) {
        let mut own = Self::default();
        for step in std::mem::take(&mut graph.steps) {
            each(&mut own, graph, step);
        }
        graph.steps = own.steps;
    }

    /// Takes a step whose output stays as it is outside.
    pub fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Takes a step whose output is kept in a layout; outside it is known in planes, to which a copy converts it. Both are named
    /// after what they hold.
    pub fn push_kept(&mut self, graph: &mut Graph, mut step: Step, layout: Layout, [kept, outside]: [&str; 2]) {
        let output = step.output;
        if !graph.is_output(output) {
            graph.values[output].layout = layout;
            return self.steps.push(step);
        }
        let (name, shape) = (&graph.values[output].name, graph.values[output].shape.clone());
        step.output = graph.value(format!("{name}/{kept}"), shape);
        graph.values[step.output].layout = layout;
        self.converted.insert((output, layout), step.output);
        let name = format!("{}/{outside}", step.name);
        let copy = Step { name, op: Op::Copy, inputs: vec![step.output], output };
        self.steps.extend([step, copy]);
    }

    /// A value in a layout, converted where it is not kept so; what is new is named after what it holds.
    pub fn converted(&mut self, graph: &mut Graph, value: usize, layout: Layout, kind: &str) -> usize {
        if graph.values[value].layout == layout {
            return value;
        }
        *self.converted.entry((value, layout)).or_insert_with(|| {
            let name = format!("{}/{kind}", graph.values[value].name);
            let new = graph.value(name.clone(), graph.values[value].shape.clone());
            graph.values[new].layout = layout;
            self.steps.push(Step { name, op: Op::Copy, inputs: vec![value], output: new });
            new
        })
    }
}
