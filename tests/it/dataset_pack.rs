//! Packed data sets: what comes out is what went in, and what was damaged on the way is refused in a sentence.

use std::fs;
use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sonoplex::evaluate::dataset::Dataset;
use sonoplex::geometry::Size;

use crate::cli::{sonoplex, succeeds, text};
use crate::dataset::{WIDTH, bar, folder, ids, indexed, kaggle, noise, refused, save, says, spec, subjects};

/// Writes it, and reads it again.
fn packed(set: &Dataset, size: Option<Size>, split: Option<&str>, path: &Path) -> Dataset {
    let split = split.map(|text| text.parse().unwrap());
    let (bytes, _) = set.prepare(size, split.as_ref()).unwrap();
    fs::write(path, bytes).unwrap();
    Dataset::open(spec(path)).unwrap()
}

/// Header of a packed file, and where it ends.
fn header(bytes: &[u8]) -> (Value, usize) {
    let end = 16 + u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    (serde_json::from_slice(&bytes[16..end]).unwrap(), end)
}

/// A file with another header and a checksum that fits it.
fn forged(bytes: &[u8], change: impl Fn(&mut Value)) -> Vec<u8> {
    let (mut value, end) = header(bytes);
    change(&mut value);
    let text = serde_json::to_vec(&value).unwrap();
    sealed([&bytes[..12], &(text.len() as u32).to_le_bytes(), &text, &bytes[end..bytes.len() - 32]].concat())
}

fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let sum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

#[track_caller]
fn alike(a: &Dataset, b: &Dataset) {
    assert_eq!((ids(a), subjects(a)), (ids(b), subjects(b)));
    assert_eq!((&a.classes, &a.dropped, &a.notes), (&b.classes, &b.dropped, &b.notes));
    assert_eq!(a.groups(), b.groups());
    for index in 0..a.entries.len() {
        let (one, other) = (a.load(index).unwrap(), b.load(index).unwrap());
        assert_eq!(one.picture.pixels, other.picture.pixels, "{}", a.entries[index].id);
        assert_eq!((one.truth, one.labelled, one.spacing), (other.truth, other.labelled, other.spacing));
        let (one, other) = (&a.entries[index], &b.entries[index]);
        assert_eq!((one.doubt(), one.weight), (other.doubt(), other.weight));
        assert!((1..=a.classes.len()).all(|class| one.may_show(class) == other.may_show(class)));
    }
}

/// Three kinds of data set in one: patients, near-copies that contradict, pictures without a class, a phantom.
fn mixed(path: &Path) -> Dataset {
    let [a, b, c] = ["nerves", "both", "muscle"].map(|name| path.join(name));
    fs::create_dir(&a).unwrap();
    fs::create_dir(&c).unwrap();
    kaggle(&a, &["1_1", "1_2", "2_1", "3_1"], "png");
    save(&a.join("1_2.png"), &noise(1));
    save(&a.join("1_2_mask.png"), &bar(20, 30, 255));
    save(&a.join("3_1.png"), &noise(3));
    save(&a.join("3_1_mask.png"), &bar(3, 9, 255));
    indexed(&b, 3);
    fs::remove_file(b.join("masks/0002.png")).unwrap();
    save(&c.join("m.png"), &noise(800));
    let all = [spec(&a).to_owned(), format!("0.5*{}", b.display()), format!("empty:{}", c.display())];
    let phantom = "2*phantom:seed=1-2,size=96x64,frames=2".to_owned();
    Dataset::open_all(&[&all[..], &[phantom]].concat()).unwrap()
}

