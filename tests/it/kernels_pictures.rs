//! Resizing, filters against speckle and edges: against OpenCV, Pillow and one-screen references.

use serde_json::json;
use sonoplex::backend::cpu::canny::Canny;
use sonoplex::backend::cpu::despeckle::{Despeckle, Scratch};
use sonoplex::backend::cpu::{Filter, Pool, Resampler};
use sonoplex::geometry::Size;

use super::kernels_oracle::{Oracle, Tensor, floats};
use super::naive::{Picture, Random, assert_close, pools};

/// A picture that is neither noise nor smooth: blocks with speckle on them.
fn picture(random: &mut Random, size: Size) -> Vec<u8> {
    let levels = random.bytes(64);
    let noise = random.bytes(size.area());
    (0..size.area())
        .map(|i| {
            let (x, y) = (i % size.width as usize, i / size.width as usize);
            let level = u32::from(levels[x / 9 % 8 + y / 7 % 8 * 8]);
            (level * 3 / 4 + u32::from(noise[i]) / 4).min(255) as u8
        })
        .collect()
}

fn shape(size: Size) -> [usize; 2] {
    [size.height as usize, size.width as usize]
}

fn filtered(filter: &Despeckle, pool: &Pool, size: Size, src: &[u8]) -> Vec<u8> {
    let mut dst = vec![77; src.len()];
    filter.run(pool, size, src, &mut dst, &mut Scratch::default());
    dst
}

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

const SIZES: [Size; 7] = [
    Size::new(1, 1),
    Size::new(1, 9),
    Size::new(9, 1),
    Size::new(2, 2),
    Size::new(37, 23),
    Size::new(64, 48),
    Size::new(101, 67),
];

#[test]
fn pictures_agree_with_opencv_and_pillow() {
    let Some(mut oracle) = Oracle::find() else { return };
    let (mut random, pool) = (Random(21), Pool::new(2));
    let mut resized = Vec::new();
    for from in SIZES {
        for to in SIZES.into_iter().chain([Size::new(128, 96), Size::new(13, 5)]) {
            let src: Vec<f32> = picture(&mut random, from).into_iter().map(f32::from).collect();
            let attributes = json!({ "width": to.width, "height": to.height });
            for (filter, op) in [(Filter::Bilinear, "cv2.resize"), (Filter::Area, "pillow.resize")] {
                let mut out = vec![f32::NAN; to.area()];
                Resampler::new(from, to, filter).resize_f32(&pool, &src, &mut out);
                oracle.add(op, attributes.clone(), &[Tensor::Floats(&src, &shape(from))]);
                resized.push((format!("{op} {from} to {to}"), out));
            }
        }
    }
    let mut bytes = Vec::new();
    for size in &SIZES[3..] {
        let src = picture(&mut random, *size);
        let mut add = |op: &str, attributes, out: Vec<u8>, tolerance: u8| {
            oracle.add(op, attributes, &[Tensor::Bytes(&src, &shape(*size))]);
            bytes.push((format!("{op} {size}"), out, tolerance));
        };
        for radius in [1, 2, 5] {
            let out = filtered(&Despeckle::Median { radius }, &pool, *size, &src);
            add("cv2.medianBlur", json!({ "radius": radius }), out, 0);
            let out = filtered(&Despeckle::Bilateral { radius, range: 30.0, space: 2.5 }, &pool, *size, &src);
            add("cv2.bilateralFilter", json!({ "radius": radius, "range": 30.0, "space": 2.5 }), out, 1);
        }
        for (low, high) in [(0.0, 0.0), (60.0, 150.0), (200.0, 400.0)] {
            let mut out = vec![77; src.len()];
            Canny { low, high }.run(&pool, *size, &src, &mut out, &mut Scratch::default());
            add("cv2.Canny", json!({ "low": low, "high": high }), out, 0);
        }
    }
    let answers = oracle.ask();
    assert_eq!(answers.len(), resized.len() + bytes.len());
    for ((what, found), (answer, _)) in resized.iter().zip(&answers) {
        // 0.01 of 255, whatever the value.
        let (found, answer) = (found.iter().map(|v| v / 255.0), floats(answer).into_iter().map(|v| v / 255.0));
        assert_close(&found.collect::<Vec<_>>(), &answer.collect::<Vec<_>>(), 0.01 / 255.0, what);
    }
    for ((what, found, tolerance), (answer, _)) in bytes.iter().zip(&answers[resized.len()..]) {
        let difference = largest_difference(found, answer);
        assert!(difference <= *tolerance, "{what}: {difference} grey levels");
    }
}

