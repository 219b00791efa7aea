//! How the tensors of a plan lie in the memory of a GPU: as planes of floats at the ends of a network, between them channels
//! last as halves or codes, the parts of a joined one in slices of its pixels; and what a step works in beside them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::graph::Op;
use super::super::memory::{FILLED, Lifetime, MAX_ARENA, arrange};
use super::super::plan::{Header, Place, PlanStep};
use super::CudaError;
use super::kernels::{OnFloats, follows, is_head, passes_on, reads_planes};
use crate::backend::cpu::layout::{Grid, Layout};
use crate::backend::cpu::max_pool::PoolShape;
use crate::backend::cuda::conv::Halves;
use crate::backend::cuda::conv::int8::{self, Codes, Kept};
use crate::backend::cuda::launch::Region;

/// Halves that are copied at once.
const CHUNK: usize = 8;
/// Tensors and constants begin at multiples of so many bytes.
pub(super) const ALIGN: usize = 256;

fn is_constant(header: &Header, value: usize) -> bool {
    matches!(header.values[value].place, Place::Weights(_))
}

/// One tensor.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensor {
    pub channels: usize,
    pub pixels: usize,
    /// All of its numbers; of what is no picture there are no channels.
    len: usize,
    /// Where in a pixel each channel is, from the first of its own, and how many places there are.
    pub places: Vec<usize>,
    pub width: usize,
    /// What its codes stand for; none where it is halves.
    pub grid: Option<Grid>,
    /// The joined tensor that it is a part of, and its first place there.
    part: Option<(usize, usize)>,
    /// Whether it is needed channels last, as planes, and how its step makes it.
    pub last: bool,
    pub planes: bool,
    pub made_as_planes: bool,
    /// Whether something follows once it is planes.
    pub followed: bool,
    /// Where these lie; of a part the whole.
    last_at: Region,
    planes_at: Region,
    /// Where its step keeps what only it needs.
    scratch_at: Region,
}

impl Tensor {
    /// Bytes that it takes channels last.
    fn bytes(&self) -> usize {
        self.pixels * self.width * if self.grid.is_some() { 1 } else { 2 }
    }
}

/// All tensors of a plan.
pub(super) struct Tensors {
    own: Vec<Tensor>,
    /// What convolutions write on their way, beside their output: theirs, pooled.
    pooled: BTreeMap<usize, usize>,
    pub(super) on_floats: OnFloats,
}

impl Tensors {
    /// Decides how each tensor lies, and where, and says where their memory ends; with `share` two that are never needed at the
    /// same time share it. What is in `on_floats` is made by a step on floats, and so is what other kernels cannot take: of
    /// constants, tensors that are no pictures, or along another axis than the channels.
    pub fn new(header: &Header, on_floats: &OnFloats, share: bool) -> Result<(Self, u64), CudaError> {
        let mut tensors = Self { own: Vec::new(), pooled: BTreeMap::new(), on_floats: on_floats.clone() };
        for value in &header.values {
            let (channels, pixels) = match value.shape[..] {
                [1, channels, h, w] => (channels, h * w),
                // What is said of a whole picture.
                [1, channels] => (channels, 1),
                _ => (0, 0),
            };
            let grid = match value.layout {
                Layout::BlockedU8(grid) => Some(grid),
                _ => None,
            };
            let len = value.shape.iter().product();
            tensors.own.push(Tensor { channels, pixels, len, grid, ..Tensor::default() });
        }
        tensors.choose(header);
        tensors.forms(header);
        tensors.widths(header);
        tensors.check_weights(header)?;
        tensors.join(header);
        tensors.pooled = header.steps.iter().filter_map(|step| tensors.pools(header, step)).collect();
        let end = tensors.place(header, share);
        Ok((tensors, end))
    }

