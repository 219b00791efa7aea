//! Loss and Dice over the epochs as a picture.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;
use sonoplex::segmentation::Class;

use crate::trainer::Epoch;

/// Draws `curves.svg`: the loss above, the Dice of every class below.
///
/// # Errors
/// When the file cannot be written.
pub fn draw(path: &Path, history: &[Epoch], classes: &[Class]) -> anyhow::Result<()> {
    let mut svg = String::new();
    paint(&mut svg, history, classes).map_err(|e| anyhow::anyhow!("cannot draw the curves: {e}"))?;
    sonoplex::write::whole(path, svg.as_bytes()).with_context(|| format!("cannot write `{}`", path.display()))
}

/// Okabe & Ito's colours, told apart by everybody.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

fn paint(svg: &mut String, history: &[Epoch], classes: &[Class]) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, (900, 620)).into_drawing_area();
    root.fill(&WHITE)?;
    let (above, below) = root.split_vertically(300);
    let last = history.last().map_or(1, |e| e.epoch).max(2);
    let most = history.iter().map(|e| e.loss).fold(0.1, f64::max);
    let font = ("sans-serif", 16);
    let mut loss = ChartBuilder::on(&above)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .caption("Mean loss of the frames that are trained on", font)
        .build_cartesian_2d(1..last, 0.0..most * 1.05)?;
    loss.configure_mesh().light_line_style(WHITE).x_desc("epoch").y_desc("loss").draw()?;
    loss.draw_series(LineSeries::new(history.iter().map(|e| (e.epoch, e.loss)), BLACK.stroke_width(2)))?;
    let mut dice = ChartBuilder::on(&below)
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .caption("Mean Dice of the frames that validate and show the class, at the size of the network", font)
        .build_cartesian_2d(1..last, 0.0..1.0)?;
    dice.configure_mesh().light_line_style(WHITE).x_desc("epoch").y_desc("Dice").draw()?;
    for (i, class) in classes.iter().enumerate() {
        let color = COLORS[i % COLORS.len()];
        let points = history.iter().filter_map(|e| Some((e.epoch, e.verdict.dice_shown.get(i).copied().flatten()?)));
        dice.draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(&class.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    let place = SeriesLabelPosition::LowerRight;
    dice.configure_series_labels().position(place).border_style(BLACK.mix(0.3)).background_style(WHITE).draw()?;
    root.present()?;
    Ok(())
}
