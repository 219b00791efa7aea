//! Whole frames on a GPU: crop ▸ despeckle ▸ resize ▸ network ▸ probability ▸ labels ▸ regions, as one graph with one copy to
//! the device and one back. [`super::on_cpu`] is the specification.

use std::sync::Arc;

use crate::backend::cpu::components::Component;
use crate::backend::cpu::despeckle::Despeckle;
use crate::backend::cpu::resize::{Filter, Resampler};
use crate::backend::cuda::launch::{Launch, Region};
use crate::backend::cuda::{components, crop, despeckle, mask, resize};
use crate::engine::EngineError;
use crate::engine::cuda::{Program, Recording, Runner};
use crate::frame::PixelFormat;
use crate::geometry::{Rect, Sector, Size};
use crate::latency::{Clock, Moment};
use crate::segmentation::Segmentation;

use super::compute::{Answer, Picture};
use super::model::Model;
use super::{SegmenterError, scaled};

/// Pieces of memory begin at multiples of so many bytes.
const ALIGN: u64 = 256;
/// Regions of a class that come back as such; where there are more, the CPU finds them in the labels.
const REGIONS: usize = 256;

/// A program, what runs it, and what it was recorded for.
pub(super) struct OnGpu {
    program: Arc<Program>,
    runner: Box<dyn Runner>,
    recorded: Option<(Shape, Found)>,
    presence: Vec<f32>,
    regions: Vec<Option<Vec<Component>>>,
}

/// What a graph is recorded for; another one for another of these.
#[derive(Clone, Copy, PartialEq)]
struct Shape {
    size: Size,
    format: PixelFormat,
    crop: Rect,
    sector: Option<Sector>,
    despeckle: Despeckle,
}

/// Where in what comes back everything is.
#[derive(Clone, Default)]
struct Found {
    broken: Region,
    /// Of each class: how many regions, and which.
    regions: Vec<(Region, Region)>,
    labels: Region,
    bytes: Region,
    /// After all of these.
    presence: Region,
}

impl OnGpu {
    pub fn new(program: Arc<Program>, runner: Box<dyn Runner>) -> Self {
        Self { program, runner, recorded: None, presence: Vec::new(), regions: Vec::new() }
    }

    /// The output `mask` of the network alone, on an input whose values are `value(i)`.
    pub fn trial(&mut self, mask: &str, value: impl Fn(usize) -> f32) -> Result<Vec<f32>, EngineError> {
        self.recorded = None;
        self.runner.record(&self.program.recording())?;
        for (i, bytes) in self.runner.given()?.as_chunks_mut().0.iter_mut().enumerate() {
            *bytes = value(i).to_le_bytes();
        }
        self.runner.enqueue()?;
        let before = self.program.outputs.iter().take_while(|(info, _)| info.name != mask);
        let start: u64 = before.map(|(_, region)| region.bytes).sum();
        let bytes = output(&self.program, mask).bytes;
        let found = &self.runner.found()?[start as usize..][..bytes as usize];
        Ok(found.as_chunks().0.iter().map(|&float| f32::from_le_bytes(float)).collect())
    }

    /// As [`Runner::time_stages`], of the last frame.
    pub fn time_stages(&mut self, runs: usize) -> Result<Vec<(&'static str, f32)>, EngineError> {
        if self.recorded.is_some() { self.runner.time_stages(runs) } else { Ok(Vec::new()) }
    }

    /// Fills `probability` and `mask` of `out`.
    pub fn run(
        &mut self,
        model: &Model,
        picture: &Picture,
        clock: &Clock,
        out: &mut Segmentation,
    ) -> Result<Answer<'_>, SegmenterError> {
        let frame = picture.frame;
        let (size, format, despeckle) = (frame.size, frame.format, picture.despeckle);
        let shape = Shape { size, format, crop: picture.crop.rect, sector: picture.crop.sector, despeckle };
        let parts = match &mut self.recorded {
            Some((for_shape, parts)) if *for_shape == shape => parts,
            other => {
                *other = None;
                let parts = record(&self.program, &mut *self.runner, model, picture)?;
                &mut other.insert((shape, parts)).1
            }
        };
        self.runner.given()?.copy_from_slice(&frame.pixels);
        out.stamps.set(Moment::Preprocessed, clock.now());
        self.runner.enqueue()?;
        let found = self.runner.found()?;
        out.stamps.set(Moment::Inferred, clock.now());

        let of = |region: Region| &found[region.offset as usize..][..region.bytes as usize];
        // "No nerve" would be a lie about a frame that was not looked at.
        if of(parts.broken).iter().any(|&byte| byte != 0) {
            return Err(SegmenterError::NotANumber { id: frame.id });
        }
        out.mask.size = size;
        for (own, found) in [(&mut out.mask.labels, parts.labels), (&mut out.probability, parts.bytes)] {
            own.clear();
            own.extend_from_slice(of(found));
        }
        self.regions.resize_with(parts.regions.len(), Option::default);
        for (own, &(count, list)) in self.regions.iter_mut().zip(&parts.regions) {
            let count = of(count).try_into().expect("four bytes");
            let mut regions = own.take().unwrap_or_default();
            *own = components::read(size, of(list), count, &mut regions).is_ok().then_some(regions);
        }
        self.presence.clear();
        self.presence.extend(of(parts.presence).as_chunks().0.iter().map(|&float| f32::from_le_bytes(float)));
        let presence = model.presence.is_some().then_some(self.presence.as_slice());
        Ok(Answer { presence, regions: &self.regions })
    }
}

