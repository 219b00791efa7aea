//! Tells what the user means: a prefix names a device or the phantom, anything else is a file told by its content.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::trim::Trim;
use super::{Source, SourceError, images, phantom, session};

/// What part of a source is wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Leave out frames before this presentation time.
    pub start: Option<Duration>,
    /// Leave out frames from this presentation time on.
    pub end: Option<Duration>,
}

/// Opens whatever `spec` says: a file, a folder, or `phantom:`, `camera:N`, `v4l2:PATH`, `gst:GRAPH`, `rtsp://…`.
///
/// # Errors
/// One sentence for everything that is missing, empty, damaged, unknown or not built in.
pub fn open(spec: &str, options: &OpenOptions) -> Result<Box<dyn Source>, SourceError> {
    let source = match Named::of(spec) {
        Some(Named::Phantom) => phantom::open(spec)?,
        Some(Named::Camera(index)) => camera(spec, index)?,
        Some(Named::V4l2(path)) => v4l2(spec, path)?,
        Some(Named::Graph(graph)) => graph_source(spec, graph)?,
        Some(Named::Rtsp) => rtsp(spec)?,
        None => file(spec)?,
    };
    if options.start.is_none() && options.end.is_none() {
        return Ok(source);
    }
    Ok(Box::new(Trim::new(source, options.start, options.end)?))
}

