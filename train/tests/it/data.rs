//! What is drawn, and how it is changed.

use std::sync::Arc;

use sonoplex_train::augment::Augment;
use sonoplex_train::data::{Example, Sampler, random};

/// A bright disc that is the class, on tissue.
pub fn disc(id: usize, size: [usize; 2], weight: f32) -> Example {
    let [width, height] = size;
    let (cx, cy) = (width as f32 * (0.3 + 0.1 * (id % 5) as f32), height as f32 * (0.35 + 0.06 * (id % 6) as f32));
    let inside = |i: usize| {
        let (dx, dy) = ((i % width) as f32 - cx, (i / width) as f32 - cy);
        dx * dx + dy * dy < (height as f32 * 0.2).powi(2)
    };
    let area = width * height;
    Example {
        id: id.to_string(),
        size,
        picture: (0..area).map(|i| if inside(i) { 220 } else { 60 + (i * 31 % 40) as u8 }).collect(),
        truth: (0..area).map(|i| u8::from(inside(i))).collect(),
        labelled: vec![true],
        weight,
    }
}

#[test]
fn without_changes_a_picture_stays_what_it_is() {
    let size = [20, 12];
    let example = disc(3, size, 1.0);
    let (mut picture, mut truth) = (vec![0.0; 240], vec![0.0; 240]);
    Augment::default().apply(&example, size, &mut random([1; 4]), &mut picture, &mut truth);
    for i in 0..240 {
        assert!((picture[i] - f32::from(example.picture[i]) / 255.0).abs() < 1e-5);
        assert!((truth[i] - f32::from(example.truth[i])).abs() < 1e-5);
    }
}

#[test]
fn a_part_without_the_class_is_shown_where_there_is_one() {
    let size = [64, 48];
    let still = Augment { without: 1.0, ..Augment::default() };
    let moved = Augment { without: 1.0, ..geometry() };
    let (mut picture, mut truth) = (vec![0.0; 64 * 48], vec![0.0; 64 * 48]);
    for k in 0..40 {
        let augment = if k % 2 == 0 { &still } else { &moved };
        augment.apply(&disc(k, size, 1.0), size, &mut random([4, 4, 4, k as u64]), &mut picture, &mut truth);
        assert!(truth.iter().all(|t| *t == 0.0), "{k}");
        assert!(picture.iter().sum::<f32>() > 0.05 * 64.0 * 48.0, "tissue is left: {k}");
    }
    // of two classes that one is left out which is there, even if it is not the first
    let mut second = disc(0, size, 1.0);
    second.truth.iter_mut().for_each(|t| *t *= 2);
    let mut both = vec![0.0; 2 * 64 * 48];
    still.apply(&second, size, &mut random([5; 4]), &mut picture, &mut both);
    assert!(both.iter().all(|t| *t == 0.0));
    // a class everywhere leaves no such part
    second.truth.fill(1);
    still.apply(&second, size, &mut random([4; 4]), &mut picture, &mut truth);
    assert!(truth.iter().all(|t| *t > 0.999));
}

/// Only what moves pixels.
fn geometry() -> Augment {
    let text = "brightness=0,contrast=0,gamma=0,gain=0,speckle=0,shadow=0,blur=0,jpeg=0,without=0";
    let augment: Augment = text.parse().expect("changes");
    assert_eq!(augment.to_string().parse(), Ok(augment.clone()), "what is written is read");
    augment
}

#[test]
fn the_truth_moves_with_the_picture() {
    let size = [64, 48];
    let augment = Augment { without: 0.1, ..geometry() };
    let (mut moved, mut seen) = (0, 0);
    for k in 0..20 {
        let example = disc(k, size, 1.0);
        let (mut picture, mut truth) = (vec![0.0; 64 * 48], vec![0.0; 64 * 48]);
        augment.apply(&example, size, &mut random([9, 9, 9, k as u64]), &mut picture, &mut truth);
        for i in 0..64 * 48 {
            if truth[i] > 0.999 {
                seen += 1;
                assert!(picture[i] > 0.8, "a pixel of the class is as bright as the class: {}", picture[i]);
            }
            if truth[i] < 0.001 {
                assert!(picture[i] < 0.5, "a pixel beside the class is as dark as the tissue: {}", picture[i]);
            }
        }
        let off = truth.iter().zip(&example.truth).filter(|(a, b)| (**a > 0.5) != (**b > 0)).count();
        moved += usize::from(off > 50);
    }
    assert!(seen > 2000 && moved > 12, "{seen} pixels seen, {moved} of 20 moved");
}