#[test]
fn what_is_read_from_a_file_is_what_the_folders_hold() {
    let (_dir, path) = folder();
    let set = mixed(&path);
    assert_eq!(set.entries.len(), 11);
    assert_eq!(set.entries[4].weight, 0.5);
    assert_eq!(set.dropped.len(), 1);
    let read = packed(&set, None, None, &path.join("all.sonopack"));
    alike(&set, &read);
    assert!(read.stored_split().is_none() && !read.has_sides());
    let say = |set: &Dataset, split: &str| {
        let fold = set.split(&split.parse().unwrap()).unwrap().remove(0);
        (ids(&fold.training).join(" "), fold.training.dropped, ids(&fold.validation).join(" "))
    };
    for split in ["2,3", "folds:3,seed=1", "phantom:1"] {
        assert_eq!(say(&set, split), say(&read, split), "{split}");
    }
    // A file of a file is the same again, and so is a part of it in the words of another.
    alike(&read, &packed(&read, None, None, &path.join("again.sonopack")));
    let classes: Vec<_> = set.classes.iter().rev().cloned().collect();
    let keep = |set: &Dataset| set.aligned(&classes).select(|e| !e.id.contains("_1"));
    alike(&keep(&set), &packed(&keep(&set), None, None, &path.join("part.sonopack")));
}

#[test]
fn a_split_stands_in_the_file_with_what_it_drops() {
    let (_dir, path) = folder();
    let set = mixed(&path);
    let read = packed(&set, None, Some("2,3"), &path.join("split.sonopack"));
    let fold = set.split(&"2,3".parse().unwrap()).unwrap().remove(0);
    let (split, stored) = read.stored_split().unwrap();
    assert_eq!(split, "2,3");
    // Beside others it is not known any more which split it was, but that there was one.
    let joined = Dataset::join(vec![(set.clone(), 1.0), (read.clone(), 1.0)]).unwrap();
    assert!(joined.stored_split().is_none() && joined.has_sides());
    alike(&fold.training, &stored.training);
    alike(&fold.validation, &stored.validation);
    let dropped: Vec<&str> = read.dropped.iter().map(|d| d.what.as_str()).collect();
    assert_eq!(dropped[1..], ["nerves/1_1", "nerves/1_2"], "the same picture with masks that contradict");
    for (split, words) in [("folds:2", "2 folds"), ("2", "without `nerves/3`"), ("nobody", "no subject")] {
        says(&set.prepare(None, Some(&split.parse().unwrap())).unwrap_err().to_string(), &[words]);
    }
}