    /// Which steps are computed on floats beside those that have been refused.
    fn choose(&mut self, header: &Header) {
        let mut made: BTreeSet<usize> = header.inputs.iter().copied().collect();
        for step in &header.steps {
            // What convolutions add may be constant.
            let adds = matches!(step.op, Op::Conv { .. }) && self.own[step.inputs[0]].grid.is_none();
            let own = if adds { &step.inputs[..1] } else { &step.inputs };
            let special = own.iter().chain([&step.output]).any(|&v| self.is_special(header, v));
            let adds_constant = !special && step.inputs.iter().any(|&v| is_constant(header, v));
            // Where all come as floats, halves would only round them, as numbers of channels and places.
            let varying = || step.inputs.iter().filter(|&&v| !is_constant(header, v));
            let stays =
                passes_on(&step.op) && self.own[step.output].grid.is_none() && varying().all(|v| made.contains(v));
            let along = matches!(step.op, Op::Concat { axis } if axis != 1);
            match step.op {
                _ if !special && !along && !stays && !adds_constant => {}
                Op::Conv { .. } | Op::ConvTranspose { .. } if special => {
                    self.on_floats.convolutions.insert(step.output);
                }
                _ => drop(self.on_floats.steps.insert(step.output)),
            }
            if self.on_floats(step) {
                made.insert(step.output);
            }
        }
    }

    /// Whether kernels for halves cannot take a value: a constant, or what is no single picture.
    fn is_special(&self, header: &Header, value: usize) -> bool {
        is_constant(header, value) || self.own[value].channels == 0
    }

    /// Which tensors are needed as what.
    fn forms(&mut self, header: &Header) {
        header.inputs.iter().for_each(|&v| self.own[v].made_as_planes = true);
        header.outputs.iter().for_each(|&(_, v)| self.own[v].planes = true);
        for step in &header.steps {
            // Constants are stored where a step wants them.
            for (i, &v) in step.inputs.iter().enumerate().filter(|&(_, &v)| !is_constant(header, v)) {
                match reads_planes(header, step) || self.on_floats(step) || i == 1 && self.adds_planes(step) {
                    true => self.own[v].planes = true,
                    false => self.own[v].last = true,
                }
            }
        }
        for step in &header.steps {
            let is_last = is_head(step) && !reads_planes(header, step) && self.own[step.inputs[0]].grid.is_none();
            let on_floats = self.on_floats(step);
            let followed = follows(step);
            let out = &mut self.own[step.output];
            out.planes |= on_floats || followed;
            out.made_as_planes = on_floats || is_last && (followed || out.planes && !out.last);
            out.followed = followed && out.last;
            // What others make goes through these.
            out.last |= !out.made_as_planes;
        }
        header.inputs.iter().for_each(|&v| self.own[v].planes = true);
    }

    /// Where in a pixel the channels are: those of joined tensors as their parts have them.
    fn widths(&mut self, header: &Header) {
        let chunk = |own: &Tensor| if own.grid.is_some() { int8::CHUNK } else { CHUNK };
        for own in &mut self.own {
            (own.places, own.width) = ((0..own.channels).collect(), own.channels.next_multiple_of(chunk(own)));
        }
        for step in &header.steps {
            let (mut places, mut width) = (Vec::new(), 0);
            match step.op {
                // From planes they come side by side.
                _ if self.on_floats(step) => continue,
                Op::Concat { .. } => {
                    for part in step.inputs.iter().map(|&v| &self.own[v]) {
                        places.extend(part.places.iter().map(|place| place + width));
                        width += part.width;
                    }
                }
                // Unless each channel stands for itself, and nothing comes from planes.
                Op::Conv { ref shape, .. } if shape.groups == 1 || shape.groups != shape.in_channels => continue,
                Op::Conv { .. } if follows(step) || self.adds_planes(step) => continue,
                Op::ConvTranspose { .. } => continue,
                // Codes lie where the halves do; halves side by side, where no part would begin within a chunk.
                Op::Copy if self.own[step.inputs[0]].grid != self.own[step.output].grid => {
                    let (from, to) = (&self.own[step.inputs[0]], &self.own[step.output]);
                    let begins =
                        |c: usize| c == 0 || from.places.get(c) != from.places.get(c - 1).map(|p| p + 1).as_ref();
                    let whole = (0..from.channels).filter(|&c| begins(c)).all(|c| c.is_multiple_of(CHUNK));
                    if from.channels != to.channels || to.grid.is_none() && whole {
                        continue;
                    }
                    (places, width) = (from.places.clone(), from.width.next_multiple_of(chunk(to)));
                }
                // Where the input has them, of two that with as many.
                _ => {
                    let channels = self.own[step.output].channels;
                    let Some(&from) = step.inputs.iter().find(|&&v| self.own[v].channels == channels) else { continue };
                    (places, width) = (self.own[from].places.clone(), self.own[from].width);
                }
            }
            (self.own[step.output].places, self.own[step.output].width) = (places, width);
        }
    }

