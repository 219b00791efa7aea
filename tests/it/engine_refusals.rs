//! Bad models: each one clear sentence, no panic, nothing large allocated.

use std::path::Path;

use sonoplex::engine::onnx::{AttributeProto, StringStringEntryProto, TensorProto, data_type};
use sonoplex::engine::{Builder, BuilderConfig, Network, NetworkError};

use crate::engine_networks::{Up, unet};
use crate::onnx_writer::{Set, Writer};

/// One convolution, and what makes it wrong.
fn broken(change: impl FnOnce(&mut Writer)) -> String {
    let mut w = Writer::new(13);
    let x = w.input("image", &[1, 2, 8, 8]);
    let y = w.conv(&x, 2, 4, 3);
    w.output(&y);
    change(&mut w);
    refusal(&w.bytes())
}

fn refusal(bytes: &[u8]) -> String {
    match Network::from_onnx(bytes) {
        Err(e) => e.to_string(),
        Ok(network) => Builder::default().build(&network).expect_err("it is broken").to_string(),
    }
}

fn says(text: &str, words: &[&str]) {
    assert!(words.iter().all(|w| text.contains(w)) && !text.contains('\n'), "{text}");
}

#[test]
fn a_cycle_is_named() {
    let text = broken(|w| {
        let a = w.node("Add", &["t0", "t2"], &[]);
        let b = w.node("Relu", &[&a], &[]);
        w.output(&b);
    });
    says(&text, &["circle", "`add_1` → `relu_2` → `add_1`"]);
}

#[test]
fn an_unknown_operator_is_named_with_what_would_help() {
    let with = |operator: &str, domain: &str| {
        broken(|w| {
            let y = w.node(operator, &["t0"], &[]);
            w.graph().node[1].domain = domain.to_owned();
            w.output(&y);
        })
    };
    says(&with("LSTM", ""), &["`lstm_1`", "`LSTM`", "docs/operators.md"]);
    says(&with("Loop", ""), &["`loop_1`", "tracing"]);
    says(&with("QLinearConv", ""), &["`qlinearconv_1`", "scale is missing"]);
    says(&with("Fast", "com.example"), &["`com.example.Fast`", "standard operators"]);
}

#[test]
fn empty_cut_and_foreign_files_are_refused() {
    says(&refusal(b""), &["empty"]);
    says(&refusal(b"\x89PNG\r\n\x1a\nand so on"), &["expected an ONNX model"]);
    let bytes = unet([1, 1, 16, 16], Up::Transpose, true, false, "").bytes();
    for length in (1..bytes.len()).step_by(bytes.len() / 60) {
        refusal(&bytes[..length]);
    }
    // Flipped bytes may leave a sound model; none may panic.
    for at in (0..bytes.len()).step_by(23) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x11;
        if let Ok(network) = Network::from_onnx(&flipped) {
            let _ = Builder::default().build(&network);
        }
    }
    let missing = Network::open(Path::new("no/such/model.onnx")).expect_err("it is not there");
    assert!(matches!(missing, NetworkError::Io { .. }) && missing.to_string().contains("no/such/model.onnx"));
}

#[test]
fn tensors_that_lie_about_their_size_are_refused_before_anything_is_allocated() {
    let weight = |dims: &[i64]| broken(|w| w.graph().initializer[0].dims = dims.to_vec());
    says(&weight(&[4, 2, 3, 4]), &["`c0`", "says 96 elements", "holds 72"]);
    says(&weight(&[1 << 40, 1 << 40, 3, 3]), &["`c0`", "limit"]);
    says(&weight(&[1 << 20, 1 << 20]), &["`c0`", "limit"]);
    says(&weight(&[-4, 2, 3, 3]), &["-4 is negative"]);
    let raw = broken(|w| {
        let tensor = &mut w.graph().initializer[0];
        tensor.float_data.clear();
        tensor.raw_data = vec![0; 287];
    });
    says(&raw, &["72 elements of 4 bytes", "287 bytes"]);
    says(&broken(|w| w.graph().initializer[0].data_type = 8), &["data type 8"]);
    let shape = broken(|w| {
        let dims = w.ints(&[1 << 30, 1 << 30]);
        let y = w.node("ConstantOfShape", &[&dims], &[]);
        let y = w.node("Add", &["t0", &y], &[]);
        w.output(&y);
    });
    says(&shape, &["`constantofshape_1`", "limit"]);
    let large = broken(|w| {
        let scales = w.floats(&[4], vec![1.0, 1.0, 1e5, 1e5]);
        let y = w.node("Resize", &["t0", "", &scales], &[]);
        w.output(&y);
    });
    says(&large, &["`resize_1`"]);
}

