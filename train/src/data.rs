//! Pictures and truths in memory at one size, and which of them make up a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use sonoplex::backend::cpu::crop::crop;
use sonoplex::backend::cpu::despeckle::{Despeckle, Scratch};
use sonoplex::backend::cpu::pool::Pool;
use sonoplex::backend::cpu::resize::{Filter, Resampler};
use sonoplex::evaluate::dataset::{Dataset, DatasetError, Sample, shrunk};
use sonoplex::frame::PixelFormat;
use sonoplex::geometry::Size;
use sonoplex::mask::Mask;
use sonoplex::segmenter::crop as finder;

use crate::augment::Augment;

/// One picture and its truth at the size at which they are kept.
#[derive(Clone, Debug)]
pub struct Example {
    /// Which one it is, for people.
    pub id: String,
    /// Width and height.
    pub size: [usize; 2],
    /// Grey levels.
    pub picture: Vec<u8>,
    /// Class of every pixel, 0 for none.
    pub truth: Vec<u8>,
    /// For each class, whether the data set labels it.
    pub labelled: Vec<bool>,
    /// How often it is drawn, against others.
    pub weight: f32,
}

/// Reads all of a data set, cropped as the segmenter crops and made `size` large.
///
/// # Errors
/// As [`Dataset::load`].
pub fn load(dataset: &Dataset, size: [usize; 2], despeckle: &Despeckle) -> Result<Vec<Example>, DatasetError> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let read = || {
        let mut done = vec![];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = dataset.entries.get(index) else { return Ok(done) };
            let sample = dataset.load(index)?;
            let (picture, truth) = shrink(&sample, size, despeckle);
            let (id, weight) = (entry.id.clone(), entry.weight);
            done.push((index, Example { id, size, picture, truth, labelled: sample.labelled, weight }));
        }
    };
    let parts: Result<Vec<Vec<(usize, Example)>>, DatasetError> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        workers.into_iter().map(|w| w.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let mut all: Vec<_> = parts?.into_iter().flatten().collect();
    all.sort_by_key(|(index, _)| *index);
    Ok(all.into_iter().map(|(_, example)| example).collect())
}

/// Picture and truth as the network sees them: the same crop, filter and size as when it runs.
fn shrink(sample: &Sample, [width, height]: [usize; 2], despeckle: &Despeckle) -> (Vec<u8>, Vec<u8>) {
    let frame = &sample.picture;
    let to = Size::new(width as u32, height as u32);
    let rect = finder::find(&frame.pixels, frame.size).rect;
    let pool = Pool::new(1);
    let mut cut = vec![0; rect.size().area()];
    crop(&frame.pixels, (frame.size, PixelFormat::Gray8), rect, &[], &mut cut);
    if *despeckle != Despeckle::Off {
        let mut clean = vec![0; cut.len()];
        despeckle.run(&pool, rect.size(), &cut, &mut clean, &mut Scratch::default());
        cut = clean;
    }
    let resampler = Resampler::new(rect.size(), to, Filter::Area);
    let mut small = vec![0.0; to.area()];
    resampler.resize_u8_to_f32(&pool, &cut, rect.width as usize, &mut small);
    let picture = small.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    let mut labels = vec![0; rect.size().area()];
    crop(&sample.truth.labels, (frame.size, PixelFormat::Gray8), rect, &[], &mut labels);
    let truth = shrunk(&Mask { size: rect.size(), labels }, to).labels;
    (picture, truth)
}

/// Pictures of a step, ready for the network.
pub struct Batch {
    /// Which of the examples each picture is.
    pub examples: Vec<usize>,
    /// `[N, 1, H, W]`.
    pub picture: Vec<f32>,
    /// `[N, classes, H, W]`.
    pub truth: Vec<f32>,
    /// `[N, classes]`: 1 where the class is in the picture.
    pub present: Vec<f32>,
    /// `[N, classes]`: 1 where the data set labels it.
    pub labelled: Vec<f32>,
}

/// Draws batches: the one of a step depends on the seed and the number of the step alone, so that a run which is taken up
/// again goes on with what it would have had.
#[derive(Clone)]
pub struct Sampler {
    examples: Arc<Vec<Example>>,
    /// Examples of each weight: what is drawn without repetition.
    strata: Vec<Vec<usize>>,
    /// Which stratum the next ones come from, over and over.
    pattern: Vec<usize>,
    seed: u64,
    /// Width and height of the network.
    size: [usize; 2],
    classes: usize,
}

