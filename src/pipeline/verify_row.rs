//! One row of a session against its own frame and against what was computed again.

use crate::latency::Moment;
use crate::segmentation::Segmentation;
use crate::session::{FrameRow, Imprint};

/// Moments that follow each other; the picture may be on the screen before its mask is there.
const CHAINS: [&[Moment]; 2] = [
    &[Moment::Captured, Moment::Received, Moment::Dequeued, Moment::Preprocessed, Moment::Inferred, Moment::Segmented],
    &[Moment::Captured, Moment::Composited, Moment::Presented],
];

/// Names of the fields of `row` that its frame, the row `before` or the row itself contradict. A frame of version 1 has no
/// imprint: there the names of the files and the order of the stamps are all that is known.
pub(super) fn contradictions(
    row: &FrameRow,
    imprint: Option<&Imprint>,
    before: Option<&FrameRow>,
) -> Vec<&'static str> {
    let stamp = |moment: Moment| row.stamps_ns.get(moment.as_str()).copied().flatten();
    let named = format!("{:06}.png", row.id);
    let segmented = stamp(Moment::Segmented).is_some() || row.state.is_some() || row.probability.is_some();
    let unordered = CHAINS.iter().any(|chain| !chain.iter().filter_map(|&m| stamp(m)).is_sorted());
    let captured = |i: &Imprint| i.captured_ns == stamp(Moment::Captured);
    [
        ("id", imprint.is_some_and(|i| i.id != row.id) || before.is_some_and(|b| b.id >= row.id)),
        ("frame", row.frame != format!("frames/{named}")),
        // Times may go back: the user may have.
        ("time_ns", imprint.is_some_and(|i| i.time_ns != row.time_ns)),
        ("stamps_ns.captured", !imprint.is_none_or(captured)),
        ("stamps_ns", unordered),
        ("mask", row.mask.as_ref().map_or(segmented, |mask| *mask != format!("masks/{named}"))),
    ]
    .into_iter()
    .filter_map(|(field, wrong)| wrong.then_some(field))
    .collect()
}

/// Names of the fields of `row` that are not what was computed again.
pub(super) fn differences<'a>(row: &FrameRow, now: &Segmentation) -> impl Iterator<Item = &'a str> {
    let nerve = now.findings.first();
    [
        ("crop", row.crop != Some(now.crop)),
        ("sector", row.sector != now.sector),
        ("state", row.state != Some(now.state())),
        ("probability", row.probability != Some(now.confidence())),
        ("area_px", row.area_px != nerve.map(|n| n.area_px)),
        ("area_mm2", row.area_mm2 != nerve.and_then(|n| n.area_mm2)),
    ]
    .into_iter()
    .filter_map(|(field, differs)| differs.then_some(field))
}
