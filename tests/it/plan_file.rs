//! Plans in files: mapped while they are loaded, refused where anything but the plan stands there.

use std::path::Path;

use sha2::{Digest, Sha256};
use sonoplex::engine::{Builder, Engine, EngineError, Network, Plan, PlanError};

use crate::engine_networks::{Up, residual, unet, variety};
use crate::onnx_writer::Writer;

fn plan(writer: &Writer) -> Plan {
    let network = Network::from_onnx(&writer.bytes()).expect("the writer writes sound files");
    Builder::default().build(&network).expect("all of it is supported").of_model("u.onnx")
}

fn small() -> Plan {
    plan(&unet([1, 1, 16, 24], Up::Transpose, true, false, "Sigmoid"))
}

fn run(engine: &Engine) -> Vec<Vec<f32>> {
    let mut context = engine.context();
    for input in engine.inputs() {
        let data = Writer::new(13).randoms(input.shape.iter().product());
        context.bind(&input.name, &input.shape, &data).expect("its own shape");
    }
    context.enqueue().expect("the CPU never refuses");
    context.synchronize().expect("the CPU never fails");
    engine.outputs().iter().map(|o| context.output(&o.name).expect("its output").to_vec()).collect()
}

/// Whether this process maps the file; where nothing tells, what is expected.
fn is_mapped(file: &Path, expected: bool) -> bool {
    match std::fs::read_to_string("/proc/self/maps") {
        Ok(maps) => maps.contains(file.to_str().expect("UTF-8")),
        Err(_) => expected,
    }
}

/// The files' times move in steps of some milliseconds; what changes a file is later than what wrote it.
fn later() {
    std::thread::sleep(std::time::Duration::from_millis(30));
}

#[test]
fn a_file_is_mapped_until_an_engine_has_its_weights() {
    let dir = tempfile::tempdir().expect("a folder");
    let networks = [unet([1, 1, 16, 24], Up::Linear, true, true, "Softmax"), residual(2), variety(2)];
    for (i, network) in networks.iter().enumerate() {
        let file = dir.path().join(format!("{i}.plan"));
        let built = plan(network);
        std::fs::write(&file, built.to_bytes()).expect("a file");
        let read = Plan::open(&file).expect("it is whole");
        assert!(is_mapped(&file, true), "its weights lie in the file");
        assert_eq!((read.sha256(), read.to_bytes()), (built.sha256(), built.to_bytes()));
        let copy = read.clone();
        let engine = Engine::new(read).expect("a plan of this machine");
        drop(copy);
        assert!(!is_mapped(&file, false), "an engine needs no file");
        std::fs::remove_file(&file).expect("a file");
        assert_eq!(run(&engine), run(&Engine::new(built).expect("a plan of this machine")), "the same bits");
    }
}

#[test]
fn a_file_that_is_changed_or_cut_anywhere_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a.plan");
    let bytes = small().to_bytes();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes")) as usize;
    let (header, end) = (28 + number(12), bytes.len() - 32);
    let sha = header + number(20);
    let weights = sha + 32;
    assert_eq!((weights % 64, bytes[header - 1]), (0, b' '), "spaces move the weights to a multiple of 64 bytes");
    // The first, a middle and the last byte of: what it is, version, lengths, origin, spaces, header, hashes, weights.
    let bounds = [0, 8, 12, 20, 28, header - 1, header, sha, weights, end, bytes.len()];
    let mut places: Vec<usize> =
        bounds.windows(2).flat_map(|w| [w[0], usize::midpoint(w[0], w[1]), w[1] - 1]).collect();
    places.dedup();
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).expect("a file");
        let Err(PlanError::Refused { path, fault, command }) = Plan::open(&file) else { panic!("it is refused") };
        assert_eq!(Plan::from_bytes(bytes).expect_err("it is refused"), fault, "as its bytes alone are");
        assert_eq!(path, file);
        assert!(command.starts_with("sonoplex build ") && command.ends_with(file.to_str().expect("UTF-8")));
        command
    };
    for &at in &places {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            let command = refused(&flipped);
            assert_eq!(command.contains(" u.onnx "), at >= weights, "what is whole of it is believed: {at}, {command}");
        }
    }
    for length in places.iter().copied().chain([4, bytes.len() - 4, bytes.len() - 64]) {
        refused(&bytes[..length]);
    }
    refused(&[&bytes[..], &[0]].concat());
    refused(&[&bytes[..], &[0; 64]].concat());
    refused(b"another program's file, of some length, that begins as it likes, and has nothing of a plan in it");
    assert!(!is_mapped(&file, false), "what is refused is let go");
}

