//! Several pictures on one sheet, each with its caption.

use super::canvas::Canvas;
use super::color;
use super::panel::RESEARCH;
use super::text::{Face, Text};
use crate::geometry::Size;

/// One picture of a sheet.
#[derive(Clone, Debug)]
pub struct Tile {
    /// The picture.
    pub picture: Canvas,
    /// One line below it.
    pub caption: String,
}

/// Pixels between pictures.
const GAP: u32 = 12;
/// Rows of a caption.
const CAPTION: u32 = 26;

/// Puts pictures side by side in `columns` columns (at least one), all cells as large as the largest picture, with the
/// research line at the end.
pub fn contact_sheet(tiles: &[Tile], columns: usize) -> Canvas {
    let columns = columns.clamp(1, tiles.len().max(1)) as u32;
    let rows = (tiles.len() as u32).div_ceil(columns);
    let cell = tiles.iter().fold(Size::new(1, 1), |cell, t| {
        Size::new(cell.width.max(t.picture.size.width), cell.height.max(t.picture.size.height))
    });
    let size = Size::new(GAP + columns * (cell.width + GAP), GAP + rows * (cell.height + CAPTION + GAP) + CAPTION);
    let (text, mut sheet) = (Text::new(), Canvas::new(size, color::BACKGROUND));
    for (i, tile) in tiles.iter().enumerate() {
        let (column, row) = (i as u32 % columns, i as u32 / columns);
        let (x, y) = (GAP + column * (cell.width + GAP), GAP + row * (cell.height + CAPTION + GAP));
        let inset = |room: u32, used: u32| (room - used) / 2;
        let picture = tile.picture.size;
        sheet.place(&tile.picture, x + inset(cell.width, picture.width), y + inset(cell.height, picture.height));
        let base = (y + cell.height) as i32 + 18;
        text.draw_fitted(&mut sheet, Face::Body, x as i32, base, cell.width as i32, color::TEXT, &tile.caption);
    }
    let (x, width) = (GAP as i32, size.width as i32 - 2 * GAP as i32);
    text.draw_fitted(&mut sheet, Face::Body, x, size.height as i32 - 14, width, color::DIM, RESEARCH);
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_lie_in_rows_and_an_empty_sheet_is_a_sheet() {
        let tile = |v: u32| Tile { picture: Canvas::new(Size::new(40, 30), v), caption: String::new() };
        let sheet = contact_sheet(&[tile(0x11), tile(0x22), tile(0x33)], 2);
        assert_eq!(sheet.size, Size::new(12 + 2 * 52, 12 + 2 * 68 + 26));
        let at = |x: u32, y: u32| sheet.pixels[(y * sheet.size.width + x) as usize];
        assert_eq!((at(12, 12), at(64, 12), at(12, 80)), (0x11, 0x22, 0x33));
        assert!(contact_sheet(&[], 0).size.area() > 0);
    }
}
