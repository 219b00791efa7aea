//! Plots as SVG, in the colours of the page around them.

use std::fmt::Write as _;

use super::escaped;

/// Width and height of a plot, and the room for its axes: left, top, right, bottom.
const SIZE: [f64; 2] = [360.0, 250.0];
const ROOM: [f64; 4] = [52.0, 10.0, 12.0, 40.0];
/// Width of a list of rows, which has all of the page, and the height of a row.
const WIDE: f64 = 900.0;
const ROW: f64 = 16.0;

/// A plot that is being drawn; both axes begin at 0.
pub struct Plot {
    body: String,
    ends: [f64; 2],
    size: [f64; 2],
    left: f64,
}

/// What a line or a mark looks like: a class of the style sheet.
pub type Look = &'static str;

impl Plot {
    /// With axes up to `ends`, their names, and ticks at quarters.
    pub fn new(names: [&str; 2], ends: [f64; 2]) -> Self {
        Self::sized(names, ends, SIZE)
    }

    /// The same over all of the page.
    pub fn wide(names: [&str; 2], ends: [f64; 2]) -> Self {
        Self::sized(names, ends, [WIDE, SIZE[1]])
    }

    fn sized(names: [&str; 2], ends: [f64; 2], size: [f64; 2]) -> Self {
        let mut plot = Self { body: String::new(), ends, size, left: ROOM[0] };
        for i in 0..=4 {
            let part = f64::from(i) / 4.0;
            let [x, y] = [part * ends[0], part * ends[1]];
            let ([gx, _], [_, gy]) = (plot.at([x, 0.0]), plot.at([0.0, y]));
            plot.rule([0.0, y], [ends[0], y], if i == 0 { "axis" } else { "grid" });
            plot.label([gx, size[1] - ROOM[3] + 15.0], "tick mid", &tick(x, ends[0]));
            plot.label([ROOM[0] - 6.0, gy + 4.0], "tick end", &tick(y, ends[1]));
        }
        plot.label([(ROOM[0] + size[0] - ROOM[2]) / 2.0, size[1] - 6.0], "name mid", names[0]);
        let middle = (ROOM[1] + size[1] - ROOM[3]) / 2.0;
        let _ = write!(
            plot.body,
            "<text class=\"name mid\" transform=\"translate(13 {middle:.1}) rotate(-90)\">{}</text>",
            escaped(names[1])
        );
        plot
    }

    /// Rows of a list, from 0 to 1 across, each with its name at the left.
    pub fn rows(name: &str, rows: &[String]) -> Self {
        let longest = rows.iter().map(|r| shortened(r).chars().count()).max().unwrap_or(0);
        let left = 14.0 + 6.2 * longest as f64;
        let size = [WIDE, ROOM[1] + ROW * rows.len() as f64 + ROOM[3]];
        let mut plot = Self { body: String::new(), ends: [1.0, rows.len() as f64], size, left };
        for i in 0..=4 {
            let x = f64::from(i) / 4.0;
            plot.rule([x, 0.0], [x, rows.len() as f64], if i == 0 { "axis" } else { "grid" });
            let [gx, _] = plot.at([x, 0.0]);
            plot.label([gx, size[1] - ROOM[3] + 15.0], "tick mid", &tick(x, 1.0));
        }
        for (i, row) in rows.iter().enumerate() {
            let [_, y] = plot.at([0.0, plot.row(i)]);
            plot.label([left - 6.0, y + 3.5], "tick end", &shortened(row));
        }
        let [middle, _] = plot.at([0.5, 0.0]);
        plot.label([middle, size[1] - 6.0], "name mid", name);
        plot
    }

    /// The height of row `i` of a list.
    pub fn row(&self, i: usize) -> f64 {
        self.ends[1] - i as f64 - 0.5
    }

    fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let width = self.size[0] - self.left - ROOM[2];
        let height = self.size[1] - ROOM[1] - ROOM[3];
        [self.left + x / self.ends[0] * width, ROOM[1] + height - y / self.ends[1] * height]
    }

    fn label(&mut self, [x, y]: [f64; 2], look: Look, text: &str) {
        let _ = write!(self.body, "<text class=\"{look}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text));
    }

    /// A straight line.
    pub fn rule(&mut self, from: [f64; 2], to: [f64; 2], look: Look) {
        let ([x1, y1], [x2, y2]) = (self.at(from), self.at(to));
        let _ =
            write!(self.body, "<line class=\"{look}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>");
    }

    /// A line through points.
    pub fn line(&mut self, points: impl IntoIterator<Item = [f64; 2]>, look: Look) {
        let points: Vec<String> = points
            .into_iter()
            .map(|p| {
                let [x, y] = self.at(p);
                format!("{x:.1},{y:.1}")
            })
            .collect();
        let _ = write!(self.body, "<polyline class=\"{look}\" points=\"{}\"/>", points.join(" "));
    }

    /// A rectangle between two corners, with a word for whoever points at it.
    pub fn bar(&mut self, from: [f64; 2], to: [f64; 2], look: Look, says: &str) {
        let ([x1, y1], [x2, y2]) = (self.at(from), self.at(to));
        let _ = write!(
            self.body,
            "<rect class=\"{look}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            x1.min(x2),
            y1.min(y2),
            (x2 - x1).abs(),
            (y2 - y1).abs(),
            escaped(says)
        );
    }

    /// A dot, with a word for whoever points at it.
    pub fn dot(&mut self, at: [f64; 2], radius: f64, look: Look, says: &str) {
        let [x, y] = self.at(at);
        let _ = write!(
            self.body,
            "<circle class=\"{look}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"><title>{}</title></circle>",
            escaped(says)
        );
    }

    /// Words beside a point.
    pub fn says(&mut self, at: [f64; 2], by: [f64; 2], look: Look, text: &str) {
        let [x, y] = self.at(at);
        self.label([x + by[0], y + by[1]], look, text);
    }

    /// The whole, with what it shows below it.
    pub fn figure(self, caption: &str) -> String {
        let [width, height] = self.size;
        format!(
            "<figure><svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\">{}</svg><figcaption>{}</figcaption></figure>\n",
            self.body,
            escaped(caption)
        )
    }
}

/// A figure that cannot be drawn, and why.
pub fn without(title: &str, why: &str) -> String {
    format!("<figure class=\"none\"><p>{}</p><figcaption>{}</figcaption></figure>\n", escaped(why), escaped(title))
}

fn tick(value: f64, end: f64) -> String {
    if end > 4.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// A name with its middle left out where it is long: its ends tell it from its neighbours.
fn shortened(name: &str) -> String {
    let letters: Vec<char> = name.chars().collect();
    if letters.len() <= 26 {
        return name.to_owned();
    }
    let (first, last) = (&letters[..11], &letters[letters.len() - 14..]);
    format!("{}…{}", first.iter().collect::<String>(), last.iter().collect::<String>())
}