    /// Refuses weights that would take too much memory once they lie where the tensors have their channels.
    fn check_weights(&self, header: &Header) -> Result<(), CudaError> {
        let mut numbers = 0usize;
        for step in &header.steps {
            let [ins, outs] = [step.inputs[0], step.output].map(|v| self.own[v].width.next_multiple_of(FILLED));
            let ins = if self.depthwise(step).is_some() { 1 } else { ins };
            let spread =
                |kernel: [usize; 2]| [ins, outs, kernel[0], kernel[1]].into_iter().fold(1, usize::saturating_mul);
            numbers = numbers.saturating_add(match &step.op {
                // On floats of whole quads of channels.
                Op::Conv { weights, .. } | Op::ConvTranspose { weights, .. } if self.on_floats(step) => {
                    header.weights[*weights].saturating_mul(4)
                }
                Op::Conv { shape, .. } => spread(shape.kernel),
                // Each pixel of a square has zeros where the others have taps.
                Op::ConvTranspose { shape, .. } => spread(shape.kernel).saturating_mul(4),
                _ => 0,
            });
            if numbers > MAX_ARENA {
                return Err(CudaError::of(step, format!("weights so far take more than {MAX_ARENA} numbers")));
            }
        }
        Ok(())
    }

    /// Lets parts of joined tensors be written where they belong, each for the first that wants it.
    fn join(&mut self, header: &Header) {
        let steps = header.steps.iter().filter(|step| matches!(step.op, Op::Concat { .. }));
        let on_floats = self.on_floats.steps.clone();
        for step in steps.filter(|step| !on_floats.contains(&step.output)) {
            let mut first = 0;
            for &v in &step.inputs {
                let own = &mut self.own[v];
                if own.part.is_none() && !own.made_as_planes {
                    own.part = Some((step.output, first));
                }
                first += own.width;
            }
        }
    }

    /// The output of a convolution and what is pooled of it on the way: squares of 2 × 2, where it is held between
    /// bounds.
    fn pools(&self, header: &Header, step: &PlanStep) -> Option<(usize, usize)> {
        let Op::Conv { activation, .. } = &step.op else { return None };
        activation.bounds().filter(|_| !follows(step))?;
        let can = |pool: &PoolShape| match self.conv(header, step) {
            Some(conv) => conv.pools(pool),
            None => self.conv_int8(step).is_some_and(|conv| conv.pools(pool)),
        };
        let kept = |v: usize| (&self.own[v].places, self.own[v].width, self.own[v].grid);
        let pool = header.steps.iter().filter(|other| !self.on_floats(other)).find(|other| {
            matches!(&other.op, Op::MaxPool(pool) if other.inputs[0] == step.output && can(pool))
                && kept(other.output) == kept(step.output)
        })?;
        Some((step.output, pool.output))
    }

    /// Where the convolution that makes a value writes it pooled too, if it does.
    pub fn pooled(&self, value: usize) -> Option<Kept> {
        self.pooled.get(&value).map(|&pooled| self.whole(pooled))
    }

    /// Whether a value, which is another pooled, is written by the step that makes that.
    pub fn is_pooled(&self, value: usize) -> bool {
        self.pooled.values().any(|&pooled| pooled == value)
    }

    /// Whether `part` lies at place `first` of `whole` already.
    pub fn is_part(&self, part: usize, whole: usize, first: usize) -> bool {
        self.own[part].part == Some((whole, first))
    }

    /// The tensor whose memory holds this one, and its first place there.
    fn root(&self, value: usize) -> (usize, usize) {
        let (mut at, mut first) = (value, 0);
        while let Some((whole, place)) = self.own[at].part {
            (at, first) = (whole, first + place);
        }
        (at, first)
    }

