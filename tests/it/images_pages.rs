//! TIFFs of several pages: a sequence where one is opened, and too many where one picture is meant.

use std::fs;
use std::path::Path;

use sonoplex::source::Source;
use sonoplex::source::images::{Images, decode};

use crate::images::{all, sentence};

/// A TIFF of `pages` pages of one grey level each, uncompressed.
fn stack(path: &Path, width: u32, height: u32, pages: u32) {
    let area = width * height;
    let mut file = b"II*\0\x08\0\0\0".to_vec();
    for page in 0..pages {
        // width, height, bits, compression, black is 0, place, rows and bytes of the only strip
        let pixels = file.len() as u32 + 2 + 8 * 12 + 4;
        let tags =
            [(256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, pixels), (278, height), (279, area)];
        file.extend((tags.len() as u16).to_le_bytes());
        for (tag, value) in tags {
            file.extend(u16::to_le_bytes(tag));
            file.extend([4, 0, 1, 0, 0, 0]);
            file.extend(value.to_le_bytes());
        }
        let next = if page + 1 == pages { 0 } else { pixels + area };
        file.extend(next.to_le_bytes());
        file.extend(vec![(10 * page) as u8; area as usize]);
    }
    fs::write(path, file).unwrap();
}

#[test]
fn pages_are_played_from_a_file_and_not_lost_in_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    stack(&dir.path().join("2.tif"), 5, 4, 3);
    stack(&dir.path().join("1.tif"), 5, 4, 1);
    let levels: Vec<u8> =
        all(&mut Images::open(&dir.path().join("2.tif")).unwrap()).iter().map(|f| f.pixels[0]).collect();
    assert_eq!(levels, [0, 10, 20]);
    let mut folder = Images::open(dir.path()).unwrap();
    assert_eq!(folder.next().unwrap().unwrap().pixels, [0; 20]);
    let said = sentence(&folder.next().unwrap_err(), "2.tif");
    assert!(said.contains("3 pages"), "{said}");
    assert!(sentence(&decode::mask(&dir.path().join("2.tif")).unwrap_err(), "2.tif").contains("3 pages"));
    assert_eq!(decode::mask(&dir.path().join("1.tif")).unwrap().area(1), 0);
}

#[test]
fn the_pages_of_a_cut_file_are_played_and_the_cut_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.tif");
    stack(&path, 5, 4, 4);
    let whole = fs::read(&path).unwrap();
    // A directory of eight entries and 20 pixels each.
    for (pages, length) in [(2, 8 + 2 * 122), (1, 8 + 122), (3, whole.len() - 25)] {
        fs::write(&path, &whole[..length]).unwrap();
        let mut source = Images::open(&path).unwrap();
        for page in 0..pages {
            assert_eq!(source.next().unwrap().unwrap().pixels[0], 10 * page as u8);
        }
        let said = sentence(&source.next().unwrap_err(), "a.tif");
        assert!(said.contains(&format!("{pages} pages are there, and more are promised")), "{said}");
        assert!(source.next().unwrap().is_none(), "said once");
        assert!(decode::mask(&path).is_err());
    }
}
