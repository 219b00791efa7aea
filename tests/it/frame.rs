//! What the bytes of frames mean, whatever their layout.

use sonoplex::frame::{Frame, Matrix, PixelFormat, Yuv, YuvLayout, luma};
use sonoplex::geometry::Size;

use super::kernels_cuda::formats;
use super::naive::Random;

fn yuv_formats() -> impl Iterator<Item = Yuv> {
    formats().into_iter().filter_map(|format| if let PixelFormat::Yuv(yuv) = format { Some(yuv) } else { None })
}

/// Y, U and V of a colour, by the definition of the standards.
fn encode(yuv: Yuv, rgb: [u8; 3]) -> [u8; 3] {
    let (kr, kb) = match yuv.matrix {
        Matrix::Bt601 => (0.299, 0.114),
        Matrix::Bt709 => (0.2126, 0.0722),
    };
    let [r, g, b] = rgb.map(|c| f64::from(c) / 255.0);
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    let (u, v) = ((b - y) / (2.0 * (1.0 - kb)), (r - y) / (2.0 * (1.0 - kr)));
    let (black, luma, colour) = if yuv.full_range { (0.0, 255.0, 255.0) } else { (16.0, 219.0, 224.0) };
    [black + luma * y, 128.0 + colour * u, 128.0 + colour * v].map(|x| x.round() as u8)
}

/// A frame whose squares of two by two pixels are of one colour each.
fn squares(yuv: Yuv, size: Size, colour: impl Fn(usize, usize) -> [u8; 3]) -> Frame {
    let (width, height) = (size.width as usize, size.height as usize);
    let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
    let at = |x: usize, y: usize| encode(yuv, colour(x / 2, y / 2));
    let packed = |order: fn([u8; 3]) -> [u8; 4]| -> Vec<u8> {
        (0..height).flat_map(|y| (0..columns).flat_map(move |x| order(at(2 * x, y)))).collect()
    };
    let plane = |of: &dyn Fn([u8; 3]) -> Vec<u8>| -> Vec<u8> {
        (0..rows).flat_map(|y| (0..columns).flat_map(move |x| of(at(2 * x, 2 * y)))).collect()
    };
    let luma: Vec<u8> = (0..width * height).map(|i| at(i % width, i / width)[0]).collect();
    let pixels = match yuv.layout {
        YuvLayout::Yuyv => packed(|[y, u, v]| [y, u, y, v]),
        YuvLayout::Uyvy => packed(|[y, u, v]| [u, y, v, y]),
        YuvLayout::Nv12 => [luma, plane(&|[_, u, v]| vec![u, v])].concat(),
        YuvLayout::I420 => [luma, plane(&|[_, u, _]| vec![u]), plane(&|[_, _, v]| vec![v])].concat(),
    };
    Frame::new(0, size, PixelFormat::Yuv(yuv), pixels)
}

#[test]
fn colours_of_every_layout_are_those_of_the_standards() {
    let mut random = Random(81);
    for yuv in yuv_formats() {
        for size in [Size::new(1, 1), Size::new(6, 4), Size::new(7, 5)] {
            let colours = random.bytes(3 * 16);
            let colour = |x: usize, y: usize| colours[3 * (4 * y + x)..][..3].try_into().expect("three");
            let frame = squares(yuv, size, colour);
            let mut plain = Vec::new();
            let (plain, channels) = frame.plain(&mut plain);
            let (mut gray, mut buffer) = (vec![0; size.area()], Vec::new());
            frame.write_gray(&mut gray);
            assert_eq!((channels, frame.gray(&mut buffer)), (3, gray.as_slice()));
            for i in 0..size.area() {
                let (x, y) = (i % size.width as usize, i / size.width as usize);
                let found = frame.rgb(x as u32, y as u32);
                let apart = found.iter().zip(colour(x / 2, y / 2)).map(|(a, b)| a.abs_diff(b)).max();
                assert!(
                    apart <= Some(3),
                    "{yuv:?} of {size} at {x}, {y}: {found:?}, expected {:?}",
                    colour(x / 2, y / 2)
                );
                assert_eq!(plain[3 * i..][..3], found, "{yuv:?} of {size} at {x}, {y}");
                assert_eq!(gray[i], luma(found[0], found[1], found[2]), "{yuv:?} of {size} at {x}, {y}");
            }
        }
    }
}

#[test]
fn grey_has_no_colour_and_keeps_its_order() {
    for yuv in yuv_formats() {
        let size = Size::new(2, 2);
        let levels = (0..=255).map(|level| {
            let frame = squares(yuv, size, |_, _| [level; 3]);
            let [r, g, b] = frame.rgb(0, 0);
            assert_eq!((r, r), (g, b), "{yuv:?}, level {level}");
            assert!(r.abs_diff(level) <= 1, "{yuv:?}, level {level}: {r}");
            r
        });
        assert!(levels.is_sorted(), "{yuv:?}");
    }
}

#[test]
fn sixteen_bits_become_eight_by_rounding() {
    let levels: Vec<u16> =
        (0..=255).flat_map(|v: u16| [(v * 257).saturating_sub(128), v * 257, (v * 257).saturating_add(128)]).collect();
    let size = Size::new(levels.len() as u32, 1);
    let frame = Frame::new(0, size, PixelFormat::Gray16, levels.iter().flat_map(|v| v.to_le_bytes()).collect());
    let mut buffer = Vec::new();
    let expected: Vec<u8> = levels.iter().map(|&v| (f64::from(v) / 257.0).round() as u8).collect();
    assert_eq!(frame.gray(&mut buffer), expected);
    assert_eq!(frame.rgb(4, 0), [1; 3]);
    assert_eq!(frame.plain(&mut Vec::new()), (expected.as_slice(), 1));
}
