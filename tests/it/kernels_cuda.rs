//! What every CUDA kernel is held to, wherever it runs: on the host ([`super::kernels_emulated`]) or a device
//! (`tests/gpu.rs`).

use sonoplex::backend::cpu::components::Components;
use sonoplex::backend::cpu::despeckle::{Despeckle, Scratch};
use sonoplex::backend::cpu::mask::{self, Meaning};
use sonoplex::backend::cpu::{Filter, Pool, Resampler};
use sonoplex::backend::cuda::launch::{Launch, Region};
use sonoplex::backend::cuda::{components, crop, despeckle, mask as cuda_mask, resize};
use sonoplex::engine::cuda::Recording;
use sonoplex::frame::{Matrix, PixelFormat, Yuv, YuvLayout};
use sonoplex::geometry::{Rect, Size};

use super::naive::Random;

/// Something with memory that runs kernels.
pub trait Machine {
    /// Forgets all memory.
    fn clear(&mut self);
    /// Memory that nobody has written.
    fn allocate(&mut self, bytes: u64) -> Region;
    fn upload(&mut self, bytes: &[u8]) -> Region;
    fn download(&mut self, region: Region) -> Vec<u8>;
    /// Makes the memory of a recording, with its constants.
    fn load(&mut self, recording: &Recording);
    fn write(&mut self, region: Region, bytes: &[u8]);
    fn run(&mut self, launches: &[Launch]) -> Result<(), String>;
}

/// Pictures that filters have trouble with: speckle on blocks, black, white, single bright pixels, noise.
pub fn pictures(random: &mut Random, size: Size) -> Vec<Vec<u8>> {
    let area = size.area();
    let noise = random.bytes(area);
    let level = |i: usize| ((i % size.width as usize / 9 * 50 + i / size.width as usize / 7 * 70) % 200) as u8;
    let speckle = (0..area).map(|i| level(i) / 4 * 3 + noise[i] / 4).collect();
    let outliers = (0..area).map(|i| if i % 37 == 5 { 255 } else { 3 }).collect();
    vec![speckle, vec![0; area], vec![255; area], outliers, noise]
}

/// All filters with their defaults, and some with hard settings.
pub fn filters() -> Vec<Despeckle> {
    let mut filters: Vec<Despeckle> = Despeckle::ALL.into_iter().skip(1).collect();
    filters.extend([
        Despeckle::Median { radius: 0 },
        Despeckle::Median { radius: 4 },
        Despeckle::Median { radius: 15 },
        Despeckle::Bilateral { radius: 0, range: 20.0, space: 1.0 },
        Despeckle::Bilateral { radius: 15, range: 60.0, space: 8.0 },
        Despeckle::Lee { radius: 0, noise: 0.2 },
        Despeckle::Lee { radius: 15, noise: 0.5 },
        Despeckle::Kuan { radius: 1, noise: 0.0 },
        Despeckle::Kuan { radius: 15, noise: 0.1 },
        Despeckle::Frost { radius: 0, damping: 1.0 },
        Despeckle::Frost { radius: 15, damping: 0.2 },
        Despeckle::Frost { radius: 3, damping: 100.0 },
        Despeckle::Srad { iterations: 0, step: 0.5, speckle: 0.5, dynamic_range: 60.0 },
        Despeckle::Srad { iterations: 3, step: 1.0, speckle: 0.2, dynamic_range: 40.0 },
    ]);
    filters.extend((0..=4).map(|patch| Despeckle::Nlm { patch, search: patch, strength: 15.0 }));
    filters
}

/// What a filter makes of a picture.
pub fn filtered(machine: &mut dyn Machine, filter: &Despeckle, size: Size, picture: &[u8]) -> Vec<u8> {
    machine.clear();
    let (src, dst) = (machine.upload(picture), machine.allocate(picture.len() as u64));
    let scratch = machine.allocate(despeckle::scratch_bytes(filter, size));
    let launches = despeckle::launches(filter, size, src, dst, scratch);
    machine.run(&launches).unwrap_or_else(|e| panic!("{filter} {size}: {e}"));
    assert_eq!(machine.download(src), picture, "{filter} changes what it reads");
    machine.download(dst)
}

