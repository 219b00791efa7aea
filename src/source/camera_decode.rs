//! From what a camera driver gives to grey or RGB.

use std::panic::catch_unwind;

use nokhwa::Buffer;
use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::FrameFormat;

use crate::frame::PixelFormat;
use crate::geometry::Size;

/// Size, layout and bytes of a picture, or what is wrong with it.
///
/// # References
/// YUV to RGB: ITU-R BT.601, studio range, 8-bit fixed point (R = 1.164 (Y − 16) + 1.596 (V − 128) …).
pub(super) fn decode(buffer: &Buffer) -> Result<(Size, PixelFormat, Vec<u8>), String> {
    let size = Size::new(buffer.resolution().width(), buffer.resolution().height());
    let (area, data) = (size.area(), buffer.buffer());
    // The driver's memory is rounded up to whole pages: what is behind the picture is not part of it.
    let exact = |bytes: usize| data.get(..bytes).ok_or_else(|| format!("expected {bytes} bytes, got {}", data.len()));
    let mut rgb = vec![0; area * 3];
    match buffer.source_frame_format() {
        FrameFormat::GRAY => return Ok((size, PixelFormat::Gray8, exact(area)?.to_vec())),
        FrameFormat::RAWRGB => rgb.copy_from_slice(exact(area * 3)?),
        FrameFormat::RAWBGR => {
            for (o, p) in rgb.chunks_exact_mut(3).zip(exact(area * 3)?.chunks_exact(3)) {
                o.copy_from_slice(&[p[2], p[1], p[0]]);
            }
        }
        FrameFormat::YUYV => {
            for (o, p) in rgb.chunks_exact_mut(6).zip(exact(area / 2 * 4)?.chunks_exact(4)) {
                o[..3].copy_from_slice(&to_rgb(p[0], p[1], p[3]));
                o[3..].copy_from_slice(&to_rgb(p[2], p[1], p[3]));
            }
        }
        FrameFormat::NV12 => {
            let (width, data) = (
                size.width as usize,
                exact(area + 2 * size.width.div_ceil(2) as usize * size.height.div_ceil(2) as usize)?,
            );
            let (luma, chroma) = data.split_at(area);
            for (i, o) in rgb.chunks_exact_mut(3).enumerate() {
                let c = (i / width / 2) * width.div_ceil(2) * 2 + i % width / 2 * 2;
                o.copy_from_slice(&to_rgb(luma[i], chroma[c], chroma[c + 1]));
            }
        }
        FrameFormat::MJPEG => {
            // libjpeg reports a broken picture by unwinding.
            let image = catch_unwind(|| buffer.decode_image::<RgbFormat>());
            let image = image.map_err(|_| "broken JPEG".to_owned())?.map_err(|e| e.to_string())?;
            rgb = image.into_raw();
            if rgb.len() != area * 3 {
                return Err(format!("expected a JPEG of {size}, got {} bytes of RGB", rgb.len()));
            }
        }
    }
    Ok((size, PixelFormat::Rgb8, rgb))
}

fn to_rgb(y: u8, u: u8, v: u8) -> [u8; 3] {
    let (y, u, v) = (298 * (i32::from(y) - 16), i32::from(u) - 128, i32::from(v) - 128);
    [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u].map(|c| ((c + 128) >> 8).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nokhwa::utils::Resolution;

    fn buffer(width: u32, height: u32, format: FrameFormat, bytes: &[u8]) -> Buffer {
        Buffer::new(Resolution::new(width, height), bytes, format)
    }

    #[test]
    fn bytes_behind_the_picture_are_left_out() {
        let yuyv = [16, 128, 235, 128, 81, 90, 81, 240, 7, 7, 7];
        let (size, _, rgb) = decode(&buffer(2, 2, FrameFormat::YUYV, &yuyv)).unwrap();
        assert_eq!((size, &rgb[..6]), (Size::new(2, 2), &[0, 0, 0, 255, 255, 255][..]));
        assert!(rgb[6] > 250 && rgb[7] < 5 && rgb[8] < 5, "red, {:?}", &rgb[6..]);
        let (_, format, grey) = decode(&buffer(2, 1, FrameFormat::GRAY, &[5, 6, 7])).unwrap();
        assert_eq!((format, grey), (PixelFormat::Gray8, vec![5, 6]));
    }

    #[test]
    fn nv12_has_one_colour_for_four_pixels() {
        let nv12 = [16, 235, 16, 235, 128, 128];
        let (_, _, rgb) = decode(&buffer(2, 2, FrameFormat::NV12, &nv12)).unwrap();
        assert_eq!(rgb, [0, 0, 0, 255, 255, 255, 0, 0, 0, 255, 255, 255]);
    }

    #[test]
    fn short_and_broken_pictures_are_sentences() {
        for format in [FrameFormat::YUYV, FrameFormat::NV12, FrameFormat::GRAY, FrameFormat::RAWBGR] {
            assert!(decode(&buffer(4, 4, format, &[0; 3])).unwrap_err().contains("got 3"));
        }
        assert!(decode(&buffer(4, 4, FrameFormat::MJPEG, &[0xff, 0xd8, 1, 2])).is_err());
    }
}
