//! What a demuxer finds in a video file, and what goes into the decoder.

use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

/// What the demuxer showed while it was plugged together.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub codec: Option<String>,
    pub other: bool,
    /// Coded pictures that reached the decoder.
    pub coded: u64,
}

/// Counts what a video decoder is given.
pub(super) fn count_coded(element: &gst::Element, met: &Arc<Mutex<Streams>>) {
    let decodes = element.factory().is_some_and(|f| f.metadata("klass").is_some_and(|k| k.contains("Decoder/")));
    let Some(pad) = element.static_pad("sink").filter(|_| decodes) else { return };
    let met = Arc::clone(met);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        met.lock().unwrap_or_else(PoisonError::into_inner).coded += 1;
        gst::PadProbeReturn::Ok
    });
}

/// Notes what a stream is; true when it is worth decoding.
pub(super) fn note_stream(met: &mut Streams, caps: &gst::CapsRef) -> bool {
    let Some(s) = caps.structure(0) else { return true };
    let name = s.name().as_str();
    if name.starts_with("audio/") || name.starts_with("text/") || name.starts_with("subpicture/") {
        met.other = true;
        return false;
    }
    let codec = match name {
        "video/x-h264" => "H.264".into(),
        "video/x-h265" => "H.265".into(),
        "video/x-ffv" => "FFV1".into(),
        "image/jpeg" => "MJPEG".into(),
        "video/mpeg" => format!("MPEG-{}", s.get::<i32>("mpegversion").unwrap_or(4)),
        "video/x-vp8" => "VP8".into(),
        "video/x-vp9" => "VP9".into(),
        "video/x-av1" => "AV1".into(),
        "video/x-raw" => "uncompressed".into(),
        _ if name.starts_with("video/x-") || name.starts_with("image/") => name.to_owned(),
        _ => return true,
    };
    // The containers themselves are `video/x-msvideo`, `video/quicktime` …; the stream inside them comes later.
    let is_container = ["msvideo", "matroska", "ms-asf", "flv"].iter().any(|c| codec.contains(c));
    if !is_container && (met.codec.is_none() || codec != "uncompressed") {
        met.codec = Some(codec);
    }
    true
}
