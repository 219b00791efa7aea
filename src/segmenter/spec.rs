//! What a model takes and gives: read from its ONNX metadata or a TOML file beside it, assumed where neither says.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::engine::Plan;
use crate::segmentation::Class;

use super::spec_values as values;

/// How the picture is brought to the size of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Both sides to the network's, the aspect lost.
    Stretch,
    /// The aspect kept, the picture in the middle, black around it.
    Letterbox,
}

/// How grey levels become input values.
#[derive(Clone, Debug, PartialEq)]
pub enum Scale {
    /// Level / 255.
    Unit,
    /// The level itself, 0..=255.
    Byte,
    /// (level / 255 − mean) / std, one of each for every input channel, or one for all.
    Standard {
        /// Subtracted.
        mean: Vec<f32>,
        /// Divided by.
        std: Vec<f32>,
    },
}

/// What the output values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Before the sigmoid or softmax.
    Logits,
    /// 0..=1.
    Probability,
}

/// How the classes of a pixel stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// One map for each class, independent of each other.
    Sigmoid,
    /// One map for the background, then one for each class; together 1.
    Softmax,
}

/// A model's own description; `None` is what nobody said.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSpec {
    /// `sonoplex.name`.
    pub name: Option<String>,
    /// `sonoplex.resize`.
    pub resize: Option<Fit>,
    /// `sonoplex.filter`: `area` or `bilinear`, the resampling filter by its name.
    pub filter: Option<String>,
    /// `sonoplex.scale`.
    pub scale: Option<Scale>,
    /// `sonoplex.input_size`, height and width, for a model that leaves them open.
    pub input_size: Option<[usize; 2]>,
    /// `sonoplex.mask`, the name of the output with the maps.
    pub mask: Option<String>,
    /// `sonoplex.output`.
    pub output: Option<Output>,
    /// `sonoplex.activation`.
    pub activation: Option<Activation>,
    /// `sonoplex.classes`.
    pub classes: Option<Vec<String>>,
    /// `sonoplex.colors`.
    pub colors: Option<Vec<[u8; 3]>>,
    /// `sonoplex.thresholds`: probability from which a pixel belongs to the class.
    pub thresholds: Option<Vec<f32>>,
    /// `sonoplex.uncertain`: confidence below the first is none, from the second on present.
    pub uncertain: Option<Vec<[f32; 2]>>,
    /// `sonoplex.hysteresis`, in confidence.
    pub hysteresis: Option<f32>,
    /// `sonoplex.min_area`: smallest region, as a part of the picture's area.
    pub min_area: Option<Vec<f32>>,
    /// `sonoplex.presence`, the name of the output that says whether each class is there; `none` where there is none.
    pub presence: Option<String>,
    /// `sonoplex.license`.
    pub license: Option<String>,
    /// `sonoplex.attribution`.
    pub attribution: Option<String>,
    /// What was read, from where, in words for people.
    pub notes: Vec<String>,
}

/// Every key, without the prefix.
pub const KEYS: [&str; 19] = [
    "name",
    "resize",
    "filter",
    "scale",
    "mean",
    "std",
    "input_size",
    "mask",
    "output",
    "activation",
    "classes",
    "colors",
    "thresholds",
    "uncertain",
    "hysteresis",
    "min_area",
    "presence",
    "license",
    "attribution",
];

/// Colours of classes that bring none: told apart by people with any common colour vision.
///
/// # References
/// Okabe & Ito, "Color Universal Design", 2008.
pub const COLORS: [[u8; 3]; 7] =
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [204, 121, 167], [213, 94, 0], [0, 114, 178], [240, 228, 66]];

/// What can be wrong with a model's description.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// A file that is there and cannot be read.
    #[error("cannot read the model description `{path}`: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not TOML, or a value of a kind that no key takes.
    #[error("cannot read the model description `{path}`: {message}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// What the parser found.
        message: String,
    },
    /// A key that nobody knows.
    #[error("cannot read the model description in {place}: unknown key `{key}`; the nearest known one is `{nearest}`")]
    UnknownKey {
        /// File or metadata.
        place: String,
        /// What was written.
        key: String,
        /// What may have been meant.
        nearest: String,
    },
    /// A value that the key cannot take.
    #[error("cannot read `{key}` of the model description in {place}: expected {expected}, found `{found}`")]
    Value {
        /// File or metadata.
        place: String,
        /// The key.
        key: String,
        /// What it takes.
        expected: &'static str,
        /// What was written.
        found: String,
    },
}

