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
    let dir = &named(dir);
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
    if !others.is_empty() {
        layout.notes.push(format!("{} other entries of `{}` left alone", others.len(), root.display()));
    }
    let mut masks = BTreeMap::new();
    if beside.is_dir() {
        let mut found = list(&beside)?.0;
        found.sort();
        for path in found {
            insert(&mut masks, stem(&path), path)?;
        }
        layout.masks = Some(format!("masks read from `{}`", beside.display()));
    } else {
        let stems: std::collections::BTreeSet<String> = pictures.iter().map(|p| stem(p)).collect();
        let is_mask = |path: &PathBuf| stem(path).strip_suffix("_mask").is_some_and(|of| stems.contains(of));
        let (mut found, others) = pictures.into_iter().partition::<Vec<_>, _>(is_mask);
        pictures = others;
        found.sort();
        for path in found {
            insert(&mut masks, stem(&path), path)?;
        }
        if !masks.is_empty() {
            layout.masks = Some("`NAME_mask` read as the mask of `NAME`".into());
        }
    }
    if pictures.is_empty() {
        let kinds = EXTENSIONS.join(", ");
        let found = match others.first() {
            Some(first) => format!(
                "a folder with no picture ({kinds}); its {} other entries, such as `{}`, are opened one by one",
                others.len(),
                first.display()
            ),
            None => format!("a folder with no picture ({kinds}) and nothing else"),
        };
        return Err(SourceError::Unknown { name: root.display().to_string(), found });
    }
    // `2.png` before `10.png`
    pictures.sort_by(|a, b| alphanumeric_sort::compare_str(stem(a), stem(b)).then_with(|| a.cmp(b)));
    for path in pictures {
        let name = stem(&path);
        let mask = match (masks.get(&format!("{name}_mask")), masks.get(&name)) {
            (Some(one), Some(other)) if beside.is_dir() => return Err(two_masks(one, other)),
            (one, other) => one.or(other).cloned(),
        };
        layout.pairs.push((path, mask));
    }
    let without = layout.pairs.iter().filter(|(_, mask)| mask.is_none()).count();
    if layout.masks.is_some() && without > 0 {
        layout.notes.push(format!("{without} of {} pictures have no mask", layout.pairs.len()));
    }
    Ok(layout)
}

/// Keeps a mask by its name, which no other may have.
fn insert(masks: &mut BTreeMap<String, PathBuf>, name: String, path: PathBuf) -> Result<(), SourceError> {
    if let Some(other) = masks.get(&name) {
        return Err(two_masks(other, &path));
    }
    masks.insert(name, path);
    Ok(())
}

/// Which one is true nobody can tell.
fn two_masks(one: &Path, other: &Path) -> SourceError {
    SourceError::Malformed {
        path: other.to_owned(),
        what: "the only mask of its picture",
        found: format!("`{}` is one too", one.display()),
        advice: "take one of them out".into(),
    }
}

/// A folder by a name: `.` and `..` have none.
pub fn named(dir: &Path) -> PathBuf {
    let full = || fs::canonicalize(if dir.as_os_str().is_empty() { Path::new(".") } else { dir }).ok();
    if dir.file_name().is_some() { dir.to_owned() } else { full().unwrap_or_else(|| dir.to_owned()) }
}

/// One picture alone, with its mask: `NAME_mask` beside it, or in `masks/` beside its `images/`.
pub fn single(path: &Path) -> Layout {
    let name = stem(path);
    let beside = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut places = vec![(beside.clone(), format!("{name}_mask"))];
    let dir = Some(named(&beside)).filter(|d| d.file_name().is_some_and(|n| n == "images"));
    if let Some(parent) = dir.as_deref().and_then(Path::parent) {
        let masks = parent.join("masks");
        places.extend([(masks.clone(), format!("{name}_mask")), (masks, name)]);
    }
    let mask = places.iter().find_map(|(dir, name)| {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let (mut found, _) = list(dir).ok()?;
        found.retain(|file| stem(file) == *name);
        found.into_iter().min()
    });
    let masks = mask.as_ref().map(|m| format!("mask read from `{}`", m.display()));
    Layout { pairs: vec![(path.to_owned(), mask)], masks, notes: Vec::new() }
}

/// Pictures of a folder, and its other entries in order; hidden files are neither.
fn list(dir: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), SourceError> {
    let io = |cause| SourceError::Io { path: dir.to_owned(), cause };
    let (mut pictures, mut others) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if is_picture(&path) && path.is_file() { pictures.push(path) } else { others.push(path) }
    }
    others.sort();
    Ok((pictures, others))
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
