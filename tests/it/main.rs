//! All integration tests in one binary, so that they link once. One file a subject.

mod pipeline;
mod pipeline_fakes;
mod pipeline_stop;
mod pipeline_text;
mod pipeline_verify;
mod record;