/// Filters against their CPU twins, one grey level apart at most, the median none.
pub fn check_filter(machine: &mut dyn Machine, filter: &Despeckle, size: Size, picture: &[u8]) {
    let mut expected = vec![0; picture.len()];
    filter.run(&Pool::new(2), size, picture, &mut expected, &mut Scratch::default());
    let found = filtered(machine, filter, size, picture);
    let apart = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0);
    let allowed = u8::from(!matches!(filter, Despeckle::Median { .. }));
    assert!(apart <= allowed, "{filter} {size}: {apart} grey levels");
}

/// Maps of every meaning to labels and bytes, against the CPU's.
pub fn check_masks(machine: &mut dyn Machine) {
    let mut random = Random(63);
    let (frame, crop) = (Size::new(61, 40), Rect { x: 5, y: 3, width: 50, height: 31 });
    let map = Size::new(24, 20);
    for (i, meaning) in [(true, false), (true, true), (false, false), (false, true)].into_iter().enumerate() {
        let meaning = Meaning { logits: meaning.0, softmax: meaning.1 };
        let placed = [map.full(), Rect { x: 2, y: 4, width: 20, height: 13 }][i % 2];
        let thresholds: &[f32] = if i < 2 { &[0.3, 0.5, 0.4] } else { &[0.5] };
        let (classes, planes) = (thresholds.len(), thresholds.len() + usize::from(meaning.softmax));
        let mut maps: Vec<f32> = random.floats(planes * map.area()).iter().map(|x| x * 4.0).collect();
        // Outliers, and what is not a number where a class stands alone.
        (maps[7], maps[33], maps[90]) = (80.0, -90.0, if meaning.softmax { 0.0 } else { f32::NAN });
        let inside: Vec<u8> = random.bytes(crop.size().area()).iter().map(|v| v & 128).collect();
        let inside = (i % 2 == 0).then_some(inside);

        let mut small = Vec::new();
        mask::probabilities(meaning, &maps, (map, placed), classes, &mut small);
        let resampler = Resampler::new(placed.size(), crop.size(), Filter::Bilinear);
        let area = crop.size().area();
        let mut large = vec![0.0; classes * area];
        for (small, large) in small.chunks_exact(placed.size().area()).zip(large.chunks_exact_mut(area)) {
            resampler.resize_f32(&Pool::new(1), small, large);
            if let Some(inside) = &inside {
                large.iter_mut().zip(inside).filter(|(_, i)| **i == 0).for_each(|(p, _)| *p = 0.0);
            }
        }
        let (mut labels, mut bytes) = (vec![0; frame.area()], vec![0; classes * frame.area()]);
        mask::classify(&large, thresholds, (frame, crop), &mut labels, &mut bytes);

        machine.clear();
        let floats = |numbers: &[f32]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let memory = cuda_mask::Memory {
            maps: machine.upload(&floats(&maps)),
            small: machine.allocate(4 * small.len() as u64),
            broken: machine.allocate(cuda_mask::broken_bytes(map)),
            tables: machine.upload(&resize::tables(&resampler, &[])),
            inside: inside.map(|inside| machine.upload(&inside)),
            thresholds: machine.upload(&floats(thresholds)),
            labels: machine.allocate(labels.len() as u64),
            bytes: machine.allocate(bytes.len() as u64),
        };
        let launches = cuda_mask::launches(meaning, (map, placed), &resampler, (frame, crop), &memory);
        machine.run(&launches).unwrap_or_else(|e| panic!("{meaning:?}: {e}"));
        let found = machine.download(memory.bytes);
        let apart = found.iter().zip(&bytes).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(apart <= Some(1), "{meaning:?}: {apart:?}");
        let broken: Vec<bool> = machine.download(memory.broken).chunks(4).map(|flag| flag != [0; 4]).collect();
        assert_eq!(broken, [!meaning.softmax, false, false], "{meaning:?}: what is not a number is in the first block");
        // Random numbers are never so near to each other that a label would change.
        assert_eq!(machine.download(memory.labels), labels, "{meaning:?}");
        assert!(labels.contains(&0) && labels.iter().any(|&l| usize::from(l) == classes), "{meaning:?}");
    }
}

