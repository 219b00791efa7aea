//! The committed PTX: as new as its sources, with every kernel that is launched, and without spills.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sonoplex::backend::cpu::activation::Activation;
use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::backend::cpu::elementwise::Arithmetic;
use sonoplex::backend::cpu::layout::Grid;
use sonoplex::backend::cpu::mask::Meaning;
use sonoplex::backend::cpu::normalize::Normalize;
use sonoplex::backend::cpu::resize_tensor::{Coordinates, Interpolation, ResizeShape, ResizeTensor};
use sonoplex::backend::cpu::{ConvShape, Filter, PoolShape, Resampler};
use sonoplex::backend::cuda::conv::depthwise::ConvDepthwise;
use sonoplex::backend::cuda::conv::first::ConvFirst;
use sonoplex::backend::cuda::conv::int8::{Codes, ConvInt8, Kept};
use sonoplex::backend::cuda::conv::{Conv, Halves, head};
use sonoplex::backend::cuda::despeckle::{launches, scratch_bytes};
use sonoplex::backend::cuda::elementwise::{self, Operand};
use sonoplex::backend::cuda::launch::{Arg, Launch, Region};
use sonoplex::backend::cuda::module::MODULES;
use sonoplex::backend::cuda::normalize::Groups;
use sonoplex::backend::cuda::{components, crop, layout, mask, max_pool, reduce, resize, resize_tensor};
use sonoplex::geometry::Size;

use super::kernels_cuda::{filters, formats};
use super::kernels_cuda_conv::shape;
use super::kernels_cuda_floats::cases;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

#[test]
fn the_ptx_is_made_of_these_sources() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(root().join("kernels"))
        .expect("a folder")
        .map(|entry| entry.expect("a file").path())
        .filter(|path| path.extension().is_some_and(|e| e == "cu" || e == "cuh"))
        .chain(["kernels/requirements.txt", "tools/kernels.py"].map(|name| root().join(name)))
        .collect();
    let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).expect("a name").to_owned();
    files.sort_by_key(|path| name(path));
    let mut sha = Sha256::new();
    for path in files {
        let data = std::fs::read(&path).expect("a source");
        sha.update(format!("{} {}\n", name(&path), data.len()));
        sha.update(data);
    }
    let found: String = sha.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(read("kernels/ptx/sources.sha256").trim(), found, "sources have changed: run `make kernels`");
}

/// How many parameters each kernel of a module has.
fn parameters(ptx: &str) -> BTreeMap<&str, usize> {
    let entries = ptx.split(".entry ").skip(1);
    entries
        .map(|part| {
            let (name, rest) = part.split_once('(').expect("a list of parameters");
            (name.trim(), rest.split(')').next().expect("its end").matches(".param").count())
        })
        .collect()
}