/// Kernels in order, and what they are for.
type Stage = (&'static str, Vec<Launch>);

/// Where the network leaves an output.
fn output(program: &Program, name: &str) -> Region {
    let found = program.outputs.iter().find(|(info, _)| info.name == name);
    found.expect("the model was asked for its outputs").1
}

/// Memory behind that of the network, and what stays in it.
struct Room {
    end: u64,
    buffers: Vec<Region>,
    constants: Vec<(Region, Vec<u8>)>,
}

impl Room {
    fn take(&mut self, bytes: u64) -> Region {
        let region = Region { offset: self.end, bytes };
        self.end = (self.end + bytes).next_multiple_of(ALIGN);
        region
    }

    fn buffer(&mut self, bytes: usize) -> Region {
        let region = self.take(bytes as u64);
        self.buffers.push(region);
        region
    }

    fn constant(&mut self, bytes: Vec<u8>) -> Region {
        let region = self.take(bytes.len() as u64);
        self.constants.push((region, bytes));
        region
    }
}

/// Records all that becomes of such a frame.
fn record(program: &Program, runner: &mut dyn Runner, model: &Model, picture: &Picture) -> Result<Found, EngineError> {
    let mut room = Room { end: program.room.next_multiple_of(ALIGN), buffers: Vec::new(), constants: Vec::new() };
    let (frame, rect) = (picture.frame, picture.crop.rect);
    let area = rect.size().area();
    let given = room.buffer(frame.pixels.len());
    let inside = match picture.inside {
        [] => vec![255; area],
        some => some.to_vec(),
    };
    let inside = room.constant(inside);
    let mut stages = before(&mut room, program, model, picture, (given, inside)).to_vec();
    let (after, mut found, mut back) = after(&mut room, program, model, picture, inside);
    let mut whole = program.recording();
    stages.append(&mut whole.stages);
    stages.extend(after);
    let own = room.constants.iter().map(|(region, bytes)| (*region, bytes.as_slice()));
    whole.constants.extend(own);
    whole.tensors.extend(&room.buffers);
    if let Some(name) = &model.presence {
        let presence = output(program, name);
        found.presence = Region { offset: back[0].bytes, bytes: presence.bytes };
        back.push(presence);
    }
    runner.record(&Recording { room: room.end, given: vec![given], stages, found: back, ..whole })?;
    Ok(found)
}

/// From a frame to the input of the network.
fn before(
    room: &mut Room,
    program: &Program,
    model: &Model,
    picture: &Picture,
    (given, inside): (Region, Region),
) -> [Stage; 3] {
    let (frame, size) = (picture.frame, picture.crop.rect.size());
    let cut = room.buffer(size.area());
    let crop = crop::launch((frame.size, frame.format), picture.crop.rect, given, inside, cut);
    let (mut clean, mut filter) = (cut, Vec::new());
    if picture.despeckle != Despeckle::Off {
        clean = room.buffer(size.area());
        let scratch = room.buffer(despeckle::scratch_bytes(&picture.despeckle, size) as usize);
        filter = despeckle::launches(&picture.despeckle, size, cut, clean, scratch);
    }
    let resampler = Resampler::new(size, picture.placed.size(), model.filter);
    let tables = room.constant(resize::tables(&resampler, &model.scale));
    let tensor = program.inputs[0].1;
    let placed = (model.size, picture.placed);
    let resize = resize::launch(&resampler, model.channels, placed, clean, tables, tensor);
    [("crop", vec![crop]), ("despeckle", filter), ("resize", vec![resize])]
}

/// From the maps of the network to what comes back, and where in that everything is.
fn after(
    room: &mut Room,
    program: &Program,
    model: &Model,
    picture: &Picture,
    inside: Region,
) -> ([Stage; 2], Found, Vec<Region>) {
    let (size, rect, classes) = (picture.frame.size, picture.crop.rect, model.thresholds.len());
    let area = size.area();
    let placed = scaled(picture.placed, model.size, model.map_size);
    let resampler = Resampler::new(placed.size(), rect.size(), Filter::Bilinear);
    let small = room.buffer(4 * classes * placed.size().area());
    let tables = room.constant(resize::tables(&resampler, &[]));
    let thresholds = room.constant(model.thresholds.iter().flat_map(|x| x.to_le_bytes()).collect());
    let (parents, sums) = (room.buffer(4 * area), room.buffer(components::Memory::sums_bytes(size) as usize));

    // What comes back lies in one piece.
    let start = room.end;
    let broken = room.take(mask::broken_bytes(model.map_size));
    let list = components::Memory::found_bytes(REGIONS);
    let regions: Vec<(Region, Region)> = (0..classes).map(|_| (room.take(4), room.take(list))).collect();
    let (labels, bytes) = (room.take(area as u64), room.take((classes * area) as u64));
    let back = Region { offset: start, bytes: room.end - start };
    room.buffers.push(back);

    let memory = mask::Memory {
        maps: output(program, &model.mask),
        small,
        broken,
        tables,
        inside: (!picture.inside.is_empty()).then_some(inside),
        thresholds,
        labels,
        bytes,
    };
    let of_maps = (model.map_size, placed);
    let mask = mask::launches(model.meaning(), of_maps, &resampler, (size, rect), &memory).to_vec();
    let mut finding = Vec::new();
    for (i, &(count, found)) in regions.iter().enumerate() {
        let memory = components::Memory { labels, parents, sums, found, count };
        let least = u32::try_from(model.least_area(i, rect.size())).unwrap_or(u32::MAX);
        finding.extend(components::launches(size, i as u8 + 1, least, &memory));
    }
    let from = |region: Region| Region { offset: region.offset - start, bytes: region.bytes };
    let regions = regions.into_iter().map(|(count, list)| (from(count), from(list))).collect();
    let found =
        Found { broken: from(broken), regions, labels: from(labels), bytes: from(bytes), presence: Region::default() };
    ([("mask", mask), ("regions", finding)], found, vec![back])
}
