//! Proves a recorded session: segments its frames again, in order, and compares masks and rows bit for bit.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::ports::{BoxError, Segment};
use super::verify_row;
use crate::latency::{Clock, Moment};
use crate::mask::Mask;
use crate::record::{EventKind, RecordError, read::Recorded};
use crate::segmentation::Segmentation;
use crate::session::Session;

/// A fresh segmenter to verify with, and what it is.
pub struct Verifier {
    /// It must not have seen a frame yet.
    pub segmenter: Box<dyn Segment>,
    /// SHA-256 of its model.
    pub model_sha256: String,
    /// SHA-256 of its plan.
    pub plan_sha256: String,
    /// What computes it.
    pub device: String,
    /// Its settings, by the names that the session uses; one that only one of the two knows is not compared.
    pub settings: BTreeMap<String, String>,
}

/// How a verification ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every mask is the same to the last bit, and every row says what was computed again.
    Identical,
    /// A mask or a row differs although plan and device are the same, or a row contradicts its own frame.
    Different,
    /// The model, the plan, the device or the course of the frames is another: differences prove nothing.
    NotComparable,
}

impl Verdict {
    /// 0, 1 and 3; 2 is what a wrong command line exits with.
    pub const fn exit_code(self) -> i32 {
        match self {
            Self::Identical => 0,
            Self::Different => 1,
            Self::NotComparable => 3,
        }
    }
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyReport {
    /// See [`Verdict`].
    pub verdict: Verdict,
    /// Rows of `frames.jsonl` that were compared.
    pub rows: u64,
    /// Masks that were compared.
    pub compared: u64,
    /// Frames whose mask or row differs.
    pub differing_frames: u64,
    /// Id of the first of them.
    pub first_difference: Option<u64>,
    /// What differs in it: `mask`, or names of the fields of its row.
    pub first_fields: Vec<String>,
    /// Masks that differ.
    pub differing_masks: u64,
    /// Pixels whose class differs, over all masks.
    pub differing_pixels: u64,
    /// Mean Dice of the nerve between the recorded and the new masks; 1 when both are empty.
    pub mean_dice: f64,
    /// Why it is not comparable bit for bit.
    pub reasons: Vec<String>,
}

/// One or two sentences for the terminal.
impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, compared, differing_frames, differing_masks, differing_pixels, mean_dice, .. } = self;
        let fields = self.first_fields.join(", ");
        let numbers = format!(
            "{differing_frames} of {rows} frames differ; {differing_masks} of {compared} masks differ in \
             {differing_pixels} pixels, Dice {mean_dice:.6}"
        );
        match (self.verdict, self.first_difference) {
            (Verdict::Identical, _) => {
                write!(f, "{compared} masks are identical to the last bit, and {rows} rows agree with their frames")
            }
            (Verdict::Different, Some(id)) => {
                write!(f, "frame {id} is the first that differs, in {fields}: {numbers}")
            }
            (Verdict::Different, None) => write!(f, "{numbers}"),
            (Verdict::NotComparable, first) => {
                write!(f, "not comparable bit for bit: {}; {numbers}", self.reasons.join(", "))?;
                first.map_or(Ok(()), |id| write!(f, ", first in frame {id}, in {fields}"))
            }
        }
    }
}

/// What can go wrong with a verification.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The session cannot be read.
    #[error("{cause}")]
    Record {
        /// Its own words.
        #[from]
        cause: RecordError,
    },
    /// The segmenter cannot be made.
    #[error("cannot prepare the segmenter of the session: {cause}")]
    Open {
        /// Its own words.
        cause: BoxError,
    },
    /// The segmenter has failed.
    #[error("cannot segment frame {frame}: {cause}")]
    Segmenter {
        /// Id of the frame.
        frame: u64,
        /// Its own words.
        cause: BoxError,
    },
    /// Rows are missing, so that what is left proves less than it seems to.
    #[error(
        "cannot verify `{dir}`: expected {expected} frames in frames.jsonl, found {found}; restore the file, or replay the session to see what is left"
    )]
    Rows {
        /// Folder.
        dir: std::path::PathBuf,
        /// Frames that were recorded.
        expected: u64,
        /// Rows that are there.
        found: usize,
    },
    /// There is nothing to prove.
    #[error("cannot verify `{dir}`: none of its {frames} frames was segmented")]
    Nothing {
        /// Folder.
        dir: std::path::PathBuf,
        /// Frames in the session.
        frames: usize,
    },
}