/// Every kernel with what a launcher gives it.
fn launched() -> Vec<Launch> {
    let size = Size::new(64, 48);
    let area = size.area() as u64;
    let region = |bytes| Region { offset: 0, bytes };
    let of =
        |filter: &Despeckle| launches(filter, size, region(area), region(area), region(scratch_bytes(filter, size)));
    let mut all: Vec<Launch> = filters().iter().flat_map(of).collect();
    for format in formats() {
        let frame = region(format.bytes(size) as u64);
        all.push(crop::launch((size, format), size.full(), frame, region(area), region(area)));
    }
    let (resampler, scale) = (Resampler::new(size, size, Filter::Area), [[1.0, 0.0]]);
    let tables = region(resize::tables(&resampler, &scale).len() as u64);
    all.push(resize::launch(&resampler, 1, (size, size.full()), region(area), tables, region(4 * area)));
    let maps = mask::Memory {
        maps: region(4 * area),
        small: region(4 * area),
        broken: region(mask::broken_bytes(size)),
        tables: region(resize::tables(&resampler, &[]).len() as u64),
        inside: None,
        thresholds: region(4),
        labels: region(area),
        bytes: region(area),
    };
    let meaning = Meaning { logits: true, softmax: false };
    all.extend(mask::launches(meaning, (size, size.full()), &resampler, (size, size.full()), &maps));
    let memory = components::Memory {
        labels: region(area),
        parents: region(4 * area),
        sums: region(components::Memory::sums_bytes(size)),
        found: region(components::Memory::found_bytes(3)),
        count: region(4),
    };
    all.extend(components::launches(size, 1, 1, &memory));
    let deep = Conv::convolution(&shape(768, 64, [1, 1], 1, 1, 1, 0)).expect("one that the kernel computes");
    let one = |channels: usize| Halves::slice(region(2 * channels as u64), 1, channels, 0, channels);
    let (constants, scratch) = ((region(2 * 768 * 64), region(4 * 64)), region(deep.scratch_bytes()));
    all.extend(deep.launches(one(768), constants, None, one(64), [0.0, 1.0], scratch));
    let deep = ConvInt8::convolution(&shape(1536, 64, [1, 1], 1, 1, 1, 0), Grid::WHOLE, Some(Grid::WHOLE));
    let deep = deep.expect("one that the kernel computes");
    let one_of = |channels: usize| Codes::slice(region(channels as u64), 1, channels, 0, channels);
    let constants = region(deep.pack(&vec![0.0; 64 * 1536], &[0.0; 64], false).len() as u64);
    let scratch = region(deep.scratch_bytes());
    all.extend(deep.launches(one_of(1536), constants, None, Kept::Codes(one_of(64)), [0.0, 1.0], scratch));
    for outs in [8, 64] {
        let shape = shape(8, outs, [4, 4], 3, 1, 1, 1);
        let conv = Conv::convolution(&shape).expect("one that the kernel computes");
        let packed = region(conv.pack(&vec![0.0; outs * 72]).len() as u64);
        let tensor = |channels: usize| Halves::slice(region(32 * channels as u64), 16, channels, 0, channels);
        let bias = region(4 * outs as u64);
        all.extend(conv.launches(tensor(8), (packed, bias), None, tensor(outs), [0.0, 1.0], region(0)));
        let quarter = Halves::slice(region(8 * outs as u64), 4, outs, 0, outs);
        let pooling = conv.clone().pooling(quarter);
        all.extend(pooling.launches(tensor(8), (packed, bias), None, tensor(outs), [0.0, 1.0], region(0)));
        all.push(head::launch(16, [8, outs], tensor(8), [region(32 * outs as u64), bias], region(64 * outs as u64)));
        let codes = ConvShape { in_channels: 16, kernel: [1, 1], pads: [0; 4], ..shape.clone() };
        let int8 = ConvInt8::convolution(&codes, Grid::WHOLE, None).expect("one that the kernel computes");
        let constants = region(int8.pack(&vec![0.0; outs * 16], &vec![0.0; outs], false).len() as u64);
        let bytes = Codes::slice(region(256), 16, 16, 0, 16);
        let sixteen = Halves::slice(region(512), 16, 16, 0, 16);
        for int8 in [int8.clone(), int8.pooling(Kept::Halves(quarter))] {
            all.extend(int8.launches(bytes, constants, None, Kept::Halves(tensor(outs)), [0.0, 1.0], region(0)));
        }
        all.push(layout::to_codes([16, 16], sixteen, Grid::WHOLE, bytes));
        all.push(layout::to_halves([16, 16], bytes, Grid::WHOLE, sixteen));
        all.push(layout::copy([16, 16], Kept::Codes(bytes), Kept::Codes(bytes)));
        let shape = ConvShape { in_channels: 1, ..shape };
        let first = ConvFirst::new(&shape).expect("one that the kernel computes");
        all.push(first.launch(region(64), [region(36 * outs as u64), bias], tensor(outs), [0.0, 1.0]));
        let each = ConvShape { groups: outs, in_channels: outs, ..shape };
        let depthwise = ConvDepthwise::new(&each).expect("one that the kernel computes");
        all.push(depthwise.launch(tensor(outs), [region(36 * outs as u64), bias], tensor(outs), [0.0, 1.0]));
        let pool = PoolShape {
            channels: outs,
            in_size: [4, 4],
            kernel: [1, 1],
            stride: [1, 1],
            pads: [0; 4],
            dilation: [1, 1],
            ceil_mode: false,
        };
        all.extend(max_pool::launch(&pool, Kept::Halves(tensor(outs)), Kept::Halves(tensor(outs))));
        all.extend(max_pool::average(&pool, true, tensor(outs), tensor(outs)));
        let codes = PoolShape { channels: 16, ..pool };
        all.extend(max_pool::launch(&codes, Kept::Codes(bytes), Kept::Codes(bytes)));
        let sizes = [16, outs];
        let operand = Operand { halves: tensor(outs), pixels: 16, single: false };
        let silu = Activation::Silu;
        all.extend(elementwise::affine(sizes, tensor(outs), None, tensor(outs), silu));
        all.extend(elementwise::binary(Arithmetic::Mul, sizes, [operand; 2], tensor(outs), silu));
        let norm = Normalize { groups: outs, length: 16, epsilon: 1e-5, centered: true, plane: 16, channels: outs };
        let groups = Groups::new(&norm, [16, outs, outs]).expect("whole channels");
        let scratch = region(groups.scratch_bytes());
        all.extend(
            groups.launches(tensor(outs), region(12 * outs as u64), tensor(outs), scratch, silu).expect("a kernel"),
        );
        all.push(reduce::pixels(sizes, tensor(outs), one(outs), false));
        let (sizes, planes) = ([outs, 16], region(64 * outs as u64));
        all.push(layout::to_last(sizes, planes, tensor(outs), outs));
        all.push(layout::to_planes(sizes, tensor(outs), planes));
        let resize = ResizeTensor::new(ResizeShape {
            planes: outs,
            in_size: [4, 4],
            out_size: [4, 4],
            scales: None,
            coordinates: Coordinates::HalfPixel,
            interpolation: Interpolation::Linear,
        })
        .expect("sound");
        let tables = region(resize_tensor::tables(&resize).len() as u64);
        all.push(resize_tensor::launch(&resize, outs, tensor(outs), tables, tensor(outs)));
    }
    let of = |bytes: &Vec<u8>| region(bytes.len() as u64);
    all.extend(cases().iter().map(|c| (c.make)(&c.given.iter().map(of).collect::<Vec<_>>(), of(&c.before))));
    all
}

