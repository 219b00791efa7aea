//! The outer outline of a region.

use crate::geometry::Size;
use crate::segmentation::Contour;

use crate::backend::cpu::components::Component;

/// Steps right, down, left, up: clockwise on a screen whose rows count downwards.
const STEP: [(i64, i64); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];
/// The pixel ahead on the left and on the right of a corner, by the direction in which it is reached.
const AHEAD: [[(i64, i64); 2]; 4] = [[(0, -1), (0, 0)], [(0, 0), (-1, 0)], [(-1, 0), (-1, -1)], [(-1, -1), (0, -1)]];

/// Writes the outer outline of `component` into `outline`, which is cleared first.
///
/// The outline runs along the edges of the pixels (whose centres are at whole numbers, so its corners are at halves),
/// clockwise on the screen, with the region on its right hand; only corners are kept, and the last joins the first. A
/// region without holes has exactly the area that the outline encloses.
///
/// # References
/// Crack following: Rosenfeld & Kak, "Digital Picture Processing", 2nd edition, 1982, volume 2, section 11.2; the left
/// pixel is looked at first, so that pixels that touch by a corner stay together.
///
/// # Panics
/// When `labels` has not `size.area()` elements.
pub fn trace(labels: &[u8], size: Size, class: u8, component: &Component, outline: &mut Contour) {
    assert_eq!(labels.len(), size.area(), "labels of a {size} mask");
    outline.clear();
    let (width, height) = (i64::from(size.width), i64::from(size.height));
    let inside =
        |x: i64, y: i64| x >= 0 && y >= 0 && x < width && y < height && labels[(y * width + x) as usize] == class;
    let start = (i64::from(component.first[0]), i64::from(component.first[1]));
    // The corner above and left of the first pixel: no other edge of the outline passes through it.
    let (mut x, mut y) = start;
    let mut direction = 0;
    loop {
        if outline.is_empty() || (x, y) != start {
            outline.push([x as f32 - 0.5, y as f32 - 0.5]);
        }
        // Straight on until the outline turns.
        let turned = loop {
            x += STEP[direction].0;
            y += STEP[direction].1;
            if (x, y) == start {
                return;
            }
            let [left, right] = AHEAD[direction];
            if inside(x + left.0, y + left.1) {
                break (direction + 3) % 4;
            }
            if !inside(x + right.0, y + right.1) {
                break (direction + 1) % 4;
            }
        };
        direction = turned;
    }
}

/// Area that an outline encloses, in pixels; positive when it runs clockwise on the screen.
///
/// # References
/// The shoelace formula: Meister, 1769.
pub fn enclosed(outline: &[[f32; 2]]) -> f64 {
    let next = outline.iter().cycle().skip(1);
    let twice: f64 = outline
        .iter()
        .zip(next)
        .map(|(a, b)| f64::from(a[0]) * f64::from(b[1]) - f64::from(b[0]) * f64::from(a[1]))
        .sum();
    twice / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cpu::components::Components;

    fn outlines(picture: &[&str]) -> Vec<(Component, Contour)> {
        let size = Size::new(picture[0].len() as u32, picture.len() as u32);
        let mut labels: Vec<u8> = picture.iter().flat_map(|r| r.bytes().map(|b| u8::from(b == b'1'))).collect();
        let mut components = Components::default();
        let found = components.find(&mut labels, size, 1, 0).to_vec();
        let trace_one = |c: &Component| {
            let mut outline = Contour::new();
            trace(&labels, size, 1, c, &mut outline);
            outline
        };
        found.iter().map(|c| (*c, trace_one(c))).collect()
    }

    #[test]
    fn a_pixel_has_four_corners_clockwise() {
        let found = outlines(&["..", ".1"]);
        assert_eq!(found[0].1, [[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5]]);
        assert_eq!(enclosed(&found[0].1), 1.0);
    }

    #[test]
    fn pixels_that_touch_by_a_corner_share_an_outline() {
        let found = outlines(&["1..", ".1.", "1.1"]);
        assert_eq!(found.len(), 1);
        assert_eq!(enclosed(&found[0].1), 4.0);
    }

    #[test]
    fn holes_are_enclosed_and_the_largest_comes_first() {
        let found = outlines(&["1......", "..1111.", "..1..1.", "..1111.", "......."]);
        assert_eq!(enclosed(&found[0].1), 12.0);
        assert_eq!(found[0].0.area, 10);
        assert_eq!(enclosed(&found[1].1), 1.0);
    }

    #[test]
    fn a_region_without_holes_encloses_its_area() {
        let found = outlines(&["..11...11", "1111..11.", ".111111..", "...11111.", "..1...111"]);
        let (component, outline) = &found[0];
        assert_eq!(found.len(), 1);
        assert_eq!(enclosed(outline), component.area as f64);
        for pair in outline.windows(2) {
            assert!((pair[0][0] == pair[1][0]) != (pair[0][1] == pair[1][1]), "only corners are kept");
        }
    }
}
