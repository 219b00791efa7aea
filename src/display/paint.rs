//! Antialiased shapes: rounded boxes, discs, rings, bars, the signs of the states.

use super::canvas::Canvas;
use crate::geometry::Rect;

/// Paints every pixel of a box whose signed distance to a shape (negative inside) is below one half.
fn shape(canvas: &mut Canvas, [x0, y0, x1, y1]: [f32; 4], color: u32, distance: impl Fn(f32, f32) -> f32) {
    for y in y0.floor() as i32 - 1..=y1.ceil() as i32 {
        for x in x0.floor() as i32 - 1..=x1.ceil() as i32 {
            let cover = 0.5 - distance(x as f32 + 0.5, y as f32 + 0.5);
            if cover > 0.0 {
                canvas.blend(x, y, color, cover.min(1.0));
            }
        }
    }
}

/// Signed distance to a box with round corners.
///
/// # References
/// Inigo Quilez, "2D distance functions", `sdRoundedBox`.
fn rounded(r: Rect, radius: f32) -> impl Fn(f32, f32) -> f32 {
    let (hw, hh) = (r.width as f32 / 2.0, r.height as f32 / 2.0);
    let (cx, cy) = (r.x as f32 + hw, r.y as f32 + hh);
    move |x, y| {
        let (qx, qy) = ((x - cx).abs() - hw + radius, (y - cy).abs() - hh + radius);
        qx.max(0.0).hypot(qy.max(0.0)) + qx.max(qy).min(0.0) - radius
    }
}

fn bounds(r: Rect) -> [f32; 4] {
    [r.x as f32, r.y as f32, (r.x + r.width) as f32, (r.y + r.height) as f32]
}

/// A filled box with round corners.
pub fn filled_box(canvas: &mut Canvas, r: Rect, radius: f32, color: u32) {
    shape(canvas, bounds(r), color, rounded(r, radius));
}

/// The border of such a box, inside of it.
pub fn outlined_box(canvas: &mut Canvas, r: Rect, radius: f32, width: f32, color: u32) {
    let d = rounded(r, radius);
    shape(canvas, bounds(r), color, move |x, y| (d(x, y) + width / 2.0).abs() - width / 2.0);
}

/// The same border with gaps: every other run of `dash` pixels along the diagonal.
pub fn dashed_box(canvas: &mut Canvas, r: Rect, radius: f32, width: f32, dash: f32, color: u32) {
    let d = rounded(r, radius);
    shape(canvas, bounds(r), color, move |x, y| {
        let border = (d(x, y) + width / 2.0).abs() - width / 2.0;
        if ((x + y) / dash).rem_euclid(2.0) < 1.2 { border } else { f32::MAX }
    });
}

/// A filled disc.
pub fn disc(canvas: &mut Canvas, cx: f32, cy: f32, r: f32, color: u32) {
    shape(canvas, [cx - r, cy - r, cx + r, cy + r], color, |x, y| (x - cx).hypot(y - cy) - r);
}

/// A ring whose line lies inside of `r`.
pub fn ring(canvas: &mut Canvas, cx: f32, cy: f32, r: f32, width: f32, color: u32) {
    let half = width / 2.0;
    shape(canvas, [cx - r, cy - r, cx + r, cy + r], color, |x, y| ((x - cx).hypot(y - cy) - r + half).abs() - half);
}

/// The outline of a square that stands on its corner.
pub fn diamond(canvas: &mut Canvas, cx: f32, cy: f32, r: f32, width: f32, color: u32) {
    let half = width / 2.0;
    shape(canvas, [cx - r, cy - r, cx + r, cy + r], color, |x, y| {
        (((x - cx).abs() + (y - cy).abs() - r) * std::f32::consts::FRAC_1_SQRT_2 + half).abs() - half
    });
}

/// A straight line with round ends.
pub fn line(canvas: &mut Canvas, [ax, ay]: [f32; 2], [bx, by]: [f32; 2], width: f32, color: u32) {
    let half = width / 2.0;
    let (dx, dy) = (bx - ax, by - ay);
    let length2 = (dx * dx + dy * dy).max(1e-6);
    let area = [ax.min(bx) - half, ay.min(by) - half, ax.max(bx) + half, ay.max(by) + half];
    shape(canvas, area, color, |x, y| {
        let t = (((x - ax) * dx + (y - ay) * dy) / length2).clamp(0.0, 1.0);
        (x - ax - t * dx).hypot(y - ay - t * dy) - half
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::Size;

    #[test]
    fn shapes_cover_their_middle_and_leave_their_outside() {
        let mut c = Canvas::new(Size::new(20, 20), 0);
        filled_box(&mut c, Rect { x: 2, y: 2, width: 16, height: 16 }, 4.0, 0x00ff_ffff);
        assert_eq!((c.pixels[10 * 20 + 10], c.pixels[2 * 20 + 10]), (0x00ff_ffff, 0x00ff_ffff));
        assert_eq!((c.pixels[10 * 20 + 1], c.pixels[2 * 20 + 2]), (0, 0));
        let mut c = Canvas::new(Size::new(20, 20), 0);
        ring(&mut c, 10.0, 10.0, 8.0, 2.0, 0x00ff_ffff);
        assert_eq!(c.pixels[10 * 20 + 10], 0);
        assert!(c.pixels[10 * 20 + 3] > 0);
    }
}
