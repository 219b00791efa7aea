//! `sonoplex live`: the newest frame of a device; without a source, the devices there are.

use std::path::Path;
use std::process::ExitCode;

use sonoplex::pipeline::{RunOptions, Speed};
use sonoplex::source::{OpenOptions, devices, open};

use super::args::LiveArgs;
use super::file::Settings;
use super::run;

pub fn main(args: LiveArgs) -> anyhow::Result<ExitCode> {
    if args.output.report.explain {
        return super::explain::live();
    }
    let mut settings = Settings::read(args.output.report.pipeline.as_deref())?;
    let Some(spec) = args.source.or(settings.source.take()) else {
        return list(args.output.report.json.as_deref());
    };
    if settings.start.is_some() || settings.end.is_some() {
        anyhow::bail!(
            "cannot run `{spec}` live from `source.start` or to `source.end`: only a recording has such places; take them \
             out of the pipeline file, or use `sonoplex replay`"
        );
    }
    run::apply(&args.segmenter, &mut settings.segmenter);
    let source = open(&spec, &OpenOptions::default())?;
    let options = RunOptions {
        speed: Speed::Times(1.0),
        frames: args.frames,
        warm_up: args.frames.map_or(10, |n| (n / 4).min(10)),
        // A phantom never ends here, and drops as a device does.
        repeat: spec.starts_with("phantom"),
        live: true,
        ..RunOptions::default()
    };
    run::go(settings.job(source, options, &args.output))
}

/// The devices there are.
fn list(json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let devices = devices::list();
    if let Some(path) = json {
        super::write_json(path, &devices)?;
    }
    let mut text = String::from("devices (give one to `sonoplex live`):\n");
    for device in &devices {
        text += &format!("  {:<20} {}\n", device.spec, device.name);
        for note in &device.notes {
            text += &format!("  {:<20}   {note}\n", "");
        }
    }
    text += "also: v4l2:/dev/videoN, gst:'GRAPH', rtsp://HOST/STREAM\n";
    if json != Some(Path::new("-")) {
        super::write_text(Path::new("-"), &text)?;
    }
    Ok(ExitCode::SUCCESS)
}
