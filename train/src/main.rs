//! Trains the nerve models that Sonoplex runs; started by `sonoplex train`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
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
    let cli = Cli::parse();
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
