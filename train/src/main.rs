//! Trains the nerve models that Sonoplex runs; started by `sonoplex train`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser};
use sonoplex_train::command::{self, Backend};
use sonoplex_train::publish::publish;
use sonoplex_train::settings::Settings;
use sonoplex_train::trainer::End;

/// Trains a model on ultrasound frames and their masks, and writes it as one ONNX file.
#[derive(Parser, Debug)]
#[command(name = "sonoplex train", version, arg_required_else_help = true, max_term_width = 100)]
struct Cli {
    /// Folder of the run: checkpoints, curves, worst frames, `model.onnx`; with `--publish` the file of the model.
    #[arg(long, value_name = "PATH", conflicts_with = "resume")]
    output: Option<PathBuf>,
    /// Go on with the run of a folder, with the settings that it was started with.
    #[arg(long, value_name = "FOLDER", conflicts_with = "data")]
    resume: Option<PathBuf>,
    /// Write one model that answers with the mean of what those of these runs say, to `--output`. Of one run, its own. May be given
    /// several times.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["data", "resume"], requires = "output")]
    publish: Vec<PathBuf>,
    /// With `--publish`: what its metadata shall say instead, such as `uncertain=0.3..0.9` for `sonoplex.uncertain`. May be given
    /// several times.
    #[arg(long, value_name = "KEY=VALUE", requires = "publish", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// What computes: flex (CPU), and what this program was built with: tch (LibTorch, CPU), cuda:N. Unless given, that of the run that
    /// goes on; else tch where it was built in, or flex.
    #[arg(long)]
    backend: Option<Backend>,
    #[command(flatten)]
    settings: Settings,
}

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    let given = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let other = |allowed: &[&str]| {
        let all = matches.ids().map(clap::Id::as_str).filter(|id| given(id) && *id != "Settings");
        all.filter(|id| !allowed.contains(id)).map(|id| id.replace('_', "-")).next()
    };
    let refused = match (&cli.resume, &cli.publish[..]) {
        (Some(folder), _) => other(&["resume", "backend"]).map(|other| {
            format!(
                "cannot go on with `{}` and another `--{other}`: a run keeps the settings that it was started with; leave it out, or \
                 start another run",
                folder.display()
            )
        }),
        (_, []) => None,
        _ => other(&["publish", "set", "output"]).map(|other| {
            format!("cannot publish with `--{other}`: runs keep the settings that they were started with; leave it out")
        }),
    };
    let done = match (refused, cli.resume, cli.output) {
        (Some(refused), ..) => Err(anyhow::Error::msg(refused)),
        (_, Some(folder), _) => command::resume(&folder, cli.backend),
        (_, _, Some(output)) if !cli.publish.is_empty() => publish(&cli.publish, &cli.set, &output).map(|()| End::Done),
        (_, _, output) => {
            let backend = cli.backend.unwrap_or(Backend::best());
            command::start(cli.settings, &output.unwrap_or_else(|| "run".into()), backend)
        }
    };
    match done {
        // who waits for a run can tell that it is not done
        Ok(End::Stopped) => ExitCode::from(130),
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sonoplex train: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.map(|(key, value)| (key.strip_prefix("sonoplex.").unwrap_or(key).to_owned(), value.to_owned()));
    pair.ok_or_else(|| "expected KEY=VALUE, for example uncertain=0.3..0.9".to_owned())
}
