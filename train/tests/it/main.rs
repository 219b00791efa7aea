//! What the trainer promises: the same numbers again, the same network outside, and a sentence for what is wrong.

mod architectures;
mod data;
#[cfg(feature = "tch")]
mod gradients;
mod losses;
mod runs;
mod teacher;
mod whole;

use clap::Parser;
use sonoplex_train::settings::Settings;

#[derive(Parser)]
struct Line {
    #[arg(long)]
    resume: Option<String>,
    #[arg(long)]
    publish: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

/// The settings that a command line says.
fn parse(line: &str) -> Result<Settings, clap::Error> {
    Ok(Line::try_parse_from(line.split_whitespace())?.settings)
}