impl ModelSpec {
    /// The description of the model in `path`: its metadata, overruled key by key by `STEM.toml` or else
    /// `MODEL.toml` in the same folder.
    ///
    /// Metadata without the prefix `sonoplex.` belongs to others and is passed over.
    ///
    /// # Errors
    /// When the file cannot be read, a key is unknown, or a value does not fit its key.
    pub fn read(path: &Path, metadata: &BTreeMap<String, String>) -> Result<Self, SpecError> {
        Self::from_entries(&entries(path, metadata)?)
    }

    /// The same as metadata, so that a model can leave its folder and keep its description.
    ///
    /// # Errors
    /// As [`ModelSpec::read`].
    pub fn metadata(path: &Path, metadata: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, SpecError> {
        let mut all = metadata.clone();
        all.extend(entries(path, metadata)?.into_iter().map(|(key, e)| (format!("sonoplex.{key}"), e.value)));
        Ok(all)
    }

    fn from_entries(entries: &BTreeMap<String, Entry>) -> Result<Self, SpecError> {
        let mut spec = Self::default();
        for (key, entry) in entries {
            spec.set(key, entry)?;
            spec.notes.push(format!("read from {}: {key} = {}", entry.place, entry.value));
        }
        // Mean and standard deviation describe one thing, so neither is meant without the other.
        let list = |key: &str| match entries.get(key) {
            Some(e) => Ok(Some((e, values::list(&e.value, values::number).ok_or_else(|| e.refused(key, "numbers"))?))),
            None => Ok(None),
        };
        match (list("mean")?, list("std")?) {
            (Some((_, mean)), Some((e, std))) => {
                if std.contains(&0.0) {
                    return Err(e.refused("std", "numbers other than 0"));
                }
                spec.scale = Some(Scale::Standard { mean, std });
            }
            (Some((e, _)), None) => return Err(e.refused("mean", "a `std` beside it")),
            (None, Some((e, _))) => return Err(e.refused("std", "a `mean` beside it")),
            (None, None) => {}
        }
        Ok(spec)
    }

    fn set(&mut self, key: &str, e: &Entry) -> Result<(), SpecError> {
        let v = e.value.as_str();
        let text = || Some(v.to_owned());
        let fits = |ok: bool, expected| if ok { Ok(()) } else { Err(e.refused(key, expected)) };
        match key {
            "name" => self.name = text(),
            "license" => self.license = text(),
            "attribution" => self.attribution = text(),
            "mask" => self.mask = text(),
            "presence" => self.presence = text().filter(|v| v != "none"),
            "resize" => {
                self.resize = values::one_of(v, &[("stretch", Fit::Stretch), ("letterbox", Fit::Letterbox)]);
                fits(self.resize.is_some(), "`stretch` or `letterbox`")?;
            }
            "filter" => {
                self.filter = text();
                fits(["area", "bilinear", "nearest"].contains(&v), "`area`, `bilinear` or `nearest`")?;
            }
            "scale" => {
                self.scale = values::one_of(v, &[("unit", Scale::Unit), ("byte", Scale::Byte)]);
                fits(self.scale.is_some(), "`unit` or `byte` (or `mean` and `std` instead)")?;
            }
            "input_size" => {
                self.input_size = v.parse().ok().map(|s: crate::geometry::Size| [s.height as usize, s.width as usize]);
                fits(self.input_size.is_some(), "WIDTHxHEIGHT in pixels, for example `256x256`")?;
            }
            "output" => {
                self.output = values::one_of(v, &[("logits", Output::Logits), ("probability", Output::Probability)]);
                fits(self.output.is_some(), "`logits` or `probability`")?;
            }
            "activation" => {
                let known = [("sigmoid", Activation::Sigmoid), ("softmax", Activation::Softmax)];
                self.activation = values::one_of(v, &known);
                fits(self.activation.is_some(), "`sigmoid` or `softmax`")?;
            }
            "classes" => {
                self.classes = values::list(v, |n| (!n.is_empty()).then(|| n.to_owned()));
                fits(self.classes.is_some(), "names with commas between them")?;
            }
            "colors" => {
                self.colors = values::list(v, values::color);
                fits(self.colors.is_some(), "colours as `#RRGGBB` with commas between them")?;
            }
            "thresholds" => {
                self.thresholds = values::list(v, values::fraction);
                fits(self.thresholds.is_some(), "probabilities from 0 to 1 with commas between them")?;
            }
            "uncertain" => {
                self.uncertain = values::list(v, values::range);
                fits(self.uncertain.is_some(), "ranges such as `0.5..0.8` with commas between them")?;
            }
            "hysteresis" => {
                self.hysteresis = values::fraction(v);
                fits(self.hysteresis.is_some(), "a confidence from 0 to 1")?;
            }
            "min_area" => {
                self.min_area = values::list(v, values::fraction);
                fits(self.min_area.is_some(), "parts of the picture from 0 to 1 with commas between them")?;
            }
            // Read together, by the caller.
            "mean" | "std" => {}
            other => unreachable!("`{other}` is in KEYS and has no meaning"),
        }
        Ok(())
    }

    /// Names and colours of `count` classes, with a note on what was assumed.
    pub fn name_classes(&self, count: usize, notes: &mut Vec<String>) -> Vec<Class> {
        if self.classes.is_none() {
            notes.push("assumed: the first class is `nerve`".to_owned());
        }
        let named = |i: usize| self.classes.as_ref().and_then(|c| c.get(i).cloned());
        let name = |i: usize| named(i).unwrap_or(if i == 0 { "nerve".to_owned() } else { format!("class_{}", i + 1) });
        let given = |i: usize| self.colors.as_ref().and_then(|c| c.get(i).copied());
        (0..count).map(|i| Class { name: name(i), color: given(i).unwrap_or(COLORS[i % COLORS.len()]) }).collect()
    }
}

/// A value and where it was written.
struct Entry {
    value: String,
    place: String,
}

impl Entry {
    fn refused(&self, key: &str, expected: &'static str) -> SpecError {
        SpecError::Value { place: self.place.clone(), key: key.to_owned(), expected, found: self.value.clone() }
    }
}

/// What the metadata says, overruled key by key by the file beside the model.
fn entries(path: &Path, metadata: &BTreeMap<String, String>) -> Result<BTreeMap<String, Entry>, SpecError> {
    let mut entries = BTreeMap::new();
    for (key, value) in metadata {
        if let Some(key) = key.strip_prefix("sonoplex.") {
            insert(&mut entries, key, value.clone(), if Plan::is_plan(path) { "the plan" } else { "ONNX metadata" })?;
        }
    }
    for file in [path.with_extension("toml"), path.with_file_name("MODEL.toml")] {
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                let place = format!("`{}`", file.display());
                for (key, value) in toml_entries(&file, &text)? {
                    insert(&mut entries, &key, value, &place)?;
                }
                break;
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(SpecError::Read { path: file, source }),
        }
    }
    Ok(entries)
}

