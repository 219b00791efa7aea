//! The segmenter as the pipeline sees it.

use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::frame::Frame;
use sonoplex::latency::Clock;
use sonoplex::pipeline::{BoxError, Segment};
use sonoplex::segmentation::{Class, Segmentation};
use sonoplex::segmenter::Segmenter;

/// Runs of each stage that is timed on a device.
const STAGE_RUNS: usize = 200;

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
        self.despeckle = self.despeckle.next();
        self.segmenter.set_despeckle(self.despeckle);
    }

    fn despeckle(&self) -> String {
        self.despeckle.to_string()
    }

    fn time_stages(&mut self) -> Result<Vec<(&'static str, f32)>, BoxError> {
        Ok(self.segmenter.time_stages(STAGE_RUNS)?)
    }
}