    fn place(&mut self, header: &Header, share: bool) -> u64 {
        // Three places for each value: as halves, as planes, and what its step works in.
        let mut lives: Vec<Option<Lifetime>> = vec![None; 3 * self.own.len()];
        let mut scratch = vec![0; self.own.len()];
        let mut touch = |item: usize, first: usize, last: usize| {
            let life = lives[item].get_or_insert(Lifetime { first, last });
            (life.first, life.last) = (life.first.min(first), life.last.max(last));
        };
        let end = header.steps.len();
        for (index, step) in header.steps.iter().enumerate() {
            for &v in step.inputs.iter().chain([&step.output]) {
                touch(3 * self.root(v).0, index, index);
                touch(3 * v + 1, index, index);
            }
            touch(3 * step.output + 2, index, index);
            if let Some(&pooled) = self.pooled.get(&step.output) {
                touch(3 * self.root(pooled).0, index, index);
            }
            let of_codes = self.conv_int8(step).map_or(0, |conv| conv.scratch_bytes());
            let of_halves = self.conv(header, step).map_or(of_codes, |conv| conv.scratch_bytes());
            scratch[step.output] = self.groups(step).map_or(of_halves, |groups| groups.scratch_bytes()) as usize;
        }
        // They may be bound once and run twice, or read at any time.
        for &v in header.inputs.iter().chain(header.outputs.iter().map(|(_, v)| v)) {
            touch(3 * v + 1, 0, end);
            if self.own[v].last {
                touch(3 * self.root(v).0, 0, end);
            }
        }
        let mut items = Vec::new();
        for (item, life) in lives.iter().enumerate() {
            let own = &self.own[item / 3];
            let bytes = match item % 3 {
                0 if own.last && own.part.is_none() => own.bytes(),
                1 if own.planes => 4 * own.len,
                2 if scratch[item / 3] > 0 => scratch[item / 3],
                _ => continue,
            };
            let Some(life) = *life else { continue };
            let life = if share { life } else { Lifetime { first: 0, last: end } };
            items.push((item, bytes.next_multiple_of(ALIGN), life));
        }
        let mut room = 0;
        for (item, offset, end) in arrange(items) {
            room = room.max(end as u64);
            let own = &mut self.own[item / 3];
            let offset = offset as u64;
            match item % 3 {
                0 => own.last_at = Region { offset, bytes: own.bytes() as u64 },
                1 => own.planes_at = Region { offset, bytes: 4 * own.len as u64 },
                _ => own.scratch_at = Region { offset, bytes: scratch[item / 3] as u64 },
            }
        }
        room
    }

    /// The tensor of a value.
    pub fn of(&self, value: usize) -> &Tensor {
        &self.own[value]
    }

    /// Its places as halves.
    ///
    /// # Panics
    /// When it is codes.
    pub fn halves(&self, value: usize) -> Halves {
        self.slice(value, 0, self.own[value].width)
    }

    /// Places `first..first + width` of it as halves.
    ///
    /// # Panics
    /// When it is codes.
    pub fn slice(&self, value: usize, first: usize, width: usize) -> Halves {
        match self.kept(value, first, width) {
            Kept::Halves(halves) => halves,
            Kept::Codes(codes) => panic!("{codes:?} are asked for as halves"),
        }
    }

    /// Places `first..first + width` of it as they are kept.
    pub fn kept(&self, value: usize, first: usize, width: usize) -> Kept {
        let (root, place) = self.root(value);
        let whole = &self.own[root];
        let (at, pixels, pitch, first) = (whole.last_at, whole.pixels, whole.width, place + first);
        match whole.grid {
            Some(_) => Kept::Codes(Codes::slice(at, pixels, pitch, first, width)),
            None => Kept::Halves(Halves::slice(at, pixels, pitch, first, width)),
        }
    }

    /// All of its places as they are kept.
    pub fn whole(&self, value: usize) -> Kept {
        self.kept(value, 0, self.own[value].width)
    }

    /// Its planes of floats.
    pub fn planes(&self, value: usize) -> Region {
        self.own[value].planes_at
    }

    /// What the step that makes a value works in.
    pub fn scratch(&self, value: usize) -> Region {
        self.own[value].scratch_at
    }

    /// Every piece of memory that holds a tensor, or that a step works in.
    pub fn regions(&self) -> impl Iterator<Item = Region> {
        self.own.iter().flat_map(|own| [own.last_at, own.planes_at, own.scratch_at]).filter(|region| region.bytes > 0)
    }
}