/// Every format of a frame.
pub fn formats() -> Vec<PixelFormat> {
    let layouts = [YuvLayout::Yuyv, YuvLayout::Uyvy, YuvLayout::Nv12, YuvLayout::I420];
    let of = |layout| {
        let kinds = [(Matrix::Bt601, false), (Matrix::Bt601, true), (Matrix::Bt709, false), (Matrix::Bt709, true)];
        kinds.map(|(matrix, full_range)| PixelFormat::Yuv(Yuv { layout, matrix, full_range }))
    };
    let plain = [PixelFormat::Gray8, PixelFormat::Gray16, PixelFormat::Rgb8];
    plain.into_iter().chain(layouts.into_iter().flat_map(of)).collect()
}

/// Crops of every format, equal to the CPU's.
pub fn check_crops(machine: &mut dyn Machine) {
    let mut random = Random(61);
    for size in [Size::new(1, 1), Size::new(41, 30), Size::new(97, 13)] {
        for format in formats() {
            let (w, h) = (size.width, size.height);
            let middle = Rect { x: w / 3, y: h / 4, width: (w / 2).max(1), height: (h / 2).max(1) };
            let corner = Rect { x: w - 1, y: h - 1, width: 1, height: 1 };
            for rect in [size.full(), middle, corner] {
                let pixels = random.bytes(format.bytes(size));
                let inside: Vec<u8> = random.bytes(rect.size().area()).iter().map(|v| (v & 1) * 255).collect();
                let mut expected = vec![0; inside.len()];
                sonoplex::backend::cpu::crop::crop(&pixels, (size, format), rect, &inside, &mut expected);
                machine.clear();
                let (src, mask) = (machine.upload(&pixels), machine.upload(&inside));
                let dst = machine.allocate(inside.len() as u64);
                let launch = crop::launch((size, format), rect, src, mask, dst);
                machine.run(&[launch]).unwrap_or_else(|e| panic!("{format:?} {rect:?}: {e}"));
                assert_eq!(machine.download(dst), expected, "{format:?} {rect:?} of {size}");
            }
        }
    }
}

/// Resizing and normalising, letterboxed or not, against the CPU's tables.
pub fn check_resizes(machine: &mut dyn Machine) {
    let mut random = Random(62);
    let placements = [
        (Size::new(32, 32), Rect { x: 0, y: 0, width: 32, height: 32 }),
        (Size::new(48, 40), Rect { x: 5, y: 0, width: 37, height: 40 }),
        (Size::new(9, 70), Rect { x: 0, y: 31, width: 9, height: 7 }),
    ];
    for from in [Size::new(1, 1), Size::new(57, 42), Size::new(200, 11)] {
        for filter in [Filter::Bilinear, Filter::Area, Filter::Nearest] {
            for (size, placed) in placements {
                for scale in [&[[1.0 / 255.0, 0.0]][..], &[[0.02, -2.0], [-0.01, 1.5], [1.0, 0.0]]] {
                    let resampler = Resampler::new(from, placed.size(), filter);
                    let picture = random.bytes(from.area());
                    let mut small = vec![0.0; placed.size().area()];
                    resampler.resize_u8_to_f32(&Pool::new(1), &picture, from.width as usize, &mut small);
                    machine.clear();
                    let (src, tables) = (machine.upload(&picture), machine.upload(&resize::tables(&resampler, scale)));
                    let out = machine.allocate(4 * (scale.len() * size.area()) as u64);
                    let launch = resize::launch(&resampler, scale.len(), (size, placed), src, tables, out);
                    machine.run(&[launch]).unwrap_or_else(|e| panic!("{from} {placed:?}: {e}"));
                    let found = machine.download(out);
                    let found = found.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
                    let expected = scale.iter().flat_map(|&[factor, addend]| {
                        let small = &small;
                        (0..size.area() as u32).map(move |i| {
                            let (x, y) =
                                ((i % size.width).wrapping_sub(placed.x), (i / size.width).wrapping_sub(placed.y));
                            let is_picture = x < placed.width && y < placed.height;
                            let level = is_picture.then(|| small[(y * placed.width + x) as usize]);
                            (level.map_or(addend, |level| level * factor + addend), factor)
                        })
                    });
                    for (i, (found, (expected, factor))) in found.zip(expected).enumerate() {
                        let apart = (found - expected).abs();
                        assert!(
                            apart <= 0.01 * f32::abs(factor),
                            "{filter:?} {from} {placed:?}, {i}: {found} {expected}"
                        );
                    }
                }
            }
        }
    }
}

