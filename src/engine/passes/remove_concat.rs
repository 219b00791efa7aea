//! A concatenation disappears: those who compute its parts write straight into slices of the joined buffer.

use super::super::graph::{Graph, Op, Part, Step};

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut at = 0;
    while at < graph.steps.len() {
        if !remove(graph, at) {
            at += 1;
        }
    }
}

/// Removes the concatenation at `at`. A part that cannot move (an input, a constant, one that lies elsewhere already)
/// is copied to its place by a step of its own.
fn remove(graph: &mut Graph, at: usize) -> bool {
    let Op::Concat { axis } = graph.steps[at].op else { return false };
    let whole = graph.steps[at].output;
    let before = &graph.values[whole].shape[..axis];
    // A part of an image must lie in one piece: nothing but the image number stands before the axis.
    let one_image = before.iter().product::<usize>() == 1;
    let images_first = axis == 1 && graph.values[whole].shape.len() >= 2;
    let apart = images_first && by_image(graph, whole);
    if !one_image && !apart {
        return false;
    }
    let parts = graph.steps[at].inputs.clone();
    let name = graph.steps[at].name.clone();
    let mut copies = Vec::new();
    let mut offset = 0;
    for (number, &part) in parts.iter().enumerate() {
        let value = &graph.values[part];
        let movable = graph.writer(part).is_some()
            && value.part_of.is_none()
            && !graph.is_output(part)
            && parts.iter().filter(|&&p| p == part).count() == 1
            && (one_image || by_image(graph, part));
        let place = Part { whole, offset };
        let layout = value.layout;
        // With one image in all, the rows before the axis are ones, whatever the first dimension is called.
        offset += if one_image { value.room() } else { value.image_room() };
        if movable {
            graph.values[part].part_of = Some(place);
        } else {
            let shape = value.shape.clone();
            let slice = graph.value(format!("{name}/{number}"), shape);
            (graph.values[slice].part_of, graph.values[slice].layout) = (Some(place), layout);
            copies.push(Step { name: format!("{name}/{number}"), op: Op::Copy, inputs: vec![part], output: slice });
        }
    }
    graph.steps.splice(at..=at, copies);
    true
}

/// Whether every step that touches `value` works image by image, so that its images may lie apart. Concatenations do
/// not count: they are what is being removed.
fn by_image(graph: &Graph, value: usize) -> bool {
    !graph.is_output(value)
        && graph.steps.iter().filter(|s| s.output == value || s.inputs.contains(&value)).all(|s| {
            matches!(s.op, Op::Concat { axis: 1 })
                || s.op.by_image()
                    && std::iter::once(&s.output)
                        .chain(&s.inputs)
                        .all(|&v| graph.values[v].images() == graph.values[value].images())
        })
}
