//! What a decoder complains of while it paints over damaged parts of pictures.
//!
//! libav conceals such damage and marks no picture; its log is the only place where it says so. The log belongs to the
//! process, so while several videos are decoded at once nobody can tell whose complaint it is, and none is believed.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;

/// How libav's video decoders begin or word a complaint about the pixels of a picture. What they say of missing
/// references after a seek is not among them.
const COMPLAINTS: [&str; 6] =
    ["error while decoding", "error at mb", "crc mismatch", "error y=", "error dc", "error ac"];

static SAID: AtomicU64 = AtomicU64::new(0);
/// Videos that are open, and how often one was opened beside another.
static OPEN: AtomicU64 = AtomicU64::new(0);
static BESIDE: AtomicU64 = AtomicU64::new(0);

/// Listens to the decoders for one video.
#[derive(Debug)]
pub(super) struct Listener {
    said: u64,
    beside: u64,
    alone: bool,
}

impl Listener {
    /// Begins to listen; GStreamer must have been started.
    pub fn new() -> Self {
        static LISTEN: Once = Once::new();
        LISTEN.call_once(|| {
            if std::env::var_os("GST_DEBUG").is_none() {
                // Else every complaint would be printed as well.
                gst::log::remove_default_log_function();
                gst::log::set_threshold_for_name("libav", gst::DebugLevel::Error);
                gst::log::set_active(true);
            }
            gst::log::add_log_function(|category, level, _, _, _, _, message| {
                if category.name() != "libav" || level != gst::DebugLevel::Error {
                    return;
                }
                let text = message.get().map(|text| text.to_lowercase()).unwrap_or_default();
                if COMPLAINTS.iter().any(|complaint| text.contains(complaint)) {
                    SAID.fetch_add(1, Ordering::Relaxed);
                }
            });
        });
        let alone = OPEN.fetch_add(1, Ordering::AcqRel) == 0;
        if !alone {
            BESIDE.fetch_add(1, Ordering::AcqRel);
        }
        Self { said: SAID.load(Ordering::Relaxed), beside: BESIDE.load(Ordering::Acquire), alone }
    }

    /// Complaints since it began; 0 where they may have been about another video.
    pub fn complaints(&self) -> u64 {
        let alone = self.alone && BESIDE.load(Ordering::Acquire) == self.beside;
        if alone { SAID.load(Ordering::Relaxed) - self.said } else { 0 }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::AcqRel);
    }
}
