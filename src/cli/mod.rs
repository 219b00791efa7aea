//! One file a subcommand; what they share is here.

mod annotate;
mod args;
mod args_data;
mod bench;
mod build;
mod calibrate;
mod check;
mod evaluate;
mod explain;
mod file;
mod infer;
mod inspect;
mod live;
mod prepare;
mod replay;
mod run;
mod screen;
mod segment;
mod segmenting;
mod steps;
mod streams;
mod submit;
mod targets;
mod timings;
mod train;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use args::{Cli, Command};

/// Parses, runs, and says in one sentence what went wrong.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    log(cli.verbose);
    let done = match cli.command {
        Command::Replay(args) => replay::main(args),
        Command::Live(args) => live::main(args),
        Command::Segment(args) => segment::main(&args),
        Command::Bench(args) => bench::main(args),
        Command::Inspect(args) => inspect::main(&args),
        Command::Check(args) => check::main(&args),
        Command::Infer(args) => infer::main(&args),
        Command::Build(args) => build::main(&args),
        Command::Evaluate(args) => evaluate::main(&args),
        Command::Prepare(args) => prepare::main(&args),
        Command::Submit(args) => submit::main(&args),
        Command::Train { args } => train::main(&args),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("sonoplex: {}", sentence(&error)));
            ExitCode::FAILURE
        }
    }
}

fn log(verbose: u8) {
    let level = ["warn", "info", "debug"][usize::from(verbose.min(2))];
    let filter = tracing_subscriber::EnvFilter::try_from_env("SONOPLEX_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(format!("warn,sonoplex={level}")));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Quiet).without_time().init();
}

/// Standard error, where it can be written: a full disk or a closed pipe behind it must not end a run.
struct Quiet;

impl Write for Quiet {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let _ = std::io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Says one line on standard error.
fn say(line: impl std::fmt::Display) {
    let _ = Quiet.write_all(format!("{line}\n").as_bytes());
}

/// The error and its causes, each said once: a message that already holds its cause is not followed by it again.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Writes pretty JSON to a file, or to standard output for `-`.
fn write_json(path: &Path, value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value).context("cannot write the report as JSON")? + "\n";
    write_text(path, &text)
}

/// Writes text to a file, whole or not at all, or to standard output for `-`; a closed pipe is not an error.
fn write_text(path: &Path, text: &str) -> anyhow::Result<()> {
    if path == Path::new("-") {
        return match std::io::stdout().write_all(text.as_bytes()) {
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(e).context("cannot write to standard output"),
            _ => Ok(()),
        };
    }
    sonoplex::write::whole(path, text.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
}