/// Length of the pattern in which strata take turns, where every one of them comes up in it.
const TURNS: usize = 1000;
/// Its length at most: what is a smaller share than one of so many is not drawn.
const MOST_TURNS: usize = 1_000_000;

impl Sampler {
    /// Groups examples by their weight, which is how often one is drawn against one of weight 1.
    pub fn new(examples: Arc<Vec<Example>>, classes: usize, size: [usize; 2], seed: u64) -> Self {
        let mut weights: Vec<f32> = examples.iter().map(|e| e.weight).filter(|w| *w > 0.0).collect();
        weights.sort_by(f32::total_cmp);
        weights.dedup();
        let strata: Vec<Vec<usize>> = weights
            .iter()
            .map(|w| examples.iter().enumerate().filter(|(_, e)| e.weight == *w).map(|(i, _)| i).collect())
            .collect();
        let mass: Vec<f64> = strata.iter().zip(&weights).map(|(s, w)| s.len() as f64 * f64::from(*w)).collect();
        let total: f64 = mass.iter().sum();
        // smooth weighted round robin: the one that waits longest for its share is next
        let mut owed = vec![0.0; mass.len()];
        let least = mass.iter().copied().fold(f64::INFINITY, f64::min);
        let turns = if strata.len() > 1 { ((total / least).ceil() as usize).clamp(TURNS, MOST_TURNS) } else { 1 };
        let pattern = (0..turns).map(|_| {
            owed.iter_mut().zip(&mass).for_each(|(o, m)| *o += m / total);
            let next = (0..owed.len()).max_by(|a, b| owed[*a].total_cmp(&owed[*b])).unwrap_or(0);
            owed[next] -= 1.0;
            next
        });
        Self { pattern: pattern.collect(), examples, strata, seed, size, classes }
    }

    /// Steps of `batch` pictures in which an example of weight 1 is drawn once.
    pub fn epoch_steps(&self, batch: usize) -> usize {
        let mass: f64 = self.examples.iter().map(|e| f64::from(e.weight)).sum();
        ((mass / batch as f64).ceil() as usize).max(1)
    }

    /// Which example the draw `at` is, counted from 0 over the whole run.
    fn draw(&self, at: usize) -> usize {
        let (round, place) = (at / self.pattern.len(), at % self.pattern.len());
        let stratum = self.pattern[place];
        let before = |part: &[usize]| part.iter().filter(|s| **s == stratum).count();
        let nth = round * before(&self.pattern) + before(&self.pattern[..place]);
        let members = &self.strata[stratum];
        let mut order = members.clone();
        let turn = (nth / members.len()) as u64;
        order.shuffle(&mut random([self.seed, 1, stratum as u64, turn]));
        order[nth % members.len()]
    }

    /// The pictures of step `step`, changed by `augment`.
    pub fn batch(&self, step: usize, count: usize, augment: &Augment) -> Batch {
        let area = self.size[0] * self.size[1];
        let mut batch = Batch {
            examples: (step * count..).take(count).map(|at| self.draw(at)).collect(),
            picture: vec![0.0; count * area],
            truth: vec![0.0; count * area * self.classes],
            present: vec![],
            labelled: vec![],
        };
        let pictures = batch.picture.chunks_exact_mut(area).zip(batch.truth.chunks_exact_mut(area * self.classes));
        for (slot, (picture, truth)) in pictures.enumerate() {
            let example = &self.examples[batch.examples[slot]];
            augment.apply(example, self.size, &mut random([self.seed, 2, step as u64, slot as u64]), picture, truth);
            // fewer than four pixels in all cannot be told from none
            batch.present.extend(truth.chunks_exact(area).map(|m| f32::from(u8::from(m.iter().sum::<f32>() >= 4.0))));
            batch.labelled.extend(example.labelled.iter().map(|l| f32::from(u8::from(*l))));
        }
        batch
    }
}

/// A stream of random numbers that nobody else has.
pub fn random(key: [u64; 4]) -> ChaCha8Rng {
    let mut seed = [0; 32];
    seed.chunks_exact_mut(8).zip(key).for_each(|(s, k)| s.copy_from_slice(&k.to_le_bytes()));
    ChaCha8Rng::from_seed(seed)
}
