//! What every field of a report means: the text of `sonoplex evaluate --explain`, and `definitions` of the JSON.

use std::collections::BTreeMap;

use super::measures::Measure;

/// Fields but the measures; `*` in a path stands for any name.
const FIELDS: &[(&str, &str)] = &[
    ("sonoplex", "version of the program that wrote the report"),
    ("date", "when it was written, by the clock of the system, in UTC"),
    ("seconds", "time that judging all frames took: reading, segmenting and measuring"),
    ("model", "what was judged, and how it was run"),
    ("model.name", "its own word for itself, or the name of its file"),
    ("model.file", "the file as it was given"),
    ("model.sha256", "SHA-256 of the model's file, hexadecimal"),
    ("model.plan_sha256", "SHA-256 of the plan: network, precision and the tactic of every step"),
    ("model.precision", "how far the factors of convolutions may be rounded"),
    ("model.device", "the CPU path or the GPU and driver that computed the network"),
    (
        "model.input",
        "width and height of the picture that the network takes; masks are judged at the size of the frame",
    ),
    ("model.despeckle", "speckle filter before the network"),
    ("model.crop", "how the picture was cut out of the frame"),
    (
        "model.calibrated",
        "whether a presence output of the model is behind the confidence; if not, it is a score and no probability",
    ),
    (
        "model.given_threshold",
        "threshold that was given for all classes instead of the model's own; null where none was",
    ),
    ("model.thresholds", "what decides about each class, as it was used"),
    ("model.thresholds.*", "what decides about this class"),
    ("model.thresholds.*.threshold", "probability from which a pixel belongs to the class"),
    ("model.thresholds.*.min_area", "smallest region that stays in the mask, as a part of the picture"),
    ("model.thresholds.*.absent", "confidence below which the decision is `no_nerve`, and nothing is drawn"),
    ("model.thresholds.*.present", "confidence from which the decision is `nerve`"),
    ("model.license", "licence of the weights, where the model tells it"),
    ("model.attribution", "whom to name, where the model tells it"),
    ("model.notes", "what was read and what was assumed of the model"),
    ("dataset", "what it was judged on"),
    ("dataset.name", "data sets and subjects as they were given"),
    ("dataset.frames", "frames that were judged"),
    ("dataset.subjects", "subjects that they are of: patients where known, else groups of near-duplicates"),
    ("dataset.skipped", "frames that could not be read, and are in no number"),
    ("dataset.skipped[].what", "name of the frame"),
    ("dataset.skipped[].why", "what was wrong with it"),
    ("dataset.dropped", "what the data set itself leaves out"),
    ("dataset.dropped[].what", "a picture or a file"),
    ("dataset.dropped[].why", "why it is left out"),
    ("dataset.notes", "what was assumed of the data set, and which classes are left out"),
    (
        "tuned",
        "null: thresholds are those of the model; else they were chosen on the subjects named here, and all else is on others",
    ),
    ("tuned.subjects", "subjects that settings were chosen on; none of them is in any other number"),
    ("tuned.frames", "frames of these subjects"),
    ("tuned.classes", "what was chosen"),
    ("tuned.classes[].class", "name of the class"),
    ("tuned.classes[].chosen", "the setting of the highest mean Dice on the tuning frames"),
    ("tuned.classes[].chosen.threshold", "probability from which a pixel belongs to the class"),
    ("tuned.classes[].chosen.min_area", "smallest region, as a part of the picture"),
    ("tuned.classes[].shipped", "the setting of the model"),
    ("tuned.classes[].shipped.threshold", "probability from which a pixel belongs to the class"),
    ("tuned.classes[].shipped.min_area", "smallest region, as a part of the picture"),
    (
        "tuned.classes[].dice_mean_tuning",
        "mean Dice of the tuning frames with the chosen setting: too high, since it was chosen there",
    ),
    ("tuned.classes[].shipped_dice_mean_tuning", "the same with the setting of the model"),
    (
        "tuned.classes[].shipped_dice_mean",
        "mean Dice of the judged frames with the setting of the model, beside classes.*.dice_mean",
    ),
    ("classes", "classes that both model and data set have"),
    ("classes.*", "this class over all frames that label it"),
    ("classes.*.frames", "how many frames there are of each kind"),
    ("classes.*.frames.all", "frames that label the class"),
    ("classes.*.frames.with_class", "those whose truth has it"),
    ("classes.*.frames.without_class", "those whose truth has it not"),
    ("classes.*.frames.surfaces_compared", "frames with the class in mask and truth: those of hd95 and msd"),
    ("classes.*.frames.mask_empty_truth_not", "frames where it was missed altogether: in no surface distance"),
    ("classes.*.frames.truth_empty_mask_not", "frames where it was found and is not: in no surface distance"),
    ("classes.*.frames.both_empty", "frames without it in mask and truth: their Dice and IoU are 1"),
    ("classes.*.presence", "whether it is there at all, as `presence` has it for the first class"),
    ("classes.*.curve", "what other thresholds would have made of the same frames"),
    ("classes.*.curve.note", "why none of these may be reported as the model's own"),
    ("classes.*.curve.points", "by rising threshold, with the smallest region and the decisions as shipped"),
    ("classes.*.curve.points[].threshold", "probability from which a pixel belongs to the class"),
    ("classes.*.curve.points[].shipped", "whether it is that of the model, or of --threshold"),
    ("classes.*.curve.points[].dice_mean", "as classes.*.dice_mean"),
    ("classes.*.curve.points[].precision", "as classes.*.precision; null where nothing is found"),
    ("classes.*.curve.points[].recall", "as classes.*.recall; null where no frame has the class"),
    ("classes.*.curve.points[].fpr_pixels", "as presence.fpr_pixels; null where every frame has the class"),
    ("presence", "whether the first class is there at all; a frame has a class where its truth has a pixel of it"),
    ("subjects", "each subject alone, all measures over its frames"),
    ("subjects.*", "one entry for each subject"),
    ("subjects.*.frames", "its frames"),
    ("subjects.*.dice_mean", "that of the first of its classes"),
    ("subjects.*.classes", "each class by all measures, as classes.* and presence have them"),
    ("subjects.*.classes.*", "one entry for each class"),
    ("reference", "what the numbers stand beside"),
    ("reference.all_empty", "a predictor that answers nothing on the same frames, by the same measures"),
    ("reference.all_empty.classes", "its measures by class"),
    ("reference.all_empty.classes.*", "one entry for each class"),
    ("reference.all_empty.presence", "its measures of the first class"),
    ("reference.experts_dice", "Dice with which experts agree with each other on nerves"),
    ("reference.experts_source", "where that number is from"),
    ("frames", "every frame"),
    ("frames[].id", "name of the frame"),
    ("frames[].subject", "the subject that it is of"),
    ("frames[].width", "columns, in pixels"),
    ("frames[].height", "rows, in pixels"),
    ("frames[].dice", "that of the first of its classes"),
    ("frames[].classes", "each class that is labelled in it"),
    ("frames[].classes.*", "one entry for each class"),
    ("frames[].classes.*.dice", "2|X∩Y| / (|X|+|Y|), 1 where both are empty"),
    ("frames[].classes.*.iou", "TP / (TP+FP+FN), 1 where both are empty"),
    ("frames[].classes.*.truth_px", "pixels of the class in the truth"),
    ("frames[].classes.*.mask_px", "pixels of the class in the mask"),
    ("frames[].classes.*.both_px", "pixels of the class in both"),
    (
        "frames[].classes.*.hd95_px",
        "the greater 95th percentile of the distances between the surfaces, in pixels; null where one is empty",
    ),
    ("frames[].classes.*.hd95_mm", "the same in millimetres; null where the spacing is unknown too"),
    (
        "frames[].classes.*.msd_px",
        "mean distance of the pixels of both surfaces to the other one, in pixels; null where one is empty",
    ),
    ("frames[].classes.*.msd_mm", "the same in millimetres; null where the spacing is unknown too"),
    (
        "frames[].classes.*.state",
        "`nerve`, `uncertain` or `no_nerve`: the shipped decision, of every class in these words",
    ),
    (
        "frames[].classes.*.confidence",
        "0 to 1: the presence output or the mean of the highest probabilities, whichever is less",
    ),
    ("definitions", "what every field means"),
    ("definitions.*", "one sentence"),
];

