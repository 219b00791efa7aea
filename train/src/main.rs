//! Trains the nerve models that Sonoplex runs; started by `sonoplex train`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use sonoplex_train::command::{self, Backend};
use sonoplex_train::settings::Settings;

/// Trains a model on ultrasound frames and their masks, and writes it as one ONNX file.
#[derive(Parser, Debug)]
#[command(name = "sonoplex train", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// Folder of the run: checkpoints, curves, worst frames, `model.onnx`.
    #[arg(long, value_name = "FOLDER", conflicts_with = "resume")]
    output: Option<PathBuf>,
    /// Go on with the run of a folder, with the settings that it was started with.
    #[arg(long, value_name = "FOLDER", conflicts_with = "data")]
    resume: Option<PathBuf>,
    /// What computes: flex (CPU), and what this program was built with: tch (LibTorch, CPU), cuda:N.
    #[arg(long, default_value_t = Backend::best())]
    backend: Backend,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let other = matches.ids().map(clap::Id::as_str).find(|id| given(id) && !["resume", "backend"].contains(id));
    if let (Some(folder), Some(other)) = (&cli.resume, other.filter(|id| *id != "Settings")) {
        eprintln!(
            "sonoplex train: cannot go on with `{}` and another `--{}`: a run keeps the settings that it was started with; leave it out, or \
             start another run",
            folder.display(),
            other.replace('_', "-")
        );
        return ExitCode::FAILURE;
    }
    let done = match (cli.resume, cli.output) {
        (Some(folder), _) => command::resume(&folder, cli.backend),
        (None, output) => command::start(cli.settings, &output.unwrap_or_else(|| "run".into()), cli.backend),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sonoplex train: {error:#}");
            ExitCode::FAILURE
        }
    }
}
