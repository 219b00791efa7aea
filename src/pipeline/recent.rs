//! The last frames that were shown, to step back to.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::Frame;
use crate::segmentation::Segmentation;

/// Bytes of pixels that are kept at most.
const BYTES: usize = 128 << 20;

/// A frame, and what was found in it once that is known.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) frame: Arc<Frame>,
    pub(super) segmentation: Option<Arc<Segmentation>>,
}

/// The newest frames, oldest first; a bounded number of a bounded size.
#[derive(Debug)]
pub(super) struct Recent {
    entries: VecDeque<Entry>,
    most: usize,
    bytes: usize,
}

impl Recent {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::with_capacity(most + 1), most, bytes: 0 }
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>) {
        self.bytes += frame.pixels.len();
        self.entries.push_back(Entry { frame, segmentation: None });
        while self.entries.len() > self.most || (self.bytes > BYTES && self.entries.len() > 1) {
            self.bytes -= self.entries.pop_front().map_or(0, |e| e.frame.pixels.len());
        }
    }

    /// Joins an answer to its frame, if that is still here.
    pub(super) fn attach(&mut self, segmentation: &Arc<Segmentation>) {
        let id = segmentation.frame_id;
        if let Some(entry) = self.entries.iter_mut().rev().find(|e| e.frame.id == id) {
            entry.segmentation = Some(Arc::clone(segmentation));
        }
    }

    /// The frame `back` before the newest.
    pub(super) fn get(&self, back: usize) -> Option<&Entry> {
        self.entries.len().checked_sub(1 + back).map(|i| &self.entries[i])
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}