/// Weights that do not begin where floats may lie, in a file that is sound otherwise.
#[test]
fn weights_in_the_wrong_place_are_refused() {
    let bytes = small().to_bytes();
    let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let (header, length) = (28 + number(12) as usize, number(20) as usize);
    let mut moved = bytes[..header].to_vec();
    moved.push(b' ');
    moved[12..20].copy_from_slice(&(number(12) + 1).to_le_bytes());
    moved.extend_from_slice(&bytes[header..header + length]);
    let sha = Sha256::digest(&moved);
    moved.extend_from_slice(&sha);
    moved.extend_from_slice(&bytes[header + length + 32..]);
    let said = Plan::from_bytes(&moved).expect_err("it is one byte off").to_string();
    assert!(said.contains("its weights are not where its header says"), "{said}");
}

#[test]
fn what_is_no_file_is_refused_and_never_waited_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let said = |path: &Path| {
        assert!(!Plan::is_plan(path));
        let error = Plan::open(path).expect_err("it is no plan");
        assert!(error.to_string().contains(&format!("`{}`", path.display())), "{error}");
        error.to_string()
    };
    assert!(said(dir.path()).contains("it is not a regular file"));
    let empty = dir.path().join("empty.plan");
    std::fs::write(&empty, "").expect("a file");
    assert!(said(&empty).contains(&format!("build it again: `sonoplex build MODEL.onnx -o {}`", empty.display())));
    assert!(said(&dir.path().join("absent.plan")).contains("cannot read the plan"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;

        let pipe = dir.path().join("pipe.plan");
        match std::process::Command::new("mkfifo").arg(&pipe).status() {
            // Nobody ever writes to it: who opened it would wait forever.
            Ok(status) if status.success() => assert!(said(&pipe).contains("it is not a regular file")),
            _ => println!("skipped: no mkfifo"),
        }
        let secret = dir.path().join("secret.plan");
        std::fs::write(&secret, small().to_bytes()).expect("a file");
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).expect("its own file");
        match std::fs::File::open(&secret) {
            Ok(_) => println!("skipped: this user may read everything"),
            Err(_) => assert!(said(&secret).contains("cannot read the plan")),
        }
    }
}

#[test]
fn a_file_that_changes_while_it_is_loaded_makes_no_engine() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("a.plan");
    let bytes = small().to_bytes();
    let opened = || {
        std::fs::write(&file, &bytes).expect("a file");
        later();
        let plan = Plan::open(&file).expect("it is whole");
        (plan.command(), plan)
    };
    // Written in place: other numbers than those that were checked.
    let (command, plan) = opened();
    let mut other = bytes.clone();
    let at = other.len() - 40;
    other[at] ^= 1;
    std::fs::write(&file, &other).expect("a file");
    assert_eq!(Engine::new(plan).expect_err("it was changed"), EngineError::Changed { command });
    // Cut off: whoever read the rest of it would be ended by the system.
    let (command, plan) = opened();
    std::fs::write(&file, &bytes[..100]).expect("a file");
    let error = Engine::new(plan).expect_err("it was changed");
    assert!(
        error.to_string().contains("its file was changed while it was loaded") && error.to_string().contains(&command)
    );
    // Replaced, as `build` does it: the old file is whole until nobody needs it.
    let (_, plan) = opened();
    sonoplex::write::whole(&file, b"another").expect("a file");
    let engine = Engine::new(plan).expect("the plan that was opened");
    assert_eq!(run(&engine), run(&Engine::new(small()).expect("a plan of this machine")));
}
