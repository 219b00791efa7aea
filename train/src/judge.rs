//! How good a network is on frames that it was not trained on, at the size of the network.

use burn::tensor::{Tensor, TensorData, activation, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::augment::Augment;
use crate::data::{Example, random};
use crate::export::values;
use crate::network::Network;

/// What an epoch is judged by.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Mean Dice of the frames that label a class, 1 where it is rightly not found: for each class.
    pub dice: Vec<Option<f64>>,
    /// The same of the frames that show it.
    pub dice_shown: Vec<Option<f64>>,
    /// Part of the frames without a class on which it is found all the same.
    pub false_positives: Vec<Option<f64>>,
}

impl Verdict {
    /// One number: the mean over classes of the Dice where they are shown, less a tenth of the false positives.
    pub fn score(&self) -> Option<f64> {
        let mean = |of: &[Option<f64>]| {
            let known: Vec<f64> = of.iter().flatten().copied().collect();
            (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
        };
        mean(&self.dice_shown).map(|dice| dice - 0.1 * mean(&self.false_positives).unwrap_or(0.0))
    }
}

/// What was found in one frame.
pub struct Judged {
    /// Which of the examples.
    pub example: usize,
    /// For each class, 0..=1, `height × width`.
    pub probability: Vec<Vec<f32>>,
    /// Dice of each class that is labelled.
    pub dice: Vec<Option<f64>>,
}

impl Judged {
    /// The mean over the classes that are labelled.
    pub fn mean(&self) -> f64 {
        let known: Vec<f64> = self.dice.iter().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len().max(1) as f64
    }
}

/// Probability from which a pixel counts.
pub const THRESHOLD: f32 = 0.5;

/// Runs `network` over `examples` and hands out what it finds, frame by frame.
pub fn judge<B: Backend>(
    network: &Network<B>,
    examples: &[Example],
    [width, height]: [usize; 2],
    device: &B::Device,
    mut see: impl FnMut(Judged),
) -> Verdict {
    let area = width * height;
    let classes = network.graph().channels(network.graph().logits);
    let mut dice = vec![vec![]; classes];
    let mut shown = vec![vec![]; classes];
    let mut empty = vec![vec![]; classes];
    for (first, chunk) in examples.chunks(8).enumerate() {
        let mut picture = vec![0.0; chunk.len() * area];
        let mut truth = vec![0.0; chunk.len() * area * classes];
        let parts = picture.chunks_exact_mut(area).zip(truth.chunks_exact_mut(area * classes));
        for (example, (picture, truth)) in chunk.iter().zip(parts) {
            Augment::default().apply(example, [width, height], &mut random([0; 4]), picture, truth);
        }
        let picture = Tensor::from_data(TensorData::new(picture, [chunk.len(), 1, height, width]), device);
        let answer = network.forward(picture, None);
        let mut found = values(activation::sigmoid(answer.logits));
        // what the presence output does not see is not shown: so does the program that runs the model
        let presence = answer.presence.map(values).unwrap_or_default();
        for (map, _) in found.chunks_exact_mut(area).zip(presence).filter(|(_, logit)| *logit < 0.0) {
            map.fill(0.0);
        }
        for (slot, example) in chunk.iter().enumerate() {
            let mut judged = Judged { example: first * 8 + slot, probability: vec![], dice: vec![] };
            for class in 0..classes {
                let at = (slot * classes + class) * area;
                let (found, truth) = (&found[at..at + area], &truth[at..at + area]);
                let score = overlap(found, truth);
                judged.probability.push(found.to_vec());
                judged.dice.push(example.labelled[class].then_some(score));
                if !example.labelled[class] {
                    continue;
                }
                dice[class].push(score);
                if truth.iter().any(|t| *t >= 0.5) {
                    shown[class].push(score);
                } else {
                    empty[class].push(f64::from(u8::from(found.iter().any(|p| *p >= THRESHOLD))));
                }
            }
            see(judged);
        }
    }
    let mean = |of: &Vec<f64>| (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64);
    Verdict {
        dice: dice.iter().map(mean).collect(),
        dice_shown: shown.iter().map(mean).collect(),
        false_positives: empty.iter().map(mean).collect(),
    }
}

/// Dice coefficient; 1 when both are empty.
fn overlap(found: &[f32], truth: &[f32]) -> f64 {
    let (mut both, mut sum) = (0u64, 0u64);
    for (f, t) in found.iter().zip(truth) {
        let (f, t) = (*f >= THRESHOLD, *t >= 0.5);
        both += u64::from(f && t);
        sum += u64::from(f) + u64::from(t);
    }
    if sum == 0 { 1.0 } else { 2.0 * both as f64 / sum as f64 }
}
