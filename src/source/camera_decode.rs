//! From what a camera driver gives to a picture.

use std::panic::catch_unwind;

use nokhwa::Buffer;
use nokhwa::pixel_format::RgbFormat;
use nokhwa::utils::FrameFormat;

use crate::frame::{PixelFormat, Yuv, YuvLayout};
use crate::geometry::Size;

/// Size, layout and bytes of a picture, or what is wrong with it.
pub(super) fn decode(buffer: &Buffer) -> Result<(Size, PixelFormat, Vec<u8>), String> {
    let size = Size::new(buffer.resolution().width(), buffer.resolution().height());
    let data = buffer.buffer();
    // The driver's memory is rounded up to whole pages: what is behind the picture is not part of it.
    let exact = |format: PixelFormat| {
        let bytes = format.bytes(size);
        data.get(..bytes).ok_or_else(|| format!("expected {bytes} bytes, got {}", data.len()))
    };
    let plain = match buffer.source_frame_format() {
        FrameFormat::GRAY => PixelFormat::Gray8,
        FrameFormat::RAWRGB | FrameFormat::RAWBGR => PixelFormat::Rgb8,
        FrameFormat::YUYV => PixelFormat::Yuv(Yuv::studio(YuvLayout::Yuyv)),
        FrameFormat::NV12 => PixelFormat::Yuv(Yuv::studio(YuvLayout::Nv12)),
        FrameFormat::MJPEG => {
            // libjpeg reports a broken picture by unwinding.
            let image = catch_unwind(|| buffer.decode_image::<RgbFormat>());
            let rgb = image.map_err(|_| "broken JPEG".to_owned())?.map_err(|e| e.to_string())?.into_raw();
            if rgb.len() != PixelFormat::Rgb8.bytes(size) {
                return Err(format!("expected a JPEG of {size}, got {} bytes of RGB", rgb.len()));
            }
            return Ok((size, PixelFormat::Rgb8, rgb));
        }
    };
    let mut pixels = exact(plain)?.to_vec();
    if buffer.source_frame_format() == FrameFormat::RAWBGR {
        pixels.as_chunks_mut().0.iter_mut().for_each(|[first, _, last]| std::mem::swap(first, last));
    }
    Ok((size, plain, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use nokhwa::utils::Resolution;

    fn buffer(width: u32, height: u32, format: FrameFormat, bytes: &[u8]) -> Buffer {
        Buffer::new(Resolution::new(width, height), bytes, format)
    }

    fn colours(buffer: &Buffer) -> (Size, Vec<u8>) {
        let (size, format, pixels) = decode(buffer).unwrap();
        (size, Frame::new(0, size, format, pixels).plain(&mut Vec::new()).0.to_vec())
    }

    #[test]
    fn bytes_behind_the_picture_are_left_out() {
        let yuyv = [16, 128, 235, 128, 81, 90, 81, 240, 7, 7, 7];
        let (size, rgb) = colours(&buffer(2, 2, FrameFormat::YUYV, &yuyv));
        assert_eq!((size, &rgb[..6]), (Size::new(2, 2), &[0, 0, 0, 255, 255, 255][..]));
        assert!(rgb[6] > 250 && rgb[7] < 5 && rgb[8] < 5, "red, {:?}", &rgb[6..]);
        let (_, format, grey) = decode(&buffer(2, 1, FrameFormat::GRAY, &[5, 6, 7])).unwrap();
        assert_eq!((format, grey), (PixelFormat::Gray8, vec![5, 6]));
    }

    #[test]
    fn nv12_has_one_colour_for_four_pixels() {
        let nv12 = [16, 235, 16, 235, 128, 128];
        let (_, rgb) = colours(&buffer(2, 2, FrameFormat::NV12, &nv12));
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
