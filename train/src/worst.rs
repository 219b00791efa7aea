//! A sheet of the frames on which a network does worst, to be looked at.

use std::path::Path;

use burn::tensor::backend::Backend;
use sonoplex::display::{Canvas, Tile, contact_sheet};
use sonoplex::frame::{Frame, PixelFormat};
use sonoplex::geometry::Size;
use sonoplex::segmenter::spec::COLORS;

use crate::data::Example;
use crate::judge::{Judged, THRESHOLD, judge};
use crate::network::Network;

/// Frames on a sheet.
const FRAMES: usize = 12;

/// Draws the worst frames: what was found is filled, the truth is its outline in white.
///
/// # Errors
/// When the picture cannot be written.
pub fn sheet<B: Backend>(
    path: &Path,
    network: &Network<B>,
    examples: &[Example],
    size: [usize; 2],
    device: &B::Device,
) -> anyhow::Result<()> {
    let mut judged: Vec<Judged> = Vec::with_capacity(FRAMES + 1);
    // No more than are drawn are kept: the maps of all frames may be larger than the memory.
    judge(network, examples, size, device, |one| {
        let place = judged.partition_point(|other| other.mean().total_cmp(&one.mean()).is_le());
        judged.insert(place, one);
        judged.truncate(FRAMES);
    });
    let [width, height] = size;
    let tiles: Vec<Tile> = judged
        .iter()
        .map(|one| {
            let example = &examples[one.example];
            let [from_width, from_height] = example.size;
            // each pixel twice, so that outlines can be told from what they surround
            let (w, h) = (2 * width, 2 * height);
            let from = |x: usize, y: usize| (y * from_height / h) * from_width + x * from_width / w;
            let gray = (0..w * h).map(|i| example.picture[from(i % w, i / w)]).collect();
            let at = Size::new(w as u32, h as u32);
            let mut picture = Canvas::from_frame(&Frame::new(0, at, PixelFormat::Gray8, gray));
            for y in 0..h {
                for x in 0..w {
                    let truth = example.truth[from(x, y)];
                    let edge = truth > 0
                        && [(0, 1), (1, 0), (2, 1), (1, 2)].iter().any(|&(dx, dy)| {
                            let (nx, ny) =
                                ((x + dx).saturating_sub(1).min(w - 1), (y + dy).saturating_sub(1).min(h - 1));
                            example.truth[from(nx, ny)] != truth
                        });
                    let pixel = &mut picture.pixels[y * w + x];
                    let found = one.probability.iter().position(|p| p[y / 2 * width + x / 2] >= THRESHOLD);
                    if edge {
                        *pixel = 0xFF_FFFF;
                    } else if let Some(class) = found {
                        *pixel = mix(*pixel, COLORS[class % COLORS.len()]);
                    }
                }
            }
            let dice: Vec<String> = one.dice.iter().map(|d| d.map_or("–".to_owned(), |d| format!("{d:.2}"))).collect();
            Tile { picture, caption: format!("{}   Dice {}", example.id, dice.join(" / ")) }
        })
        .collect();
    Ok(contact_sheet(&tiles, 4).save_png(path)?)
}

/// Half the pixel, half the colour.
fn mix(pixel: u32, color: [u8; 3]) -> u32 {
    let color = u32::from_be_bytes([0, color[0], color[1], color[2]]);
    ((pixel & 0xFE_FEFE) >> 1) + ((color & 0xFE_FEFE) >> 1)
}