fn insert(entries: &mut BTreeMap<String, Entry>, key: &str, value: String, place: &str) -> Result<(), SpecError> {
    if !KEYS.contains(&key) {
        let nearest = KEYS.iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
        let nearest = nearest.expect("there are keys").to_string();
        return Err(SpecError::UnknownKey { place: place.to_owned(), key: key.to_owned(), nearest });
    }
    entries.insert(key.to_owned(), Entry { value, place: place.to_owned() });
    Ok(())
}

/// Keys and values of a TOML file, bare or in a table `sonoplex`; lists become text with commas, as in the metadata.
fn toml_entries(path: &Path, text: &str) -> Result<Vec<(String, String)>, SpecError> {
    let bad = |message: String| SpecError::Toml { path: path.to_owned(), message };
    let table: toml::Table = text.parse().map_err(|e: toml::de::Error| bad(e.to_string().trim().replace('\n', " ")))?;
    let mut entries = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) if key == "sonoplex" => {
                for (key, value) in inner {
                    let text = values::toml_text(&value).ok_or_else(|| bad(format!("`{key}` holds a table")))?;
                    entries.push((key, text));
                }
            }
            other => {
                let text = values::toml_text(&other).ok_or_else(|| bad(format!("`{key}` holds a table")))?;
                entries.push((key, text));
            }
        }
    }
    Ok(entries)
}
