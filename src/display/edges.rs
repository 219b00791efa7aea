//! Edges of the picture, as an aid to the eye.

use crate::backend::cpu::canny::Canny;
use crate::backend::cpu::despeckle::Scratch;
use crate::backend::cpu::median::Median;
use crate::backend::cpu::pool::Pool;
use crate::frame::Frame;

/// Radius of the median that takes the speckle away first: every grain of it would have its own edge.
const RADIUS: u32 = 2;

/// Finds edges; keeps its buffers.
pub struct EdgeFinder {
    pool: Pool,
    scratch: Scratch,
    gray: Vec<u8>,
    smooth: Vec<u8>,
    edges: Vec<u8>,
}

impl EdgeFinder {
    /// On the thread that draws and one more, so that the segmenter keeps the others.
    pub fn new() -> Self {
        let (gray, smooth, edges) = (Vec::new(), Vec::new(), Vec::new());
        Self { pool: Pool::new(2), scratch: Scratch::default(), gray, smooth, edges }
    }

    /// 255 on an edge, 0 elsewhere.
    ///
    /// # Shapes
    /// `height × width` of the frame.
    pub fn find(&mut self, frame: &Frame) -> &[u8] {
        let n = frame.size.area();
        for plane in [&mut self.smooth, &mut self.edges] {
            plane.resize(n, 0);
        }
        let median = Median { radius: RADIUS };
        let gray = frame.gray(&mut self.gray);
        median.run(&self.pool, frame.size, gray, &mut self.smooth, &mut self.scratch);
        Canny::default().run(&self.pool, frame.size, &self.smooth, &mut self.edges, &mut self.scratch);
        &self.edges
    }
}