#[test]
fn filters_agree_with_their_references() {
    let (mut random, pool) = (Random(22), Pool::new(2));
    for size in SIZES {
        let src = picture(&mut random, size);
        let picture = Picture(size, &src);
        for radius in [1, 2, 3, 15] {
            let median = picture.map(|x, y| {
                let mut window = picture.window(x, y, radius);
                window.sort_unstable();
                window[window.len() / 2]
            });
            let radius = radius as u32;
            assert_eq!(filtered(&Despeckle::Median { radius }, &pool, size, &src), median, "median {radius} {size}");
            for noise in [0.0, 0.1, 0.5] {
                let found = filtered(&Despeckle::Lee { radius, noise }, &pool, size, &src);
                let difference = largest_difference(&found, &picture.lee(radius as isize, f64::from(noise)));
                // Where the rounding falls on a half the two may differ by one.
                assert!(difference <= 1, "lee {radius} {noise} {size}: {difference}");
                let found = filtered(&Despeckle::Kuan { radius, noise }, &pool, size, &src);
                let difference = largest_difference(&found, &picture.kuan(radius as isize, f64::from(noise)));
                assert!(difference <= 1, "kuan {radius} {noise} {size}: {difference}");
                let damping = 10.0 * noise;
                let found = filtered(&Despeckle::Frost { radius, damping }, &pool, size, &src);
                let difference = largest_difference(&found, &picture.frost(radius as isize, f64::from(damping)));
                assert!(difference <= 1, "frost {radius} {damping} {size}: {difference}");
            }
        }
        for (patch, search, strength) in [(0, 1, 20.0), (1, 2, 40.0), (3, 4, 8.0)] {
            let found = filtered(&Despeckle::Nlm { patch, search, strength }, &pool, size, &src);
            let expected = picture.nlm(patch as isize, search as isize, f64::from(strength));
            let difference = largest_difference(&found, &expected);
            assert!(difference <= 1, "nlm {patch} {search} {strength} {size}: {difference}");
        }
        for (iterations, step, speckle, dynamic_range) in [(1, 0.5, 0.52, 60.0), (20, 1.0, 0.3, 40.0)] {
            let filter = Despeckle::Srad { iterations, step, speckle, dynamic_range };
            let [step, speckle, range] = [step, speckle, dynamic_range].map(f64::from);
            let expected = picture.srad(iterations, step, speckle, range);
            let difference = largest_difference(&filtered(&filter, &pool, size, &src), &expected);
            assert!(difference <= 1, "{filter} {size}: {difference} grey levels");
        }
    }
}

#[test]
fn filters_and_resizing_do_not_depend_on_the_number_of_threads() {
    let (mut random, pools) = (Random(23), pools());
    let size = Size::new(83, 59);
    let src = picture(&mut random, size);
    for filter in Despeckle::ALL {
        let results = pools.each_ref().map(|pool| filtered(&filter, pool, size, &src));
        assert!(results.iter().all(|r| *r == results[0]), "{filter}");
    }
    let floats: Vec<f32> = src.iter().map(|&v| f32::from(v)).collect();
    for filter in [Filter::Bilinear, Filter::Area, Filter::Nearest] {
        let resampler = Resampler::new(size, Size::new(31, 70), filter);
        let results = pools.each_ref().map(|pool| {
            let (mut a, mut b) = (vec![0.0; 31 * 70], vec![0.0; 31 * 70]);
            resampler.resize_u8_to_f32(pool, &src, 83, &mut a);
            resampler.resize_f32(pool, &floats, &mut b);
            assert_eq!(a, b, "bytes and floats, {filter:?}");
            a
        });
        assert!(results.iter().all(|r| *r == results[0]), "{filter:?}");
    }
}

#[test]
fn a_part_of_a_larger_picture_is_resized_in_place() {
    let (mut random, pool) = (Random(24), Pool::new(1));
    let whole = random.bytes(40 * 30);
    let part: Vec<u8> = (0..10).flat_map(|y| whole[(5 + y) * 40 + 7..][..16].to_vec()).collect();
    let resampler = Resampler::new(Size::new(16, 10), Size::new(9, 21), Filter::Bilinear);
    let (mut a, mut b) = (vec![0.0; 9 * 21], vec![0.0; 9 * 21]);
    resampler.resize_u8_to_f32(&pool, &whole[5 * 40 + 7..], 40, &mut a);
    resampler.resize_u8_to_f32(&pool, &part, 16, &mut b);
    assert_eq!(a, b);
}

