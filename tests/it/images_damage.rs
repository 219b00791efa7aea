//! Pictures and masks that are not what they seem.

use std::fs;
use std::path::Path;

use sonoplex::source::Source;
use sonoplex::source::images::{Images, decode, layout};

use crate::images::sentence;

/// A palette PNG of one row.
fn palette(path: &Path, indices: &[u8]) {
    let file = fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, indices.len() as u32, 1);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette((0..=255u8).flat_map(|v| [v; 3]).collect::<Vec<_>>());
    encoder.write_header().unwrap().write_image_data(indices).unwrap();
}

#[test]
fn a_jpeg_that_is_cut_is_no_picture_and_no_mask() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.jpg");
    image::GrayImage::from_fn(64, 64, |x, y| image::Luma([(x * y % 251) as u8])).save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    assert_eq!(decode::picture(&path).unwrap().pixels.len(), 64 * 64);
    for length in [whole.len() - 2, whole.len() * 2 / 3] {
        fs::write(&path, &whole[..length]).unwrap();
        let said = sentence(&decode::picture(&path).err().expect("it is refused"), "a.jpg");
        assert!(said.contains("cut short"), "{said}");
        assert!(decode::mask(&path).is_err());
    }
}

#[test]
fn indices_of_a_grey_palette_are_no_classes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a_mask.png");
    let read = |indices: &[u8]| {
        palette(&path, indices);
        decode::mask(&path).map(|mask| mask.labels)
    };
    assert_eq!(read(&[0, 255, 255]).unwrap(), [0, 1, 1]);
    assert_eq!(read(&[0, 2, 15]).unwrap(), [0, 2, 15]);
    for (indices, label) in [([0, 1, 255], 255), ([0, 200, 0], 200)] {
        let said = sentence(&read(&indices).unwrap_err(), "a_mask.png");
        assert!(said.contains(&format!("it has label {label}")), "{said}");
    }
}

#[test]
fn colours_in_floating_point_go_from_0_to_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    let save = |level: f32| image::Rgb32FImage::from_pixel(3, 2, image::Rgb([0.0, level, 0.5])).save(&path).unwrap();
    save(1.0);
    assert_eq!(decode::picture(&path).unwrap().pixels[..3], [0, 255, 128]);
    for level in [200.0, f32::NAN, -0.5] {
        save(level);
        let said = sentence(&decode::picture(&path).err().expect("it is refused"), "a.tif");
        assert!(said.contains("floating-point level"), "{said}");
    }
}

#[test]
fn masks_are_found_whatever_their_ending_and_the_folder_are_called() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("images")).unwrap();
    fs::create_dir_all(at("masks")).unwrap();
    let save = |name: &str, level: u8| {
        let pixels = image::GrayImage::from_pixel(2, 2, image::Luma([level]));
        pixels.save_with_format(at(name), image::ImageFormat::Png).unwrap();
    };
    save("images/a.PNG", 9);
    save("masks/a.PNG", 255);
    save("b.PNG", 9);
    save("b_mask.PNG", 255);
    for (picture, mask) in [("b.PNG", "b_mask.PNG"), ("images/a.PNG", "masks/a.PNG")] {
        let found = layout::single(&at(picture)).pairs[0].1.clone().expect(picture);
        assert_eq!(found.file_name(), Path::new(mask).file_name());
        assert!(Images::open(&at(picture)).unwrap().next().unwrap().unwrap().truth.is_some(), "{picture}");
    }
    // A folder that is not called by its name.
    let found = layout::folder(&at("images/../masks/../images/.")).unwrap();
    assert!(found.pairs[0].1.is_some());
    assert!(layout::folder(&at("masks/../images/../images")).unwrap().pairs[0].1.is_some());
    assert_eq!(layout::named(Path::new(".")), std::env::current_dir().unwrap().canonicalize().unwrap());
    assert_eq!(layout::named(Path::new("")), layout::named(Path::new(".")));
}

#[test]
fn pictures_of_8_bits_among_deeper_ones_leave_them_one_scale() {
    let dir = tempfile::tempdir().unwrap();
    let deep = |name: &str, level: u16| {
        let pixels: image::ImageBuffer<image::Luma<u16>, _> =
            image::ImageBuffer::from_pixel(2, 2, image::Luma([level]));
        pixels.save(dir.path().join(name)).unwrap();
    };
    image::GrayImage::from_pixel(2, 2, image::Luma([9])).save(dir.path().join("1.png")).unwrap();
    deep("2.png", 4000);
    deep("3.png", 900);
    let mut source = Images::open(dir.path()).unwrap();
    let levels: Vec<u8> = (0..3).map(|_| source.next().unwrap().unwrap().pixels[0]).collect();
    assert_eq!(levels, [9, 249, 56]);
}

#[test]
fn a_mask_with_two_drawn_levels_is_refused_and_soft_edges_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a_mask.png");
    let read = |level: &dyn Fn(u32, u32) -> u8| {
        image::GrayImage::from_fn(40, 30, |x, y| image::Luma([level(x, y)])).save(&path).unwrap();
        decode::mask(&path).map(|mask| mask.labels.iter().filter(|&&label| label == 1).count())
    };
    // Two classes as a drawing program shows them: one would be the other, or nothing.
    for level in [85, 127, 128, 200] {
        let two = |x: u32, _| [0, level, 255, 0][x as usize / 10];
        let said = read(&two).unwrap_err().to_string();
        assert!(said.contains(&format!("the level {level} beside 255")) && said.contains("a_mask.png"), "{said}");
    }
    // A soft edge of three pixels, with 127 and 128 in lines, and the noise of a JPEG.
    assert_eq!(read(&|x, _| [0, 64, 127, 128, 191, 255][(x as usize / 2).min(5)]).unwrap(), 34 * 30);
    assert_eq!(read(&|x, y| if x < 20 { (y % 9) as u8 } else { 255 - (x % 7) as u8 }).unwrap(), 20 * 30);
}
