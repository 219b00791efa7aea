//! What a command writes must not be what it reads: said before anything is opened for writing.

use std::path::{Path, PathBuf};

use anyhow::bail;

/// The path as the system sees it, also where its last part is not there yet.
fn resolved(path: &Path) -> PathBuf {
    let whole = path.canonicalize();
    whole.unwrap_or_else(|_| match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            parent.canonicalize().map_or(path.to_owned(), |p| p.join(name))
        }
        _ => path.to_owned(),
    })
}

/// What the name of a data set reads, without what may stand before it: a weight, or what is to be made of it.
pub fn read_by(dataset: &str) -> &str {
    dataset.rsplit('*').next().unwrap_or(dataset).trim_start_matches("crops:").trim_start_matches("empty:")
}

/// Whether a file belongs to the pictures of a folder `images` and lies beside it.
fn is_beside(images: &Path, target: &Path) -> bool {
    let around = images.parent().filter(|_| images.is_dir() && images.file_name().is_some_and(|name| name == "images"));
    around.is_some_and(|around| {
        target.starts_with(around.join("masks"))
            || ["train_masks.csv", "classes.txt"].map(|f| around.join(f)).iter().any(|f| f == target)
    })
}

/// Refuses files that would overwrite the input, a part of it, or each other, that are folders, or whose folder is missing.
pub fn check_files(input: &str, files: &[(&str, Option<&Path>)]) -> anyhow::Result<()> {
    let source = resolved(Path::new(input));
    let mut seen = Vec::new();
    for &(option, path) in files {
        let Some(path) = path else { continue };
        // Standard output is one file too.
        let target = if path == Path::new("-") { path.to_owned() } else { resolved(path) };
        let shown = path.display();
        let inside = source.is_dir() && target.starts_with(&source);
        if target == source || inside || is_beside(&source, &target) {
            bail!("cannot write `{shown}` for {option}: it is, or lies in, the input `{input}`; give another place");
        }
        if seen.contains(&target) {
            bail!("cannot write `{shown}` for {option}: another option writes the same file; give each its own");
        }
        if target.is_dir() {
            bail!("cannot write `{shown}` for {option}: it is a folder; give the name of a file");
        }
        if path != Path::new("-") && !target.parent().is_some_and(Path::is_dir) {
            bail!("cannot write `{shown}` for {option}: its folder does not exist; make it first");
        }
        seen.push(target);
    }
    Ok(())
}

/// Refuses a folder for masks that holds the pictures or their true masks, which may be called alike.
pub fn check_folder(input: &str, folder: &Path) -> anyhow::Result<()> {
    let (source, target) = (resolved(Path::new(input)), resolved(folder));
    let home = if source.is_dir() { source.as_path() } else { source.parent().unwrap_or(&source) };
    let beside = home.parent().map(|p| p.join("masks"));
    if target == home || target == home.join("masks") || target == home.join("images") || Some(target) == beside {
        bail!(
            "cannot write masks into `{}`: it belongs to the input `{input}`, whose own masks may have the same names; \
             give another folder with --output",
            folder.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_input_its_truth_and_each_other_are_safe() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = dir.path();
        for folder in ["images", "masks", "out"] {
            std::fs::create_dir(root.join(folder)).expect("a folder");
        }
        let input = root.join("images/a.png");
        std::fs::write(&input, b"").expect("a file");
        let text = |p: &Path| p.to_str().expect("a path in UTF-8").to_owned();
        assert!(check_files(&text(&input), &[("--json", Some(&input))]).is_err());
        assert!(check_files(&text(root), &[("--json", Some(&root.join("out/x.json")))]).is_err());
        let same = root.join("out/x");
        assert!(check_files(&text(&input), &[("--json", Some(&same)), ("--sheet", Some(&same))]).is_err());
        assert!(check_files(&text(&input), &[("--json", Some(&root.join("absent/x")))]).is_err());
        let out = Some(Path::new("-"));
        assert!(check_files("phantom:", &[("--json", Some(&same)), ("--sheet", out)]).is_ok());
        assert!(check_files("phantom:", &[("--json", out), ("--report", out)]).is_err(), "standard output is one");
        assert!(check_files("phantom:", &[("--json", Some(&root.join("out")))]).is_err(), "a folder is no file");
        for own in ["masks/a.png", "train_masks.csv", "classes.txt", "images/b.png"] {
            assert!(check_files(&text(&root.join("images")), &[("--out", Some(&root.join(own)))]).is_err(), "{own}");
        }
        assert!(check_files(&text(&root.join("images")), &[("--out", Some(&root.join("all.pack")))]).is_ok());
        for (dataset, read) in [("0.5*crops:a.pack", "a.pack"), ("empty:b", "b"), ("c", "c"), ("2*c", "c")] {
            assert_eq!(read_by(dataset), read);
        }
        for folder in ["images", "masks"] {
            assert!(check_folder(&text(&root.join("images")), &root.join(folder)).is_err(), "{folder}");
            assert!(check_folder(&text(&input), &root.join(folder)).is_err(), "{folder}");
        }
        assert!(check_folder(&text(&input), &root.join("out")).is_ok());
    }
}
