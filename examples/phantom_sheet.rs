//! Writes frames of the phantom as PNG files, each with its mask beside it: `phantom_sheet SPEC DIR [FRAME…]`.

use anyhow::Context;
use sonoplex::source::Source;
use sonoplex::source::phantom::Phantom;

fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let spec = args.next().unwrap_or_else(|| "phantom:".into());
    let dir = std::path::PathBuf::from(args.next().unwrap_or_else(|| "phantom".into()));
    let wanted: Vec<u64> =
        args.map(|a| a.parse()).collect::<Result<_, _>>().context("frame numbers after the folder")?;
    let wanted = if wanted.is_empty() { vec![0, 10, 45] } else { wanted };
    std::fs::create_dir_all(&dir)?;
    let start = std::time::Instant::now();
    let mut phantom = Phantom::new(spec.parse()?);
    println!("{}: tissue laid out in {:.0?}", phantom.options(), start.elapsed());
    for index in wanted {
        phantom.seek(index)?;
        let start = std::time::Instant::now();
        let frame = phantom.next()?.with_context(|| format!("frame {index} is past the end"))?;
        let took = start.elapsed();
        let truth = frame.truth.as_ref().context("the phantom knows its mask")?;
        let shades: Vec<u8> = truth.labels.iter().map(|&l| l * 120).collect();
        let (w, h) = (frame.size.width, frame.size.height);
        for (name, pixels) in [("frame", &frame.pixels), ("mask", &shades)] {
            image::save_buffer(dir.join(format!("{name}{index:06}.png")), pixels, w, h, image::ColorType::L8)?;
        }
        println!("frame {index}: {took:.1?}, nerve {} px, vessel {} px", truth.area(1), truth.area(2));
    }
    Ok(())
}