#[test]
fn pictures_are_brought_to_the_size_of_the_network() {
    let (_dir, path) = folder();
    indexed(&path, 2);
    let even: Vec<u8> = (0..32 * 24).map(|i| if i % WIDTH < 16 { 40 } else { 200 }).collect();
    save(&path.join("images/0000.png"), &even);
    // Columns 2 to 7 are the nerve, 10 and 11 the vessel: halved, 1 to 3 and 5.
    let read = packed(&Dataset::open(spec(&path)).unwrap(), Some(Size::new(16, 12)), None, &path.join("p.sonopack"));
    let sample = read.load(0).unwrap();
    assert_eq!((sample.picture.size, sample.truth.size), (Size::new(16, 12), Size::new(16, 12)));
    assert_eq!(sample.truth.labels[..16], [0, 1, 1, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!((sample.picture.pixels[2], sample.picture.pixels[12]), (40, 200));
    // Halved with a triangle of weights 1, 3, 3, 1 over four pixels: 200 weighs one of eight left of the edge.
    assert_eq!(sample.picture.pixels[7], 60);
    assert!(read.notes.iter().all(|n| !n.contains("too small")), "{:?}", read.notes);
    let tiny = packed(&Dataset::open(spec(&path)).unwrap(), Some(Size::new(4, 4)), None, &path.join("t.sonopack"));
    let said = tiny.notes.last().unwrap();
    assert!(said.contains("at 4x4 the class `vessel` is too small to be seen in 2 pictures"), "{said}");
    assert!(!tiny.entries[0].may_show(2) && tiny.entries[0].may_show(1));
    let large = packed(&Dataset::open(spec(&path)).unwrap(), Some(Size::new(64, 48)), None, &path.join("q.sonopack"));
    assert_eq!(large.load(1).unwrap().truth.area(1), 6 * 24 * 4, "enlarged, an edge stays where it is");
    let phantom = Dataset::open("phantom:seed=1,size=96x64,frames=1").unwrap();
    let half = packed(&phantom, Some(Size::new(48, 64)), None, &path.join("r.sonopack"));
    let [of, to] = [phantom, half].map(|set| set.load(0).unwrap().spacing.unwrap());
    assert_eq!((2.0 * of.x_mm, of.y_mm), (to.x_mm, to.y_mm), "millimetres go with the pixels");
}

#[test]
fn a_damaged_file_is_refused_wherever_it_is_damaged() {
    let (_dir, path) = folder();
    kaggle(&path, &["1_1", "2_1"], "png");
    let (bytes, _) = Dataset::open(spec(&path)).unwrap().prepare(None, None).unwrap();
    let file = path.join("p.sonopack");
    let refuse = |bytes: &[u8], words: &[&str]| {
        fs::write(&file, bytes).unwrap();
        refused(spec(&file), &[&["p.sonopack"], words].concat());
    };
    let cuts = [0, 1, 7, 8, 11, 12, 15, 16, 17, 47, 48, 49, bytes.len() / 2, bytes.len() - 33, bytes.len() - 1];
    cuts.iter().for_each(|&cut| refuse(&bytes[..cut], &[]));
    for at in (0..bytes.len()).step_by(7) {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        refuse(&bad, &[]);
    }
    refuse(&[&bytes[..], b"x"].concat(), &["checksum"]);

    // Whole, and nonsense all the same.
    let body = &bytes[..bytes.len() - 32];
    refuse(&sealed([body, b"more"].concat()), &["4 bytes of it belong to no picture"]);
    refuse(&sealed([&bytes[..8], &2u32.to_le_bytes(), &bytes[12..400]].concat()), &["version 2"]);
    refuse(&sealed([&bytes[..12], &u32::MAX.to_le_bytes(), &bytes[16..400]].concat()), &["header leaves"]);
    refuse(&sealed([&bytes[..12], &[0; 4]].concat()), &["header cannot be read"]);
    let deep = "[".repeat(100_000);
    let length = (deep.len() as u32).to_le_bytes();
    refuse(&sealed([&bytes[..12], &length, deep.as_bytes()].concat()), &["header cannot be read"]);
    fn all(v: &Value) -> u64 {
        v["entries"][0]["bytes"].as_array().unwrap().iter().map(|b| b.as_u64().unwrap()).sum::<u64>()
    }
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 13] = [
        (|v| v["entries"][0]["size"]["width"] = 4_000_000_000u32.into(), "4000000000x24 pixels"),
        (|v| v["entries"][0]["size"]["width"] = 0.into(), "0x24 pixels"),
        (|v| v["entries"][0]["size"]["width"] = 31.into(), "not 31x24"),
        (|v| v["entries"][0]["bytes"][0] = u64::MAX.into(), "outside the file"),
        (|v| v["entries"][0]["bytes"][0] = 1.into(), "belong to no picture"),
        (|v| v["entries"][0]["bytes"] = serde_json::json!([1, all(v) - 1]), "not 32x24"),
        (|v| v["entries"][1]["id"] = "1_1".into(), "two pictures are called `1_1`"),
        (|v| v["entries"][0]["labelled"] = Value::Array(Vec::new()), "labels 0 of 1 classes"),
        (|v| v["entries"][0]["weight"] = (-1).into(), "weight or spacing"),
        (|v| v["entries"][0]["spacing"] = serde_json::json!({"x_mm": 0.0, "y_mm": 1.0}), "weight or spacing"),
        (|v| v["entries"] = Value::Array(Vec::new()), "belong to no picture"),
        (|v| v["classes"] = v["classes"][0].clone().as_array().cloned().unwrap_or_default().into(), "labels 1 of 0"),
        (|v| v["entries"][0]["role"] = "judge".into(), "header cannot be read"),
    ];
    for (change, word) in changes {
        refuse(&forged(&bytes, change), &[word]);
    }
    let none = forged(&bytes[..bytes.len()], |v| v["entries"] = Value::Array(Vec::new()));
    let none = sealed(none[..header(&none).1].to_vec());
    fs::write(&file, none).unwrap();
    says(&Dataset::open(spec(&file)).unwrap().check().unwrap_err().to_string(), &["p.sonopack", "no picture"]);
    fs::write(&file, forged(&bytes, |v| v["notes"] = serde_json::json!(["said"]))).unwrap();
    assert_eq!(Dataset::open(spec(&file)).unwrap().notes, ["said"], "the forger's own hand is right");
}

/// The checksum does not guard against one who writes it: whatever else a file says is a data set or one sentence.
#[test]
fn no_header_and_no_stream_brings_the_reader_down() {
    let (_dir, path) = folder();
    kaggle(&path, &["1_1", "2_1"], "png");
    let (bytes, _) = Dataset::open(spec(&path)).unwrap().prepare(None, None).unwrap();
    let (_, end) = header(&bytes);
    let file = path.join("p.sonopack");
    let mut refused = 0;
    for round in 0..600u64 {
        let random = noise(round + 1);
        let mut body = bytes[..bytes.len() - 32].to_vec();
        // Half of them in the header, where digits become other digits, and half in the streams.
        let within = if round % 2 == 0 { 16..end } else { end..body.len() };
        for pair in random.chunks_exact(3).take(1 + round as usize % 4) {
            let at = within.start + (usize::from(pair[0]) << 8 | usize::from(pair[1])) % within.len();
            body[at] = if body[at].is_ascii_digit() { b'0' + pair[2] % 10 } else { pair[2] };
        }
        fs::write(&file, sealed(body)).unwrap();
        match Dataset::open(spec(&file)) {
            Ok(set) => (0..set.entries.len()).for_each(|i| drop(set.load(i).unwrap())),
            Err(error) => {
                refused += 1;
                says(&error.to_string(), &["p.sonopack"]);
            }
        }
    }
    assert!((200..600).contains(&refused), "{refused} of 600 were refused");
}

#[test]
fn prepare_says_what_it_packed_and_what_it_dropped() {
    let (dir, path) = folder();
    indexed(&path, 7);
    save(&path.join("images/0005.png"), &noise(50));
    fs::remove_file(path.join("masks/0003.png")).unwrap();
    let (out, again) = (dir.path().join("p.sonopack"), dir.path().join("q.sonopack"));
    let args = ["prepare", spec(&path), "--validate", "every:6", "--size", "16x16", "--out"];
    let said = succeeds(&[&args[..], &[spec(&out)]].concat());
    for words in
        ["5 pictures of 5 subjects", "nerve: in 5", "every:6: 3 to train on, 2 to judge by", "0003.png", "no mask"]
    {
        assert!(said.contains(words), "`{words}`: {said}");
    }
    assert!(said.contains("dropped 0005: `0000` and `0005` are near-copies"), "{said}");
    let read = Dataset::open(spec(&out)).unwrap();
    assert_eq!(read.dropped.len(), 2);
    succeeds(&[&args[..], &[spec(&again)]].concat());
    assert_eq!(fs::read(&out).unwrap(), fs::read(&again).unwrap(), "the same bytes again");

    let fails = |args: &[&str], words: &[&str]| {
        let run = sonoplex(args);
        assert!(!run.status.success());
        let said = text(&run.stderr);
        assert!(words.iter().all(|w| said.contains(w)) && !said.contains("panicked"), "{args:?}: {said}");
    };
    let before = fs::read(&out).unwrap();
    fails(&["prepare", spec(&path), "--out", spec(&path.join("p.sonopack"))], &["lies in", "another place"]);
    fails(&["prepare", spec(&path), "--out", spec(&dir.path().join("no/p"))], &["folder does not exist"]);
    fails(&["prepare", "absent", "--out", spec(&out)], &["absent"]);
    fails(&["prepare", spec(&path), "--out", "-"], &["standard output", "name of a file"]);
    fails(&["prepare", spec(&path), "--validate", "0009", "--out", spec(&out)], &["no subject `0009`"]);
    fails(&["prepare", spec(&path), "--validate", "every:0", "--out", spec(&out)], &["every:N"]);
    fails(&["prepare", spec(&path), "--size", "100000x100000", "--out", spec(&out)], &["100000x100000", "4096x4096"]);
    fails(&["prepare", "phantom:nerve=off,frames=1,size=64x64", "--out", spec(&out)], &["`nerve`"]);
    fails(&["prepare", spec(&out), "--out", spec(&out)], &["input"]);
    assert_eq!(fs::read(&out).unwrap(), before, "a run that fails leaves the file that was there");
}