#[test]
fn every_module_has_every_kernel_that_is_launched_and_no_other() {
    for module in MODULES {
        let parameters = parameters(module.ptx);
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        for launch in launched() {
            seen.insert(launch.kernel(), launch.args().len());
            assert!(
                launch.block().iter().product::<u32>() <= 1024 && launch.grid().iter().all(|&n| n > 0),
                "{launch:?}"
            );
            assert!(launch.args().iter().any(|arg| matches!(arg, Arg::Region(_))), "{launch:?}");
        }
        assert_eq!(parameters, seen, "{}", module.target);
        assert!(module.ptx.contains(&format!(".target sm_{}", module.capability)), "{}", module.target);
        // What a driver of CUDA 12.4 reads.
        assert!(module.ptx.contains(".version 8.4"), "{}", module.target);
    }
}

/// What a kernel does before it has waited for the one before it, other than to take its parameters; all of it, where it does
/// not wait.
fn before_it_waits(entry: &str) -> Vec<&str> {
    let body = entry.split_once("\n{").expect("a body").1;
    let before = body.split_once("griddepcontrol.wait;\n").map_or(body, |(before, _)| before);
    let harmless = ["//", ".reg", ".shared", "ld.param.", "cvta.to.global."];
    let steps = before.lines().map(str::trim).filter(|line| !line.is_empty());
    steps.filter(|line| !harmless.iter().any(|start| line.starts_with(start))).collect()
}

#[test]
fn kernels_that_a_device_starts_early_wait_before_all_else() {
    for module in MODULES {
        let entries: Vec<&str> = module.ptx.split(".entry ").skip(1).collect();
        // The devices of which `Gpu::starts_early` says that they do.
        let early = module.capability >= 90;
        // A load of what never changes may be moved before the wait by whoever makes machine code of it.
        assert!(!module.ptx.contains("ld.global.nc"), "a kernel has `__restrict__` or `__ldg`");
        assert_eq!(module.ptx.matches("griddepcontrol.").count(), if early { 2 * entries.len() } else { 0 });
        for entry in entries.into_iter().filter(|_| early) {
            let name = entry.split('(').next().unwrap_or_default();
            assert_eq!(before_it_waits(entry), Vec::<&str>::new(), "`{name}` does not begin with `wait_for_previous`");
        }
    }
    let wait = "// begin inline asm\n\tgriddepcontrol.wait;\n";
    assert!(before_it_waits(&format!("a()\n{{\n\t.reg .b32 %r<2>;\n\tld.param.u64 %rd1, [a];\n\t{wait}}}")).is_empty());
    for early in ["ld.global.u8 %r1, [%rd1];", "st.global.u8 [%rd1], %r1;", "@%p1 bra $L2;", "$L2:"] {
        assert_eq!(before_it_waits(&format!("a()\n{{\n\t{early}\n\t{wait}}}")), [early]);
        assert_eq!(before_it_waits(&format!("a()\n{{\n\t{early}\n}}")), [early, "}"], "it never waits");
    }
}

#[test]
fn no_kernel_spills() {
    let page = read("docs/kernels.md");
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    let names: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(names, parameters(MODULES[0].ptx).into_keys().collect::<Vec<_>>(), "run `make kernels`");
    for row in rows {
        assert!(
            row[1].parse::<u32>().is_ok_and(|bytes| bytes <= 48 << 10),
            "{row:?}: more shared memory than a block has"
        );
        for cell in &row[2..] {
            let (_, spilled) = cell.split_once(", ").expect("registers and spills");
            assert_eq!(spilled, "0", "{row:?}");
        }
    }
}
