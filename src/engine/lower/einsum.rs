//! Einsum of one or two operands: transpositions, sums and one product of matrices.

use super::super::attribute::Node;
use super::super::graph::Op;
use super::super::tensor_op::TensorOp;
use super::{Lowering, Refusal, matmul};
use crate::backend::cpu::reduce::{Reduce, Reduction};
use crate::backend::cpu::strided::Strided;

/// The letters of every operand and of the result.
fn letters(equation: &str, operands: usize) -> Result<(Vec<Vec<char>>, Vec<char>), String> {
    let refuse = || format!("its equation is `{equation}`, which is not computed for {operands} operands");
    let text: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = text.split_once("->").map_or((text.as_str(), None), |(l, r)| (l, Some(r)));
    let terms: Vec<Vec<char>> = left.split(',').map(|term| term.chars().collect()).collect();
    let mut all: Vec<char> = terms.concat();
    all.sort_unstable();
    let result: Vec<char> = match right {
        Some(right) => right.chars().collect(),
        // Without an arrow the letters that stand once come out in the order of the alphabet.
        None => all.iter().copied().filter(|c| all.iter().filter(|o| *o == c).count() == 1).collect(),
    };
    let once = |term: &Vec<char>| {
        term.iter().all(char::is_ascii_alphabetic) && term.iter().all(|c| term.iter().filter(|o| *o == c).count() == 1)
    };
    match terms.len() == operands && terms.iter().chain([&result]).all(once) && result.iter().all(|c| all.contains(c)) {
        true => Ok((terms, result)),
        false => Err(refuse()),
    }
}

/// `value` with the axes of `from` in the order of `to`.
fn ordered(lowering: &mut Lowering, node: &Node, value: usize, from: &[char], to: &[char]) -> Result<usize, Refusal> {
    let order: Vec<usize> = to.iter().filter_map(|c| from.iter().position(|o| o == c)).collect();
    if order.iter().copied().eq(0..from.len()) {
        return Ok(value);
    }
    let shape = lowering.shape(value).to_vec();
    let moved = Strided::whole(&shape).transposed(&order).shape;
    lowering.emit(node, Op::Tensor(TensorOp::Transpose { shape, order }), vec![value], moved)
}

/// The sum over the letters that `keep` has not.
fn summed(
    lowering: &mut Lowering,
    node: &Node,
    value: usize,
    term: &mut Vec<char>,
    keep: impl Fn(&char) -> bool,
) -> Result<usize, Refusal> {
    if term.iter().all(&keep) {
        return Ok(value);
    }
    let from = lowering.shape(value).to_vec();
    let reduce = Reduce::new(Reduction::Sum, &from, |axis| !keep(&term[axis]));
    let shape = from.iter().zip(term.iter()).filter(|(_, c)| keep(c)).map(|(&n, _)| n).collect();
    term.retain(&keep);
    lowering.emit(node, Op::Tensor(TensorOp::Reduce(reduce)), vec![value], shape)
}

pub(super) fn einsum(lowering: &mut Lowering, node: &Node) -> Result<(), Refusal> {
    let (mut terms, result) = letters(node.text("equation", "")?, node.inputs.len())?;
    let mut values = (0..node.inputs.len()).map(|i| lowering.input(node, i)).collect::<Result<Vec<_>, _>>()?;
    for (i, term) in terms.clone().iter().enumerate() {
        if lowering.shape(values[i]).len() != term.len() {
            let (shape, term) = (lowering.shape(values[i]), term.iter().collect::<String>());
            return Err(format!("its operand `{term}` has the shape {shape:?}").into());
        }
        let others: Vec<char> =
            terms.iter().enumerate().filter(|(j, _)| *j != i).flat_map(|(_, t)| t.clone()).collect();
        let keep = |c: &char| result.contains(c) || others.contains(c);
        values[i] = summed(lowering, node, values[i], &mut terms[i], keep)?;
    }
    let (value, from) = match values.as_slice() {
        [one] => (*one, terms[0].clone()),
        &[a, b] => product(lowering, node, [a, b], [&terms[0], &terms[1]], &result)?,
        _ => return Err("it has more than two operands".into()),
    };
    let value = ordered(lowering, node, value, &from, &result)?;
    if value < lowering.first {
        return lowering.same(node);
    }
    lowering.bind(node, 0, value)
}

/// The product of two operands, and the letters of its axes.
fn product(
    lowering: &mut Lowering,
    node: &Node,
    [a, b]: [usize; 2],
    [left, right]: [&Vec<char>; 2],
    result: &[char],
) -> Result<(usize, Vec<char>), Refusal> {
    let of = |keep: &dyn Fn(&char) -> bool, term: &[char]| -> Vec<char> {
        term.iter().copied().filter(|c| keep(c)).collect()
    };
    let both = of(&|c| right.contains(c) && result.contains(c), left);
    let inner = of(&|c| right.contains(c) && !result.contains(c), left);
    let (rows, columns) = (of(&|c| !right.contains(c), left), of(&|c| !left.contains(c), right));
    let length = |lowering: &Lowering, letter: &char| {
        let at = |value: usize, term: &[char]| term.iter().position(|c| c == letter).map(|d| lowering.shape(value)[d]);
        match (at(a, left), at(b, right)) {
            (Some(n), Some(m)) if n != m => Err(format!("its axis `{letter}` has {n} and {m} elements")),
            (n, m) => Ok(n.or(m).unwrap_or(1)),
        }
    };
    let lengths = |lowering: &Lowering, list: &[char]| -> Result<Vec<usize>, String> {
        list.iter().map(|c| length(lowering, c)).collect()
    };
    let [n_both, n_inner, n_rows, n_columns] = {
        let sizes = [&both, &inner, &rows, &columns].map(|list| lengths(lowering, list));
        let [w, x, y, z] = sizes;
        [w?, x?, y?, z?]
    };
    let flat = |list: &[usize]| list.iter().product::<usize>();
    let first = ordered(lowering, node, a, left, &[both.clone(), rows.clone(), inner.clone()].concat())?;
    let first = lowering.reshaped(node, first, &[flat(&n_both), flat(&n_rows), flat(&n_inner)])?;
    let second = ordered(lowering, node, b, right, &[both.clone(), inner, columns.clone()].concat())?;
    let second = lowering.reshaped(node, second, &[flat(&n_both), flat(&n_inner), flat(&n_columns)])?;
    let found = matmul::product(lowering, node, first, second)?;
    let found = lowering.reshaped(node, found, &[n_both, n_rows, n_columns].concat())?;
    Ok((found, [both, rows, columns].concat()))
}
