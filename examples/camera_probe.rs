//! Opens a camera, reads some frames and says what came: `cargo run --example camera_probe -- 0 30`.
#[cfg(feature = "camera")]
fn main() -> anyhow::Result<()> {
    use anyhow::Context;

    let mut arguments = std::env::args().skip(1);
    let index: u32 =
        arguments.next().unwrap_or_else(|| "0".into()).parse().context("expected the number of a camera")?;
    let frames: u64 = arguments.next().unwrap_or_else(|| "30".into()).parse().context("expected a number of frames")?;
    for device in sonoplex::source::devices::list() {
        println!("{:<12} {} ({})", device.spec, device.name, device.notes.join(", "));
    }
    let mut camera = sonoplex::source::camera::open(index)?;
    println!("{}, {:?} Hz", camera.info().format, camera.info().rate_hz);
    let mut read = 0;
    let mut last = None;
    while read < frames {
        let Some(frame) = camera.next()? else { break };
        read += 1;
        last = Some(frame);
    }
    if let Some(frame) = last {
        println!(
            "{read} frames of {}, the last one {:.1} ms after the first",
            frame.size,
            frame.time.as_secs_f64() * 1e3
        );
    }
    Ok(())
}

#[cfg(not(feature = "camera"))]
fn main() {
    println!("this build is without the feature `camera`");
}
