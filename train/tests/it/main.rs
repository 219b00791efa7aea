//! What the trainer promises: the same numbers again, the same network outside, and a sentence for what is wrong.

mod architectures;
mod data;
mod losses;
mod runs;
mod whole;