#[test]
fn changed_levels_stay_levels() {
    let size = [33, 21];
    let augment: Augment = "default".parse().expect("changes");
    for k in 0..40 {
        let (mut picture, mut truth) = (vec![0.0; 33 * 21], vec![0.0; 33 * 21]);
        augment.apply(&disc(k, size, 1.0), size, &mut random([5, 0, 0, k as u64]), &mut picture, &mut truth);
        assert!(picture.iter().chain(&truth).all(|v| (0.0..=1.0001).contains(v)));
    }
}

#[test]
fn changes_are_read_and_refused() {
    let augment: Augment = "rotate=10, elastic=0".parse().expect("changes");
    assert_eq!((augment.rotate, augment.elastic, augment.flip), (10.0, 0.0, 0.5));
    for text in ["", "rotat=3", "rotate", "rotate=x", "rotate=-1", "rotate=inf"] {
        assert!(text.parse::<Augment>().expect_err("no change").contains("expected `default`"));
    }
}

#[test]
fn every_example_is_drawn_once_before_one_is_drawn_again() {
    let examples = Arc::new((0..10).map(|i| disc(i, [8, 8], 1.0)).collect::<Vec<_>>());
    let sampler = Sampler::new(Arc::clone(&examples), 1, [8, 8], 4);
    let epoch = |first: usize| {
        let none = Augment::default();
        let mut found: Vec<usize> = (first..first + 5)
            .flat_map(|step| {
                let batch = sampler.batch(step, 2, &none);
                let places = batch.picture.chunks_exact(64).map(|p| {
                    let same = |e: &Example| p.iter().zip(&e.picture).all(|(a, b)| (a * 255.0).round() as u8 == *b);
                    examples.iter().position(same).expect("one of them")
                });
                places.collect::<Vec<_>>()
            })
            .collect();
        let drawn = found.clone();
        found.sort_unstable();
        assert_eq!(found, (0..10).collect::<Vec<_>>());
        drawn
    };
    assert_ne!(epoch(0), epoch(5), "in another order each time");
}

#[test]
fn weights_are_shares_and_a_batch_depends_on_its_step_alone() {
    let mut examples: Vec<Example> = (0..30).map(|i| disc(i, [8, 8], 1.0)).collect();
    examples.extend((0..10).map(|i| Example { truth: vec![0; 64], ..disc(i, [8, 8], 0.5) }));
    let sampler = Sampler::new(Arc::new(examples), 1, [8, 8], 4);
    let none = Augment::default();
    let empty: usize = (0..140).map(|s| sampler.batch(s, 5, &none).present.iter().filter(|p| **p == 0.0).count()).sum();
    assert_eq!(empty, 100, "10 of weight 0.5 against 30 of weight 1 are a seventh of 700");
    let augment: Augment = "default".parse().expect("changes");
    let (a, b) = (sampler.batch(17, 5, &augment), sampler.clone().batch(17, 5, &augment));
    assert_eq!(a.picture, b.picture);
    assert_ne!(a.picture, sampler.batch(18, 5, &augment).picture);

    // However small its share is, it is drawn.
    let mut examples: Vec<Example> = (0..1500).map(|i| disc(i % 30, [8, 8], 1.0)).collect();
    examples.push(Example { truth: vec![0; 64], ..disc(0, [8, 8], 0.5) });
    let sampler = Sampler::new(Arc::new(examples), 1, [8, 8], 4);
    let empty: usize = (0..601).map(|s| sampler.batch(s, 5, &none).present.iter().filter(|p| **p == 0.0).count()).sum();
    assert_eq!(empty, 1, "a half of 1500.5");
}