/// Regions of masks that are hard to label, equal to the CPU's.
pub fn check_components(machine: &mut dyn Machine) {
    let mut random = Random(63);
    for size in [Size::new(1, 1), Size::new(2, 3), Size::new(61, 37), Size::new(300, 5)] {
        let (w, area) = (size.width as usize, size.area());
        let noise = |random: &mut Random, above: u8| -> Vec<u8> {
            random.bytes(area).iter().map(|&v| if v > above { v % 3 } else { 0 }).collect()
        };
        // Rows that join at their ends in turn: one region as long as can be.
        let snake = (0..area).map(|i| {
            let (x, y) = (i % w, i / w);
            u8::from(y % 2 == 0 || x == if y % 4 == 1 { w - 1 } else { 0 })
        });
        let teeth = (0..area).map(|i| u8::from(i % w % 2 == 0 || i / w + 1 == size.height as usize)).collect();
        let masks =
            [vec![0; area], vec![1; area], noise(&mut random, 60), noise(&mut random, 180), snake.collect(), teeth];
        for (i, mask) in masks.iter().enumerate() {
            for (class, least) in [(1, 1), (1, 4), (2, 2), (1, u32::MAX)] {
                let mut labels = mask.clone();
                let expected = Components::default().find(&mut labels, size, class, least as usize).to_vec();
                machine.clear();
                let memory = components::Memory {
                    labels: machine.upload(mask),
                    parents: machine.allocate(4 * area as u64),
                    sums: machine.allocate(components::Memory::sums_bytes(size)),
                    found: machine.allocate(components::Memory::found_bytes(area)),
                    count: machine.allocate(4),
                };
                let launches = components::launches(size, class, least, &memory);
                machine.run(&launches).unwrap_or_else(|e| panic!("mask {i} of {size}: {e}"));
                assert_eq!(machine.download(memory.labels), labels, "mask {i} of {size}, class {class}");
                let count = machine.download(memory.count).try_into().expect("four bytes");
                let mut found = expected.clone();
                components::read(size, &machine.download(memory.found), count, &mut found).expect("room for all");
                assert_eq!(found, expected, "mask {i} of {size}, class {class}, at least {least}");
            }
        }
    }
    // Too many: they are counted, and nothing is written where there is no room.
    let size = Size::new(9, 1);
    machine.clear();
    let memory = components::Memory {
        labels: machine.upload(&[1, 0, 1, 0, 1, 0, 1, 0, 1]),
        parents: machine.allocate(36),
        sums: machine.allocate(components::Memory::sums_bytes(size)),
        found: machine.allocate(components::Memory::found_bytes(2)),
        count: machine.allocate(4),
    };
    machine.run(&components::launches(size, 1, 1, &memory)).expect("room for two");
    let count = machine.download(memory.count).try_into().expect("four bytes");
    assert_eq!(components::read(size, &machine.download(memory.found), count, &mut Vec::new()), Err(5));
}
