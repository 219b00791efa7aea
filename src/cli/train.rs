//! `sonoplex train`: the trainer is a program of its own, found and run here.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, bail};

/// What the trainer is called.
const NAME: &str = if cfg!(windows) { "sonoplex-train.exe" } else { "sonoplex-train" };

/// Runs the trainer with the same arguments; its exit status is ours.
pub fn main(args: &[OsString]) -> anyhow::Result<ExitCode> {
    let Some(program) = find() else {
        bail!(
            "cannot train: expected the program `{NAME}` beside this one or in PATH, found none; build it with \
             `tools/train-build.sh` in the source of Sonoplex, and put `train/target/release/{NAME}` beside `sonoplex`, or \
             name it in SONOPLEX_TRAIN"
        );
    };
    let status = Command::new(&program).args(args).status();
    let status = status.with_context(|| format!("cannot run `{}`", program.display()))?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// In the order in which it is looked for: SONOPLEX_TRAIN, beside this program, where the source builds it, PATH.
fn find() -> Option<PathBuf> {
    let named = std::env::var_os("SONOPLEX_TRAIN").map(PathBuf::from);
    let own = std::env::current_exe().ok();
    let beside = own.as_ref().and_then(|own| Some(own.parent()?.join(NAME)));
    let built = own.as_ref().and_then(|own| Some(own.ancestors().nth(3)?.join("train/target/release").join(NAME)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::env::split_paths(&path).map(|folder| folder.join(NAME));
    named.into_iter().chain(beside).chain(built).chain(paths).find(|program| program.is_file())
}