/// Segments the frames of the session in `dir` that were segmented, in the same order, with the segmenter that
/// `make_segmenter` makes from the session, and compares.
///
/// # Errors
/// When the session cannot be read or has no mask, or the segmenter fails.
pub fn verify(
    dir: &Path,
    make_segmenter: impl FnOnce(&Session) -> Result<Verifier, BoxError>,
) -> Result<VerifyReport, VerifyError> {
    let recorded = Recorded::open(dir)?;
    let session = &recorded.session;
    let Verifier { mut segmenter, model_sha256, plan_sha256, device, settings } =
        make_segmenter(session).map_err(|cause| VerifyError::Open { cause })?;
    let mut reasons = Vec::new();
    // Threads change the time, never the bits.
    let path = |device: &str| device.split(',').next().unwrap_or_default().to_owned();
    let (device, stored) = (path(&device), path(&session.device));
    for (what, now, then) in [
        ("model_sha256", &model_sha256, &session.model_sha256),
        ("plan_sha256", &plan_sha256, &session.plan_sha256),
        ("device", &device, &stored),
    ] {
        if now != then {
            reasons.push(format!("the {what} is `{now}`, the session was made with `{then}`"));
        }
    }
    for (name, now) in &settings {
        if let Some(then) = session.settings.get(name).filter(|then| *then != now) {
            reasons.push(format!("{name} is `{now}`, the session was made with `{then}`"));
        }
    }
    // A session that was never completed has no counts yet; one that was must still hold all of its rows.
    if session.ended.is_some() && recorded.rows.len() as u64 != session.frames.recorded {
        return Err(VerifyError::Rows {
            dir: dir.to_owned(),
            expected: session.frames.recorded,
            found: recorded.rows.len(),
        });
    }
    let clock = Clock::monotonic();
    let mut events = recorded.events.iter().peekable();
    let mut gap = None;
    let mut answer = Segmentation::default();
    let mut report = VerifyReport {
        verdict: Verdict::Identical,
        rows: 0,
        compared: 0,
        differing_frames: 0,
        first_difference: None,
        first_fields: Vec::new(),
        differing_masks: 0,
        differing_pixels: 0,
        mean_dice: 0.0,
        reasons,
    };
    // A row that contradicts its own frame was changed, whatever computes the masks.
    let mut changed = false;
    let mut before = None;
    for row in &recorded.rows {
        let mut fields = verify_row::contradictions(row, recorded.imprint(row)?.as_ref(), before);
        before = Some(row);
        report.rows += 1;
        changed |= !fields.is_empty();
        let failed = |cause| VerifyError::Segmenter { frame: row.id, cause };
        let Some(then) = recorded.mask(row)? else {
            report.note(row.id, fields);
            continue;
        };
        while let Some(event) = events.next_if(|e| e.before <= row.id) {
            match event.event {
                EventKind::Reset => segmenter.reset(),
                EventKind::Despeckle => segmenter.set_despeckle(&event.value).map_err(failed)?,
                EventKind::Gap => gap = gap.or(Some(event.before)),
            }
        }
        let mut frame = recorded.frame(row)?;
        let now = clock.now();
        for moment in [Moment::Captured, Moment::Received, Moment::Dequeued] {
            frame.stamps.set(moment, now);
        }
        answer.stamps = frame.stamps;
        segmenter.segment(&frame, &clock, &mut answer).map_err(failed)?;
        fields.extend(verify_row::differences(row, &answer));
        if report.differs(&then, &answer.mask) {
            fields.push("mask");
        }
        report.note(row.id, fields);
    }
    if report.compared == 0 {
        return Err(VerifyError::Nothing { dir: dir.to_owned(), frames: recorded.rows.len() });
    }
    report.mean_dice /= report.compared as f64;
    // Only what differs after the gap can be its doing; identical masks are proven all the same.
    if let (Some(gap), Some(first)) = (gap, report.first_difference)
        && first >= gap
    {
        report.reasons.push(format!("from frame {gap} on the segmenter had seen frames that were not recorded"));
    }
    report.verdict = match (report.differing_frames, report.reasons.is_empty()) {
        (0, true) => Verdict::Identical,
        (_, true) => Verdict::Different,
        (_, false) if changed => Verdict::Different,
        (_, false) => Verdict::NotComparable,
    };
    Ok(report)
}

impl VerifyReport {
    /// Compares a mask; true when it differs.
    fn differs(&mut self, then: &Mask, now: &Mask) -> bool {
        self.compared += 1;
        let differing = if then.size == now.size { then.differing(now) } else { then.size.area().max(now.size.area()) };
        self.mean_dice += if then.size == now.size { then.dice(now, 1) } else { 0.0 };
        self.differing_masks += u64::from(differing > 0);
        self.differing_pixels += differing as u64;
        differing > 0
    }

    /// Notes what differs in a frame, if anything does.
    fn note(&mut self, id: u64, fields: Vec<&'static str>) {
        if fields.is_empty() {
            return;
        }
        self.differing_frames += 1;
        if self.first_difference.is_none() {
            self.first_difference = Some(id);
            self.first_fields = fields.into_iter().map(str::to_owned).collect();
        }
    }
}
