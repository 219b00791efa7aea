//! Colours of the display: distinguishable with any colour vision, and never the only sign of anything.

use super::canvas::{channels, rgb};

/// Behind everything.
pub const BACKGROUND: u32 = 0x0007_090c;
/// Behind numbers.
pub const PANEL: u32 = 0x0010_151b;
/// Hairlines and the troughs of bars.
pub const LINE: u32 = 0x0025_2f3a;
/// Text that must be read.
pub const TEXT: u32 = 0x00eb_f1f6;
/// Text beside it.
pub const DIM: u32 = 0x0095_a3b0;
/// Black with a touch of blue, for halos and text on bright boxes.
pub const INK: u32 = 0x0005_070a;

// Okabe and Ito, "Color Universal Design", 2008: eight colours that dichromats tell apart.
/// Bluish green, dark enough for white text on it: found.
pub const GREEN_DEEP: u32 = 0x0000_7355;
/// Orange: doubt.
pub const ORANGE: u32 = 0x00e6_9f00;
/// Sky blue: stands still; bars.
pub const SKY: u32 = 0x0056_b4e9;
/// Vermilion: trouble, recording.
pub const VERMILION: u32 = 0x00d5_5e00;
/// Yellow: the edges.
pub const YELLOW: u32 = 0x00f0_e442;

/// Colour of a class that no model names.
pub const UNNAMED: [u8; 3] = [0xcc, 0x79, 0xa7];

/// Every sixteenth colour of viridis.
///
/// # References
/// S. van der Walt, N. Smith, "mpl colormaps", 2015 (CC0): perceptually uniform, also in grey and for dichromats.
/// Viridis and not cividis, whose middle is a grey that cannot be told from tissue.
const VIRIDIS: [u32; 17] = [
    0x0044_0154,
    0x0048_186a,
    0x0047_2d7b,
    0x0042_4086,
    0x003b_528b,
    0x0033_638d,
    0x002c_728e,
    0x0026_828e,
    0x0021_918c,
    0x001f_9f88,
    0x0027_ad81,
    0x003d_bc74,
    0x005c_c863,
    0x0081_d34d,
    0x00aa_dc32,
    0x00d5_e21a,
    0x00fd_e725,
];

/// Viridis of 0..=255, between the colours of the table linearly.
pub fn viridis(level: u8) -> u32 {
    let position = u32::from(level) * 16;
    let (i, f) = ((position / 255) as usize, position % 255);
    if i >= 16 {
        return VIRIDIS[16];
    }
    let [a, b] = [channels(VIRIDIS[i]), channels(VIRIDIS[i + 1])];
    let at = |k: usize| ((u32::from(a[k]) * (255 - f) + u32::from(b[k]) * f + 127) / 255) as u8;
    rgb(at(0), at(1), at(2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::luma;

    #[test]
    fn viridis_grows_brighter_all_the_way() {
        let light = |l: u8| {
            let [r, g, b] = channels(viridis(l));
            luma(r, g, b)
        };
        assert_eq!((viridis(0), viridis(255)), (0x0044_0154, 0x00fd_e725));
        assert!((1..=255).all(|l| light(l) >= light(l - 1)));
    }
}
