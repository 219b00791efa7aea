//! The segmenter as the pipeline sees it.

use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::frame::Frame;
use sonoplex::latency::Clock;
use sonoplex::pipeline::{BoxError, Segment};
use sonoplex::segmentation::{Class, Segmentation};
use sonoplex::segmenter::Segmenter;

/// The order in which the key goes through the filters.
const ROUND: [&str; 5] = ["off", "median", "bilateral", "lee", "srad"];

pub struct Segmenting {
    segmenter: Segmenter,
    despeckle: Despeckle,
}

impl Segmenting {
    pub fn new(segmenter: Segmenter, despeckle: Despeckle) -> Self {
        Self { segmenter, despeckle }
    }
}

impl Segment for Segmenting {
    fn segment(&mut self, frame: &Frame, clock: &Clock, out: &mut Segmentation) -> Result<(), BoxError> {
        Ok(self.segmenter.segment(frame, clock, out)?)
    }

    fn classes(&self) -> &[Class] {
        self.segmenter.classes()
    }

    fn reset(&mut self) {
        self.segmenter.reset();
    }

    fn set_despeckle(&mut self, choice: &str) -> Result<(), BoxError> {
        self.despeckle = choice.parse()?;
        self.segmenter.set_despeckle(self.despeckle);
        Ok(())
    }

    fn next_despeckle(&mut self) {
        let now = self.despeckle.to_string();
        let name = now.split(':').next().unwrap_or_default();
        let at = ROUND.iter().position(|r| *r == name).unwrap_or(0);
        self.despeckle = ROUND[(at + 1) % ROUND.len()].parse().expect("a filter of the list");
        self.segmenter.set_despeckle(self.despeckle);
    }

    fn despeckle(&self) -> String {
        self.despeckle.to_string()
    }
}
