//! Moves frames from the source to the segmenter, the display and the recorder; stops cleanly.
//!
//! ```text
//!              ┌▶ mailbox (or queue of 1) ─▶ segmenter ─┬▶ mailbox of pairs (or queue of 1) ─┐
//! source ──────┼▶ mailbox ──────────────────────────────┼────────────────────────────────────┴▶ display
//! (capture)    └▶ queue of 64 ─▶ recorder ◀─ queue ─────┘                           (thread of the caller)
//! ```
//!
//! The end runs down the same arrows: whoever has nothing more to give closes what it gives to, and whoever finds it
//! closed and empty ends as well. An error or a stop only makes the source end early, so nothing that was captured is
//! lost on the way.

pub mod config;
pub mod explain;
pub mod keys;
pub mod mailbox;
pub mod pool;
pub mod ports;
pub mod report;
pub mod run;
pub mod speed;
pub mod verify;
pub mod watchdog;

mod capture;
mod keep;
mod present;
mod recent;
mod segment;
mod shared;
mod threads;
mod verify_row;

pub use config::{ConfigError, PipelineConfig};
pub use explain::{Explained, explain};
pub use mailbox::{Mailbox, Taken};
pub use pool::Pool;
pub use ports::{Annotate, BoxError, Control, OpenRecording, Progress, Recording, Screen, Segment, Shown, Status};
pub use report::{About, Alarms, Report};
pub use run::{Ended, Outcome, Run, RunError, RunOptions, run};
pub use speed::{Speed, SpeedError};
pub use verify::{Verdict, Verifier, VerifyError, VerifyReport, verify};
pub use watchdog::Watchdog;
