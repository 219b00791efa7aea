//! Every key of a pipeline file: what it expects and what it means.

/// One key of a pipeline file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name of the section.
    pub section: &'static str,
    /// Name of the key.
    pub name: &'static str,
    /// What it expects, for messages.
    pub expects: &'static str,
    /// A value, as it is written in TOML.
    pub example: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

macro_rules! keys {
    ($($section:literal { $($name:literal: $expects:literal, $example:literal, $meaning:literal;)* })*) => {
        &[$($(Key {
            section: $section,
            name: $name,
            expects: $expects,
            example: $example,
            meaning: $meaning,
        },)*)*]
    };
}

/// All of them, by section.
pub const KEYS: &[Key] = keys! {
    "source" {
        "spec": "a path or a source, for example \"phantom:\" or \"camera:0\"", "\"phantom:\"",
            "what is played or captured; what is given on the command line comes first";
        "speed": "a number from 0.001 to 1000, or \"max\"", "1.0",
            "how fast a recording is played; a device has its own pace";
        "loop": "true or false", "false", "begin again at the end";
        "start": "seconds, not negative", "0.0", "where in the recording to begin, in seconds; refused by `live`";
        "end": "seconds, not negative", "12.5", "where in the recording to end, in seconds; after `start`; refused by `live`";
    }
    "segmenter" {
        "model": "the path of a model", "\"models/nerve-vessel.onnx\"",
            "the ONNX model; the one that comes with the program where this is not given";
        "device": "\"auto\", \"cpu\" or \"cuda:N\"", "\"auto\"", "what computes the network";
        "threads": "a whole number, 0 for all cores", "0", "threads of the CPU";
        "precision": "\"fp32\", \"bf16\", \"bf16-fast\", \"int8\" or \"fp16\"", "\"fp32\"",
            "how far the factors of the network may be rounded; a plan has its own, int8 is for plans and quantised models";
        "despeckle": "a filter, for example \"median:radius=2\"", "\"off\"",
            "`off`, `median`, `bilateral`, `lee`, `kuan`, `frost`, `nlm`, `srad`, with parameters after a colon";
        "threshold": "a number from 0 to 1", "0.5",
            "probability from which a pixel belongs to the mask; that of the model where this is not given";
        "crop": "\"auto\", \"full\" or a rectangle such as \"536x424+192+78\"", "\"auto\"",
            "where in the screen the ultrasound lies: found by itself, all of it, or as given";
    }
    "display" {
        "window": "true or false", "true", "open a window; without one the run is headless";
        "overlay": "\"contour\", \"fill\" or \"heat\"", "\"contour\"", "how the mask is drawn";
        "opacity": "a number from 0 to 1", "0.5", "how strongly the mask covers the picture";
        "sync": "true or false", "false",
            "show matched pairs of picture and mask only, which is later, and not the newest picture with an older mask";
        "hud": "true or false", "true", "show ages, stages, percentiles and drops";
    }
    "record" {
        "dir": "the path of a new folder", "\"recording\"", "record the session to this folder, which must be new or empty";
        "video": "true or false", "true", "write an annotated video beside it";
    }
    "bench" {
        "frames": "a whole number, at least 1", "1000", "frames to measure";
        "warm_up": "a whole number", "50", "frames before them that do not count";
        "paced": "true or false", "false", "at the pace of the recording, or as fast as possible";
    }
};

/// The names of the sections, each once.
pub fn sections() -> impl Iterator<Item = &'static str> {
    KEYS.iter().enumerate().filter(|(i, k)| *i == 0 || KEYS[i - 1].section != k.section).map(|(_, k)| k.section)
}

/// What somebody probably meant, as the end of a message.
pub(super) fn nearest(found: &str, known: &[&str]) -> String {
    let found = found.to_lowercase();
    let best = known.iter().map(|k| (strsim::damerau_levenshtein(&found, k), k)).min_by(|a, b| {
        // Of two that are as near, the one that begins alike.
        let alike = |k: &str| strsim::jaro_winkler(&found, k);
        a.0.cmp(&b.0).then(alike(b.1).total_cmp(&alike(a.1)))
    });
    match best {
        Some((distance, best)) if distance <= 1 + best.len() / 3 => format!("did you mean `{best}`?"),
        _ => format!("there are {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ")),
    }
}
