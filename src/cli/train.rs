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
    let mut trainer = Command::new(&program);
    trainer.args(args);
    let cannot = || format!("cannot run `{}`", program.display());
    // the trainer takes the place of this program, so that who stops it stops the trainer, and waits until it has saved
    #[cfg(unix)]
    return Err(std::os::unix::process::CommandExt::exec(&mut trainer)).with_context(cannot);
    #[cfg(not(unix))]
    Ok(ExitCode::from(trainer.status().with_context(cannot)?.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(1)))
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
