//! How wrong an answer is.

use std::fmt;
use std::str::FromStr;

use burn::tensor::{Tensor, activation, backend::Backend};
use serde::{Deserialize, Serialize};

use crate::network::Answer;

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Term {
    /// Binary cross-entropy.
    Bce,
    /// 1 − Dice of the probabilities.
    Dice,
    /// Cross-entropy that turns from what is already right, by an exponent.
    Focal(f32),
    /// 1 − Tversky index: what false positives and false negatives weigh.
    Tversky(f32, f32),
}

/// A weighted sum, as in `bce+dice` or `0.5*focal:2+tversky:0.3:0.7`.
///
/// # References
/// Dice: Milletari et al., 3DV 2016 (here with sums, not squares). Focal: Lin et al., ICCV 2017. Tversky: Salehi et al.,
/// MLMI 2017.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Loss(Vec<(f32, Term)>);

impl FromStr for Loss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |part: &str| {
            format!(
                "cannot read the loss `{part}`: expected `bce`, `dice`, `focal:EXPONENT` (1 or more) or `tversky:FALSE_POSITIVES:FALSE_NEGATIVES`, \
                 with a factor as in `0.5*dice`, and sums with `+`"
            )
        };
        let number = |part: &str, text: &str| {
            text.parse::<f32>().ok().filter(|v| v.is_finite() && *v >= 0.0).ok_or_else(|| wrong(part))
        };
        let mut terms = vec![];
        for part in text.split('+') {
            let (factor, name) = match part.split_once('*') {
                Some((factor, name)) => (number(part, factor)?, name),
                None => (1.0, part),
            };
            let mut words = name.split(':');
            let kind = words.next().unwrap_or_default();
            let settings: Vec<f32> = words.map(|w| number(part, w)).collect::<Result<_, _>>()?;
            let term = match (kind, &settings[..]) {
                ("bce", []) => Term::Bce,
                ("dice", []) => Term::Dice,
                ("focal", []) => Term::Focal(2.0),
                // the slope of a smaller power has no bound
                ("focal", &[exponent]) if exponent >= 1.0 => Term::Focal(exponent),
                ("tversky", []) => Term::Tversky(0.3, 0.7),
                ("tversky", &[positives, negatives]) => Term::Tversky(positives, negatives),
                _ => return Err(wrong(part)),
            };
            terms.push((factor, term));
        }
        Ok(Self(terms))
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for (i, (factor, term)) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("+")?;
            }
            if *factor != 1.0 {
                write!(f, "{factor}*")?;
            }
            match term {
                Term::Bce => f.write_str("bce")?,
                Term::Dice => f.write_str("dice")?,
                Term::Focal(exponent) => write!(f, "focal:{exponent}")?,
                Term::Tversky(positives, negatives) => write!(f, "tversky:{positives}:{negatives}")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Loss {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Loss> for String {
    fn from(loss: Loss) -> Self {
        loss.to_string()
    }
}

/// What the pixels of a batch are.
#[derive(Clone, Debug)]
pub struct Truth<B: Backend> {
    /// Part of each pixel that belongs to a class: `[N, classes, H, W]`.
    pub maps: Tensor<B, 4>,
    /// 1 where the class is in the picture: `[N, classes]`.
    pub present: Tensor<B, 2>,
    /// 1 where the data set labels the class: `[N, classes]`.
    pub labelled: Tensor<B, 2>,
}

/// What a frame without the class weighs in the terms that compare regions.
const EMPTY: f32 = 0.25;

/// What the presence output weighs against the maps.
const PRESENCE: f32 = 0.2;

impl Loss {
    /// Mean over the frames and classes that are labelled.
    pub fn of<B: Backend>(&self, answer: Answer<B>, truth: &Truth<B>) -> Tensor<B, 1> {
        let mean = |values: Tensor<B, 2>, weights: Tensor<B, 2>| {
            let sum = weights.clone().sum().clamp_min(1e-6);
            (values * weights).sum() / sum
        };
        let regions = truth.labelled.clone() * (truth.present.clone() * (1.0 - EMPTY) + EMPTY);
        let cross = entropy(answer.logits.clone(), truth.maps.clone());
        let probability = activation::sigmoid(answer.logits);
        let mut total: Option<Tensor<B, 1>> = None;
        for &(factor, term) in &self.0 {
            let value = match term {
                Term::Bce => mean(over_picture(cross.clone()), truth.labelled.clone()),
                Term::Focal(exponent) => {
                    let off = (probability.clone() - truth.maps.clone()).abs();
                    mean(over_picture(cross.clone() * off.powf_scalar(exponent)), truth.labelled.clone())
                }
                Term::Dice => mean(tversky(&probability, &truth.maps, [0.5, 0.5]), regions.clone()),
                Term::Tversky(positives, negatives) => {
                    mean(tversky(&probability, &truth.maps, [positives, negatives]), regions.clone())
                }
            };
            let value = value * factor;
            total = Some(match total {
                Some(sum) => sum + value,
                None => value,
            });
        }
        let total = total.expect("a loss has at least one term");
        match answer.presence {
            Some(presence) => total + mean(entropy(presence, truth.present.clone()), truth.labelled.clone()) * PRESENCE,
            None => total,
        }
    }
}

/// Cross-entropy of a logit, safe for large ones: max(x, 0) − x·t + ln(1 + e^−|x|).
fn entropy<B: Backend, const D: usize>(logits: Tensor<B, D>, truth: Tensor<B, D>) -> Tensor<B, D> {
    activation::relu(logits.clone()) - logits.clone() * truth + logits.abs().neg().exp().log1p()
}

/// Mean over each map: `[N, classes]`.
fn over_picture<B: Backend>(maps: Tensor<B, 4>) -> Tensor<B, 2> {
    maps.flatten::<3>(2, 3).mean_dim(2).flatten::<2>(1, 2)
}

/// 1 − (TP + s) / (TP + a·FP + b·FN + s) with a smoothing s of half a pixel; a = b = ½ is Dice.
fn tversky<B: Backend>(probability: &Tensor<B, 4>, truth: &Tensor<B, 4>, [a, b]: [f32; 2]) -> Tensor<B, 2> {
    let sum = |maps: Tensor<B, 4>| maps.flatten::<3>(2, 3).sum_dim(2).flatten::<2>(1, 2);
    let both = sum(probability.clone() * truth.clone());
    let wrong = sum(probability.clone()) - both.clone();
    let missed = sum(truth.clone()) - both.clone();
    let index = (both.clone() + 0.5) / (both + wrong * a + missed * b + 0.5);
    index.neg() + 1.0
}