#[test]
fn nodes_that_contradict_their_inputs_are_named() {
    says(&broken(|w| w.graph().input[0].name = "other".to_owned()), &["`conv_0`", "`image`", "nothing produces"]);
    let channels = broken(|w| w.graph().initializer[0].dims = vec![4, 1, 6, 3]);
    says(&channels, &["`conv_0` (Conv)", "[4, 1, 6, 3]"]);
    says(&broken(|w| w.graph().initializer[1].float_data.push(1.0)), &["`c1`", "says 4 elements, the file holds 5"]);
    says(&broken(|w| w.graph().node[0].attribute[1].ints = vec![1, -1, 1, 1]), &["`conv_0`", "pads"]);
    let strides = AttributeProto { name: "strides".to_owned(), r#type: 2, i: 2, ..Default::default() };
    says(&broken(|w| w.graph().node[0].attribute.push(strides)), &["`strides`", "list of integers", "the integer 2"]);
    let joined = broken(|w| {
        let y = w.max_pool("t0");
        let y = w.node("Concat", &["t0", &y], &[("axis", Set::Int(1))]);
        w.output(&y);
    });
    says(&joined, &["`concat_2`", "[1, 4, 8, 8]", "[1, 4, 4, 4]"]);
    says(&broken(|w| w.model.opset_import.clear()), &["opset"]);
    says(&broken(|w| w.graph().output[0].name = "nowhere".to_owned()), &["`nowhere`"]);
    let twice = broken(|w| {
        w.node("Relu", &["t0"], &[]);
        w.graph().node[1].output[0] = "t0".to_owned();
    });
    says(&twice, &["`relu_1`", "`t0`", "exists already"]);
}

#[test]
fn open_and_wrong_input_shapes_say_what_to_give() {
    let network = Network::from_onnx(&unet([1, 1, 0, 0], Up::Transpose, false, false, "").bytes()).expect("sound");
    let with = |name: &str, shape: &[usize]| {
        let inputs = [(name.to_owned(), shape.to_vec())].into();
        Builder::new(BuilderConfig { inputs, ..Default::default() }).build(&network).map_err(|e| e.to_string())
    };
    let said = Builder::default().build(&network).expect_err("open").to_string();
    says(&said, &["[1, 1, size, size]", "--input image=1x1x256x256"]);
    says(&with("image", &[1, 2, 16, 16]).expect_err("two channels"), &["[1, 2, 16, 16]", "[1, 1, size, size]"]);
    says(&with("picture", &[1, 1, 16, 16]).expect_err("no such input"), &["`picture`", "`image`"]);
    says(&with("image", &[1, 1, 1 << 20, 1 << 20]).expect_err("huge"), &["limit"]);
    // Skip connections of another size than the way up: named, not computed wrongly.
    says(&with("image", &[1, 1, 18, 18]).expect_err("odd on the second level"), &["Concat"]);
    assert!(with("image", &[1, 1, 16, 16]).is_ok());
}

#[test]
fn weights_beside_the_file_are_read_from_its_folder_alone() {
    let folder = tempfile::tempdir().expect("there is a temporary folder");
    let inside = folder.path().join("model");
    std::fs::create_dir(&inside).expect("the folder is ours");
    let bytes: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
    std::fs::write(inside.join("weights.bin"), &bytes).expect("the folder is ours");
    std::fs::write(folder.path().join("secret.bin"), &bytes).expect("the folder is ours");
    #[cfg(unix)]
    std::os::unix::fs::symlink(folder.path().join("secret.bin"), inside.join("link.bin")).expect("the folder is ours");
    let open = |location: &str, offset: u64, length: u64| {
        let mut w = Writer::new(13);
        let x = w.input("image", &[1, 4]);
        let entry = |key: &str, value: String| StringStringEntryProto { key: key.to_owned(), value };
        w.graph().initializer.push(TensorProto {
            name: "w".to_owned(),
            dims: vec![1, 4],
            data_type: data_type::FLOAT,
            data_location: 1,
            external_data: vec![
                entry("location", location.to_owned()),
                entry("offset", offset.to_string()),
                entry("length", length.to_string()),
            ],
            ..Default::default()
        });
        let y = w.node("Add", &[&x, "w"], &[]);
        w.output(&y);
        let path = inside.join("model.onnx");
        std::fs::write(&path, w.bytes()).expect("the folder is ours");
        assert!(Network::from_onnx(&w.bytes()).expect_err("it has no folder").to_string().contains("another file"));
        Network::open(&path).map_err(|e| e.to_string())
    };
    let network = open("weights.bin", 16, 16).expect("it lies beside the model");
    assert_eq!(network.constants["w"].to_floats(), [4.0, 5.0, 6.0, 7.0]);
    says(&open("../secret.bin", 0, 16).expect_err("outside"), &["outside the folder"]);
    says(&open("/etc/hostname", 0, 16).expect_err("outside"), &["outside the folder"]);
    #[cfg(unix)]
    says(&open("link.bin", 0, 16).expect_err("a link out"), &["leaves the folder"]);
    says(&open("weights.bin", 24, 16).expect_err("too far"), &["which has 32"]);
    says(&open("weights.bin", 0, 32).expect_err("too much"), &["says 4 elements"]);
    says(&open("missing.bin", 0, 16).expect_err("missing"), &["cannot be read"]);
}

#[test]
fn places_that_are_not_in_their_tensor_are_named() {
    let with = |operator: &str, shape: &[usize], places: &[i64], reduction: &str| {
        broken(|w| {
            let places = w.bytes_of(shape, places);
            let settings: &[(&str, Set)] =
                if reduction.is_empty() { &[] } else { &[("reduction", Set::Text(reduction))] };
            let updates = w.floats(&[2], vec![1.0; 2]);
            let y = w.node(operator, &["t0", &places, &updates], settings);
            w.output(&y);
        })
    };
    says(&with("Gather", &[1], &[4], ""), &["`gather_1`", "index 4", "an axis of 1"]);
    says(&with("GatherND", &[1, 2], &[0, -5], ""), &["index -5", "an axis of 4"]);
    says(&with("GatherND", &[1, 5], &[0; 5], ""), &["indices have the shape [1, 5]"]);
    says(&with("GatherElements", &[1, 4, 8, 9], &[0; 288], ""), &["indices have the shape [1, 4, 8, 9]"]);
    says(&with("ScatterND", &[2, 4], &[0; 8], "max"), &["`max`"]);
    says(&with("ScatterND", &[3, 4], &[0; 12], ""), &["updates have the shape [2], expected [3]"]);
    says(&with("ScatterND", &[0], &[], ""), &["indices have the shape [0]"]);
    says(&with("GatherND", &[0, 1 << 62, 8], &[], ""), &["[0, 4611686018427387904, 8]", "the limit of one tensor"]);
    let varied = broken(|w| {
        let y = w.node("GatherND", &["t0", "image"], &[]);
        w.output(&y);
    });
    says(&varied, &["depends on the input", "constant"]);
}
