//! Which files of a folder are pictures, in which order, and which are the masks of others.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::source::SourceError;

/// What a picture file is called at its end, in small letters.
pub const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "tif", "tiff", "bmp"];

/// Pictures in the order in which they are played, each with its mask where it has one.
#[derive(Debug, Default)]
pub struct Layout {
    /// Picture and mask.
    pub pairs: Vec<(PathBuf, Option<PathBuf>)>,
    /// How masks were found, where any were.
    pub masks: Option<String>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// Whether the name says that it is a picture.
pub fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

/// Reads a folder; folders inside it are left alone, except `images/` with `masks/` beside it.
///
/// # Errors
/// `Io` when the folder cannot be read, `Unknown` when it has no picture.
pub fn folder(dir: &Path) -> Result<Layout, SourceError> {
    let inner = dir.join("images");
    let (root, beside) = if inner.is_dir() {
        (inner, dir.join("masks"))
    } else {
        let sibling = match (dir.file_name(), dir.parent()) {
            (Some(name), Some(parent)) if name == "images" => parent.join("masks"),
            _ => dir.join("masks"),
        };
        (dir.to_owned(), sibling)
    };
    let (mut pictures, others) = list(&root)?;
    let mut layout = Layout::default();
    if others > 0 {
        layout.notes.push(format!("{others} other entries of `{}` left alone", root.display()));
    }
    let mut masks = BTreeMap::new();
    if beside.is_dir() {
        for path in list(&beside)?.0 {
            masks.entry(stem(&path)).or_insert(path);
        }
        layout.masks = Some(format!("masks read from `{}`", beside.display()));
    } else {
        let stems: std::collections::BTreeSet<String> = pictures.iter().map(|p| stem(p)).collect();
        pictures.retain(|path| {
            let name = stem(path);
            let mask = name.strip_suffix("_mask").is_some_and(|of| stems.contains(of));
            if mask {
                masks.entry(name).or_insert_with(|| path.clone());
            }
            !mask
        });
        if !masks.is_empty() {
            layout.masks = Some("`NAME_mask` read as the mask of `NAME`".into());
        }
    }
    if pictures.is_empty() {
        return Err(SourceError::Unknown {
            name: root.display().to_string(),
            found: format!("a folder with no picture ({}) in it, and {others} other entries", EXTENSIONS.join(", ")),
        });
    }
    // `2.png` before `10.png`
    pictures.sort_by(|a, b| alphanumeric_sort::compare_str(stem(a), stem(b)).then_with(|| a.cmp(b)));
    let mask_of = |path: &Path| {
        let name = stem(path);
        masks.get(&format!("{name}_mask")).or_else(|| masks.get(&name)).cloned()
    };
    layout.pairs = pictures.into_iter().map(|p| (p.clone(), mask_of(&p))).collect();
    let without = layout.pairs.iter().filter(|(_, mask)| mask.is_none()).count();
    if layout.masks.is_some() && without > 0 {
        layout.notes.push(format!("{without} of {} pictures have no mask", layout.pairs.len()));
    }
    Ok(layout)
}

/// One picture alone, with the mask `NAME_mask` beside it where there is one.
pub fn single(path: &Path) -> Layout {
    let named = |e: &str| path.with_file_name(format!("{}_mask.{e}", stem(path)));
    let mask = EXTENSIONS.iter().map(|e| named(e)).find(|m| m.is_file());
    let masks = mask.as_ref().map(|m| format!("mask read from `{}`", m.display()));
    Layout { pairs: vec![(path.to_owned(), mask)], masks, notes: Vec::new() }
}

/// Pictures of a folder, and how many entries are something else; hidden files count as nothing.
fn list(dir: &Path) -> Result<(Vec<PathBuf>, usize), SourceError> {
    let io = |cause| SourceError::Io { path: dir.to_owned(), cause };
    let (mut pictures, mut others) = (Vec::new(), 0);
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if is_picture(&path) && path.is_file() { pictures.push(path) } else { others += 1 }
    }
    Ok((pictures, others))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