#[test]
fn hostile_settings_and_tiny_pictures_are_survived() {
    let (mut random, pool) = (Random(25), Pool::new(2));
    let sizes = [Size::new(0, 0), Size::new(0, 5), Size::new(1, 1), Size::new(1, 3), Size::new(3, 2)];
    let mut hostile = Vec::new();
    for (radius, x) in [(0, 0.0), (u32::MAX, f32::MAX), (7, f32::NAN), (1, -1.0), (2, f32::INFINITY)] {
        hostile.push(Despeckle::Median { radius });
        hostile.push(Despeckle::Bilateral { radius, range: x, space: x });
        hostile.push(Despeckle::Lee { radius, noise: x });
        hostile.push(Despeckle::Kuan { radius, noise: x });
        hostile.push(Despeckle::Frost { radius, damping: x });
        hostile.push(Despeckle::Nlm { patch: radius, search: radius, strength: x });
        hostile.push(Despeckle::Srad { iterations: radius.min(50), step: x, speckle: x, dynamic_range: x });
    }
    for size in sizes {
        let src = random.bytes(size.area());
        for filter in &hostile {
            filtered(filter, &pool, size, &src);
        }
        for (low, high) in [(f32::NAN, f32::NAN), (-1.0, f32::INFINITY), (f32::MAX, 0.0)] {
            Canny { low, high }.run(&pool, size, &src, &mut vec![0; size.area()], &mut Scratch::default());
        }
        for filter in [Filter::Bilinear, Filter::Area, Filter::Nearest] {
            for to in sizes {
                let mut out = vec![f32::NAN; to.area()];
                Resampler::new(size, to, filter).resize_u8_to_f32(&pool, &src, size.width as usize, &mut out);
                assert!(out.iter().all(|v| (0.0..=255.01).contains(v)), "{filter:?} {size} to {to}");
            }
        }
    }
    // A radius of 0 leaves the picture as it is, and an even picture stays even.
    let size = Size::new(5, 4);
    let src = random.bytes(size.area());
    for filter in [
        Despeckle::Median { radius: 0 },
        Despeckle::Bilateral { radius: 0, range: 1.0, space: 1.0 },
        Despeckle::Lee { radius: 0, noise: 0.1 },
        Despeckle::Kuan { radius: 0, noise: 0.1 },
        Despeckle::Frost { radius: 0, damping: 2.0 },
        Despeckle::Nlm { patch: 1, search: 0, strength: 5.0 },
        Despeckle::Srad { iterations: 0, step: 0.5, speckle: 0.5, dynamic_range: 60.0 },
    ] {
        assert_eq!(filtered(&filter, &pool, size, &src), src, "{filter}");
    }
    for (filter, level) in Despeckle::ALL.iter().zip([0, 255, 1, 128, 254, 77, 3, 200]) {
        assert_eq!(filtered(filter, &pool, size, &[level; 20]), [level; 20], "{filter}");
    }
}

#[test]
fn one_scratch_serves_pictures_of_any_size_in_any_order() {
    let (mut random, pool, mut scratch) = (Random(26), Pool::new(1), Scratch::default());
    for size in [Size::new(40, 30), Size::new(3, 3), Size::new(30, 41)] {
        let src = picture(&mut random, size);
        for filter in Despeckle::ALL {
            let mut dst = vec![0; src.len()];
            filter.run(&pool, size, &src, &mut dst, &mut scratch);
            assert_eq!(dst, filtered(&filter, &pool, size, &src), "{filter} {size}");
        }
    }
}

#[test]
fn filters_are_written_and_read_by_name() {
    for filter in Despeckle::ALL {
        assert_eq!(filter.to_string().parse(), Ok(filter));
        assert_eq!(filter.name().parse(), Ok(filter));
    }
    assert_eq!("median:radius=2".parse(), Ok(Despeckle::Median { radius: 2 }));
    assert!(matches!("srad:iterations=3".parse(), Ok(Despeckle::Srad { iterations: 3, step: 0.5, .. })));
    assert_eq!(Despeckle::Lee { radius: 2, noise: 0.25 }.to_string(), "lee:radius=2,noise=0.25");
    let mut filter = Despeckle::Off;
    (0..Despeckle::ALL.len()).for_each(|_| filter = filter.next());
    assert_eq!(filter, Despeckle::Off);
    for (text, said) in [
        ("medain", "the nearest is `median`"),
        ("bilat", "the nearest is `bilateral`"),
        ("srad:iteration=3", "the nearest is `iterations`"),
        ("off:radius=3", "expected no settings"),
        ("median:radius=16", "`radius` of the filter `median` to `16`: expected a whole number from 0 to 15"),
        ("median:radius=-1", "expected a whole number"),
        ("median:radius", "expected a whole number"),
        ("lee:noise=NaN", "expected a number from 0 to 10"),
        ("", "expected one of off, median"),
    ] {
        let message = text.parse::<Despeckle>().unwrap_err().to_string();
        assert!(message.contains(said), "{text}: {message}");
    }
    for filter in Despeckle::ALL {
        let json = serde_json::to_string(&filter).unwrap();
        assert_eq!(serde_json::from_str::<Despeckle>(&json).unwrap(), filter);
    }
}
