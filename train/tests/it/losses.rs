//! Losses against what their formulas give by hand.

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use sonoplex_train::export::values;
use sonoplex_train::loss::{Loss, Truth};
use sonoplex_train::network::Answer;

type B = Autodiff<Flex>;

/// Two frames of one class, two pixels each; the second frame does not label the class unless `both`.
fn loss(text: &str, logits: [f32; 4], truth: [f32; 4], both: bool) -> f32 {
    let device = Default::default();
    let tensor = |v: [f32; 4]| Tensor::<B, 4>::from_data(TensorData::new(v.to_vec(), [2, 1, 1, 2]), &device);
    let pair = |v: [f32; 2]| Tensor::<B, 2>::from_data(TensorData::new(v.to_vec(), [2, 1]), &device);
    let present = [truth[0].max(truth[1]), truth[2].max(truth[3])];
    let truth = Truth { maps: tensor(truth), present: pair(present), labelled: pair([1.0, f32::from(u8::from(both))]) };
    let loss: Loss = text.parse().expect("a loss");
    values(loss.of(Answer { logits: tensor(logits), presence: None }, &truth))[0]
}

fn near(a: f32, b: f32) {
    assert!((a - b).abs() < 1e-5, "{a} is not {b}");
}

#[test]
fn cross_entropy_is_that_of_the_formula_and_safe_for_large_logits() {
    let p = |x: f32| 1.0 / (1.0 + (-x).exp());
    let by_hand = -(p(0.3).ln() + (1.0 - p(-1.2)).ln()) / 2.0;
    near(loss("bce", [0.3, -1.2, 9.0, 9.0], [1.0, 0.0, 0.0, 0.0], false), by_hand);
    near(loss("bce", [500.0, -500.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], false), 500.0);
}

#[test]
fn what_is_not_labelled_weighs_nothing() {
    let [a, b] =
        [[4.0, 4.0], [-4.0, 2.0]].map(|[x, y]| loss("bce+dice", [0.3, -1.2, x, y], [1.0, 0.0, 1.0, 0.0], false));
    near(a, b);
    let [a, b] =
        [[4.0, 4.0], [-4.0, 2.0]].map(|[x, y]| loss("bce+dice", [0.3, -1.2, x, y], [1.0, 0.0, 1.0, 0.0], true));
    assert!((a - b).abs() > 0.1);
}

#[test]
fn dice_is_tversky_with_halves_and_focal_turns_from_what_is_right() {
    let (logits, truth) = ([0.3, -1.2, 0.7, 2.0], [1.0, 0.0, 0.0, 1.0]);
    near(loss("dice", logits, truth, true), loss("tversky:0.5:0.5", logits, truth, true));
    let p = |x: f32| 1.0 / (1.0 + (-x).exp());
    let focal = -((1.0 - p(0.3)).powi(2) * p(0.3).ln() + p(-1.2).powi(2) * (1.0 - p(-1.2)).ln()) / 2.0;
    near(loss("focal:2", logits, truth, false), focal);
    let both = p(0.3);
    let by_hand = 1.0 - (both + 0.5) / (both + 0.5 * p(-1.2) + 0.5 * (1.0 - both) + 0.5);
    near(loss("dice", logits, truth, false), by_hand);
    near(
        loss("0.5*bce+2*dice", logits, truth, true),
        0.5 * loss("bce", logits, truth, true) + 2.0 * loss("dice", logits, truth, true),
    );
}

#[test]
fn losses_are_read_and_written_and_refused() {
    for text in ["bce+dice", "0.5*focal:2+tversky:0.3:0.7", "dice"] {
        assert_eq!(text.parse::<Loss>().expect("a loss").to_string(), text);
    }
    for text in ["", "bce+", "dise", "focal:x", "-1*bce", "nan*bce", "tversky:1", "bce:2", "focal:0.5"] {
        let refusal = text.parse::<Loss>().expect_err("no loss");
        assert!(refusal.contains("expected `bce`"), "{refusal}");
    }
}