/// Fields of whoever has measures of presence.
const PRESENCE: &[(&str, &str)] = &[
    ("class", "name of the class"),
    ("confidence", "what the confidence is"),
    ("roc", "the corners of the ROC curve; empty where every frame has the class, or none"),
    ("roc[].confidence", "confidence from which frames are called present; null where none is"),
    ("roc[].fpr", "of the frames without the class, the part that is called present"),
    ("roc[].tpr", "of the frames with the class, the part that is called present"),
    ("bins", "the 15 bins of equal width of the reliability diagram"),
    ("bins[].frames", "frames whose confidence lies in the bin"),
    ("bins[].confidence", "their mean confidence; 0 where there are none"),
    ("bins[].present", "the part of them that has the class; 0 where there are none"),
];

/// Every field with its meaning, in the order of the report.
pub fn fields() -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (path, meaning) in FIELDS {
        all.push((path.to_string(), meaning.to_string()));
        match *path {
            "classes.*" => measures(&mut all, path, Measure::PIXELS, true),
            "presence" | "classes.*.presence" => {
                all.extend(PRESENCE.iter().map(|(p, m)| (format!("{path}.{p}"), m.to_string())));
                measures(&mut all, path, Measure::PRESENCE, true);
            }
            "subjects.*.classes.*" | "reference.all_empty.classes.*" | "reference.all_empty.presence" => {
                measures(&mut all, path, &Measure::ALL, false);
            }
            _ => {}
        }
    }
    all
}

/// The same by path.
pub fn definitions() -> BTreeMap<String, String> {
    fields().into_iter().collect()
}

fn measures(all: &mut Vec<(String, String)>, path: &str, list: &[Measure], intervals: bool) {
    let mut add = |name: &str, meaning: &str| all.push((format!("{path}.{name}"), meaning.to_owned()));
    list.iter().for_each(|m| add(m.name(), m.meaning()));
    add("why", "why a number is null; absent where none is");
    list.iter().for_each(|m| add(&format!("why.{}", m.name()), m.absent()));
    if intervals {
        add("ci95", "95 % intervals: 2.5th and 97.5th percentile over 2,000 drawings of the subjects, with repetition");
        list.iter().for_each(|m| add(&format!("ci95.{}", m.name()), "lower and upper end; null where there is none"));
        add("ci95.why", "why there is no interval; absent where there are some");
    }
}
