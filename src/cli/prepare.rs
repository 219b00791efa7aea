//! `sonoplex prepare`: data sets into one packed file.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use sonoplex::evaluate::dataset::Dataset;

use super::args_data::PrepareArgs;

pub fn main(args: &PrepareArgs) -> anyhow::Result<ExitCode> {
    if args.out == Path::new("-") {
        bail!("cannot write a packed file to standard output: give `--out` the name of a file");
    }
    for spec in &args.datasets {
        super::targets::check_files(super::targets::read_by(spec), &[("--out", Some(&args.out))])?;
    }
    let set = Dataset::open_all(&args.datasets)?;
    let (bytes, packed) = set.prepare(args.size, args.validate.as_ref())?;
    sonoplex::write::whole(&args.out, &bytes).with_context(|| format!("cannot write `{}`", args.out.display()))?;
    super::write_text(Path::new("-"), &summary(&packed, &args.out, bytes.len()))?;
    Ok(ExitCode::SUCCESS)
}

/// What is in the file, and what is not.
fn summary(set: &Dataset, out: &Path, bytes: usize) -> String {
    let subjects: BTreeSet<&str> = set.entries.iter().map(|e| e.subject.as_str()).collect();
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let mut lines = vec![format!(
        "{}: {} of {}, {:.1} MB",
        out.display(),
        count(set.entries.len(), "picture"),
        count(subjects.len(), "subject"),
        bytes as f64 * 1e-6
    )];
    for (number, class) in (1..).zip(&set.classes) {
        let shown = set.entries.iter().filter(|e| e.may_show(number)).count();
        lines.push(format!("  {}: in {}", class.name, count(shown, "picture")));
    }
    if let Some((split, fold)) = set.stored_split() {
        let (training, validation) = (fold.training.entries.len(), fold.validation.entries.len());
        lines.push(format!("  split {split}: {training} to train on, {validation} to judge by"));
    }
    lines.extend(
        set.groups()
            .iter()
            .filter(|g| g.subjects.len() > 1)
            .map(|g| format!("  subjects {} stay together: {}", g.subjects.join(" and "), g.why)),
    );
    let unnamed = set.groups().iter().filter(|g| g.subjects.len() == 1 && g.pictures > 1 && !g.why.is_empty()).count();
    if unnamed > 0 {
        lines.push(format!("  {} of near-copies, each one subject", count(unnamed, "group")));
    }
    lines.extend(set.notes.iter().map(|note| format!("  {note}")));
    let doubtful = set.entries.iter().filter(|e| e.doubt().is_some()).count();
    if doubtful > 0 {
        lines.push(format!(
            "  {} with a mask that a near-copy contradicts, kept for validation",
            count(doubtful, "picture")
        ));
    }
    lines.extend(set.dropped.iter().map(|d| format!("  dropped {}: {}", d.what, d.why)));
    lines.join("\n") + "\n"
}