/// What has a prefix.
enum Named<'a> {
    Phantom,
    Camera(&'a str),
    V4l2(&'a str),
    Graph(&'a str),
    Rtsp,
}

const SCHEMES: [&str; 5] = ["phantom", "camera", "v4l2", "gst", "rtsp"];

impl<'a> Named<'a> {
    fn of(spec: &'a str) -> Option<Self> {
        let (scheme, rest) = spec.split_once(':').unwrap_or((spec, ""));
        match scheme {
            "phantom" if spec != "phantom" || !Path::new(spec).exists() => Some(Self::Phantom),
            "camera" if spec.contains(':') => Some(Self::Camera(rest)),
            "v4l2" if spec.contains(':') => Some(Self::V4l2(rest)),
            "gst" if spec.contains(':') => Some(Self::Graph(rest)),
            "rtsp" | "rtsps" if rest.starts_with("//") => Some(Self::Rtsp),
            _ => None,
        }
    }
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// DICOM, part 10 or without its preamble.
    Dicom,
    /// PNG, JPEG, TIFF or BMP.
    Image,
    /// MetaImage, header and data in one or in two files.
    MetaImage,
    /// A video container.
    Video,
}

/// Tells the kind of a file by its content, and only where that says nothing by its name.
///
/// # Errors
/// `Io` when it cannot be read, `Malformed` when it is empty, `Unknown` when nothing fits.
pub fn kind(path: &Path) -> Result<Kind, SourceError> {
    let io = |cause| SourceError::Io { path: path.to_owned(), cause };
    let mut head = Vec::new();
    File::open(path).map_err(io)?.take(2048).read_to_end(&mut head).map_err(io)?;
    if head.is_empty() {
        return Err(SourceError::Malformed {
            path: path.to_owned(),
            what: "a recording",
            found: "the file is empty".into(),
            advice: "copy or record it again".into(),
        });
    }
    if let Some(kind) = by_content(&head).or_else(|| by_name(path)) {
        return Ok(kind);
    }
    let first: Vec<String> = head.iter().take(8).map(|b| format!("{b:02x}")).collect();
    Err(SourceError::Unknown {
        name: path.display().to_string(),
        found: format!("its first bytes are `{}`, and its name does not tell either", first.join(" ")),
    })
}

/// `DICM` comes first: before it lie 128 bytes in which anything may stand, a TIFF for example.
fn by_content(head: &[u8]) -> Option<Kind> {
    let at = |offset: usize, magic: &[u8]| head.get(offset..).is_some_and(|h| h.starts_with(magic));
    if at(128, b"DICM") {
        return Some(Kind::Dicom);
    }
    let images: [&[u8]; 6] = [b"\x89PNG\r\n\x1a\n", b"\xFF\xD8\xFF", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"];
    if images.iter().any(|magic| at(0, magic)) || (at(0, b"BM") && at(6, &[0; 4])) {
        return Some(Kind::Image);
    }
    let boxes: [&[u8]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];
    let video = boxes.iter().any(|name| at(4, name))
        || at(0, b"\x1A\x45\xDF\xA3")
        || (at(0, b"RIFF") && at(8, b"AVI "))
        || at(0, b"OggS")
        || at(0, b"FLV\x01")
        || at(0, b"\x00\x00\x01\xBA")
        || (at(0, b"G") && at(188, b"G") && at(376, b"G"));
    if video {
        return Some(Kind::Video);
    }
    meta_image(head).then_some(Kind::MetaImage)
}

/// MetaImage begins with lines `Key = Value`, comments aside; some of its keys are in every file.
fn meta_image(head: &[u8]) -> bool {
    let keys = ["ObjectType", "NDims", "DimSize", "ElementType", "ElementDataFile", "ElementSpacing", "BinaryData"];
    let lines = head.split(|&b| b == b'\n').map_while(|l| std::str::from_utf8(l).ok());
    lines.filter_map(|l| l.split_once('=')).any(|(key, _)| keys.contains(&key.trim()))
}

fn by_name(path: &Path) -> Option<Kind> {
    let extension = path.extension()?.to_str()?.to_ascii_lowercase();
    match extension.as_str() {
        "dcm" | "dicom" | "ima" => Some(Kind::Dicom),
        "mha" | "mhd" => Some(Kind::MetaImage),
        "mp4" | "m4v" | "mov" | "mkv" | "webm" | "avi" | "mpg" | "mpeg" | "ts" | "wmv" | "ogv" | "flv" | "h264"
        | "mjpeg" => Some(Kind::Video),
        e if images::layout::EXTENSIONS.contains(&e) => Some(Kind::Image),
        _ => None,
    }
}

fn file(spec: &str) -> Result<Box<dyn Source>, SourceError> {
    let path = PathBuf::from(spec);
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(cause) => return Err(mistyped(spec).unwrap_or(SourceError::Io { path, cause })),
    };
    if metadata.is_dir() {
        if path.join("session.json").is_file() {
            return session::open(&path);
        }
        return match images::open(&path) {
            // No picture in it: it may be a series of DICOM files, whose names often say nothing.
            Err(SourceError::Unknown { name, found }) => {
                super::dicom::series::open(&path).map_err(|error| match error {
                    SourceError::Unknown { .. } => SourceError::Unknown { name, found },
                    error => error,
                })
            }
            other => other,
        };
    }
    if !metadata.is_file() {
        let found = "neither a file nor a folder (a device is `v4l2:/dev/videoN` or `camera:N`)".to_owned();
        return Err(SourceError::Unknown { name: spec.to_owned(), found });
    }
    if path.file_name().is_some_and(|n| n == "session.json") {
        return session::open(path.parent().unwrap_or(Path::new(".")));
    }
    match kind(&path)? {
        Kind::Image => images::open(&path),
        Kind::Dicom => super::dicom::open(&path),
        Kind::MetaImage => super::metaimage::open(&path),
        Kind::Video => video(spec, &path),
    }
}

/// `phanton:seed=3` is no file that is missing.
fn mistyped(spec: &str) -> Option<SourceError> {
    let (scheme, _) = spec.split_once(':').filter(|(s, _)| s.len() > 1 && !s.contains(['/', '\\', '.']))?;
    let near = SCHEMES.iter().min_by_key(|s| strsim::damerau_levenshtein(s, scheme))?;
    Some(SourceError::Options {
        name: spec.to_owned(),
        found: format!("there is no file of that name and no kind of source `{scheme}:`"),
        advice: format!("did you mean `{near}:`? kinds: {}", SCHEMES.map(|s| format!("{s}:")).join(", ")),
    })
}

#[cfg(feature = "video")]
fn video(_spec: &str, path: &Path) -> Result<Box<dyn Source>, SourceError> {
    super::video::open(path)
}

#[cfg(feature = "video")]
fn v4l2(_spec: &str, path: &str) -> Result<Box<dyn Source>, SourceError> {
    super::gst::v4l2(Path::new(path))
}

#[cfg(feature = "video")]
fn graph_source(_spec: &str, graph: &str) -> Result<Box<dyn Source>, SourceError> {
    super::gst::open(graph)
}

#[cfg(feature = "video")]
fn rtsp(spec: &str) -> Result<Box<dyn Source>, SourceError> {
    super::gst::rtsp(spec)
}

#[cfg(not(feature = "video"))]
fn video(spec: &str, _path: &Path) -> Result<Box<dyn Source>, SourceError> {
    missing(spec, "video")
}

#[cfg(not(feature = "video"))]
fn v4l2(spec: &str, _path: &str) -> Result<Box<dyn Source>, SourceError> {
    missing(spec, "video")
}

#[cfg(not(feature = "video"))]
fn graph_source(spec: &str, _graph: &str) -> Result<Box<dyn Source>, SourceError> {
    missing(spec, "video")
}

#[cfg(not(feature = "video"))]
fn rtsp(spec: &str) -> Result<Box<dyn Source>, SourceError> {
    missing(spec, "video")
}

fn camera(spec: &str, index: &str) -> Result<Box<dyn Source>, SourceError> {
    let index: u32 = index.parse().map_err(|_| SourceError::Options {
        name: spec.to_owned(),
        found: format!("`{index}` is no number of a camera"),
        advice: "write for example `camera:0`".into(),
    })?;
    numbered(spec, index)
}

#[cfg(feature = "camera")]
fn numbered(_spec: &str, index: u32) -> Result<Box<dyn Source>, SourceError> {
    super::camera::open(index)
}

#[cfg(not(feature = "camera"))]
fn numbered(spec: &str, _index: u32) -> Result<Box<dyn Source>, SourceError> {
    missing(spec, "camera")
}

#[cfg(not(all(feature = "video", feature = "camera")))]
fn missing(spec: &str, feature: &'static str) -> Result<Box<dyn Source>, SourceError> {
    Err(SourceError::FeatureMissing { name: spec.to_owned(), feature })
}
