//! The kernels on a real device; without one these say so and pass, unless `SONOPLEX_GPU` asks for it. A program of its own,
//! which `make gpu-bundle` takes to such a device: the other tests have all kernels of the CPU with them.

#[allow(dead_code)] // here other tests allocate at the same time
mod counting;
#[allow(dead_code)] // a device needs only its driver
#[path = "it/emulation.rs"]
mod emulation;
#[path = "it/kernels_cuda.rs"]
mod kernels_cuda;
#[path = "it/kernels_cuda_conv.rs"]
mod kernels_cuda_conv;
#[path = "it/kernels_cuda_floats.rs"]
mod kernels_cuda_floats;
#[path = "it/kernels_cuda_floats_values.rs"]
mod kernels_cuda_floats_values;
#[path = "it/kernels_cuda_floats_windows.rs"]
mod kernels_cuda_floats_windows;
#[path = "it/kernels_cuda_int8.rs"]
mod kernels_cuda_int8;
#[path = "it/kernels_cuda_net.rs"]
mod kernels_cuda_net;
#[path = "it/kernels_cuda_net_int8.rs"]
mod kernels_cuda_net_int8;
#[path = "it/kernels_cuda_net_more.rs"]
mod kernels_cuda_net_more;
#[path = "it/kernels_cuda_pool.rs"]
mod kernels_cuda_pool;
#[path = "it/kernels_cuda_values.rs"]
mod kernels_cuda_values;
#[allow(dead_code)] // not everything has a kernel yet
#[path = "it/naive.rs"]
mod naive;
#[allow(dead_code)] // the other tests write more
#[path = "it/onnx_writer.rs"]
mod onnx_writer;
#[path = "it/segmenter_gpu.rs"]
mod segmenter_gpu;

use sonoplex::backend::cpu::despeckle::Despeckle;
use sonoplex::backend::cuda::despeckle::{launches, scratch_bytes};
use sonoplex::backend::cuda::gpu::{Gpu, GpuError, Start, Stream};
use sonoplex::backend::cuda::launch::{Launch, Region};
use sonoplex::engine::cuda::Recording;
use sonoplex::engine::{Builder, BuilderConfig, Engine, Precision};
use sonoplex::frame::Frame;
use sonoplex::geometry::Size;
use sonoplex::latency::Clock;
use sonoplex::segmentation::Segmentation;
use sonoplex::segmenter::{Segmenter, SegmenterConfig};
use sonoplex::source::{OpenOptions, open};

use kernels_cuda::{
    Machine, check_components, check_crops, check_filter, check_masks, check_resizes, filtered, filters, pictures,
};
use kernels_cuda_conv::{check_convs, check_ends};
use kernels_cuda_floats::check_floats;
use kernels_cuda_int8::{check_codes, check_int8};
use kernels_cuda_net::{check_networks, shipped};
use kernels_cuda_net_int8::check_int8_networks;
use kernels_cuda_pool::check_pooling;
use kernels_cuda_values::{check_averages, check_elementwise, check_normalizations, check_reductions};
use naive::Random;
use segmenter_gpu::{bright_and_dark, check_frames, check_hard_frames, write};

/// Bytes of memory that the checks need.
const ROOM: u64 = 64 << 20;

/// A device whose memory is handed out from the start to the end.
struct Device {
    gpu: Gpu,
    stream: Stream,
    end: u64,
    /// How they start, where launches are recorded first.
    recorded: Option<Start>,
}

impl Device {
    /// How it can start the kernels of a graph.
    fn ways(&self) -> impl Iterator<Item = Start> + use<> {
        let early = self.gpu.starts_early().then_some(Start::Early);
        std::iter::once(Start::Behind).chain(early)
    }
}

impl Machine for Device {
    fn clear(&mut self) {
        self.end = 0;
    }

    fn allocate(&mut self, bytes: u64) -> Region {
        let region = Region { offset: self.end, bytes };
        self.end = (self.end + bytes).next_multiple_of(256);
        self.stream.upload(region, &vec![0xa5; bytes as usize]).expect("an upload");
        region
    }

    fn upload(&mut self, bytes: &[u8]) -> Region {
        let region = self.allocate(bytes.len() as u64);
        self.stream.upload(region, bytes).expect("an upload");
        region
    }

    fn download(&mut self, region: Region) -> Vec<u8> {
        let mut bytes = vec![0; region.bytes as usize];
        self.stream.download(region, &mut bytes).expect("a download");
        bytes
    }

    fn load(&mut self, recording: &Recording) {
        assert!(recording.room <= ROOM, "a program of {} bytes", recording.room);
        self.stream.upload(Region { offset: 0, bytes: ROOM }, &vec![0xa5; ROOM as usize]).expect("an upload");
        recording.constants.iter().for_each(|(region, bytes)| self.write(*region, bytes));
    }

    fn write(&mut self, region: Region, bytes: &[u8]) {
        self.stream.upload(region, bytes).expect("an upload");
    }

    fn run(&mut self, launches: &[Launch]) -> Result<(), String> {
        let run = |stream: &mut Stream| {
            let Some(start) = self.recorded else {
                stream.enqueue(launches)?;
                return stream.wait();
            };
            let mut graph = stream.record(&[], launches, &[], start)?;
            stream.run(&mut graph)?;
            graph.found().map(drop)
        };
        run(&mut self.stream).map_err(|e| e.to_string())
    }
}

/// The first device; none, with a printed line, where there is none.
fn device() -> Option<Device> {
    let opened = || -> Result<(Gpu, Stream), GpuError> {
        let gpu = Gpu::open(0)?;
        let stream = gpu.stream(ROOM)?;
        Ok((gpu, stream))
    };
    match opened() {
        Ok((gpu, stream)) => Some(Device { gpu, stream, end: 0, recorded: None }),
        Err(error) => {
            assert!(std::env::var_os("SONOPLEX_GPU").is_none(), "{error}");
            println!("skipped: {error}");
            None
        }
    }
}

/// All but the filters.
fn check_all(device: &mut Device) {
    check_crops(device);
    check_masks(device);
    check_resizes(device);
    check_elementwise(device);
    check_reductions(device);
    check_floats(device);
    check_normalizations(device);
    check_averages(device);
    check_components(device);
    check_convs(device);
    check_ends(device);
    check_int8(device);
    check_pooling(device);
    check_codes(device);
    check_networks(device);
    check_int8_networks(device);
}

/// A filter against its twin, and to the bit from every kind of graph.
fn check_filter_of_graphs(device: &mut Device, filter: &Despeckle, size: Size, picture: &[u8]) {
    device.recorded = None;
    check_filter(device, filter, size, picture);
    let found = filtered(device, filter, size, picture);
    for start in device.ways() {
        device.recorded = Some(start);
        assert!(filtered(device, filter, size, picture) == found, "{filter} {size}: other bits, {start:?}");
    }
}

#[test]
fn kernels_agree_with_their_cpu_twins_on_the_device() {
    let Some(mut device) = device() else { return };
    println!("{:?}", device.gpu.about());
    for recorded in [None].into_iter().chain(device.ways().map(Some)) {
        device.recorded = recorded;
        check_all(&mut device);
    }
    let mut random = Random(51);
    for size in [Size::new(1, 1), Size::new(37, 23), Size::new(580, 420), Size::new(1023, 769)] {
        for (filter, picture) in
            filters().iter().flat_map(|f| pictures(&mut random, size).into_iter().map(move |p| (f, p)))
        {
            check_filter_of_graphs(&mut device, filter, size, &picture);
        }
    }
}

/// Every kernel once on small pictures, since a sanitizer watches each access.
#[test]
fn kernels_on_the_device_once() {
    let Some(mut device) = device() else { return };
    check_all(&mut device);
    let mut random = Random(52);
    let size = Size::new(67, 41);
    for (filter, picture) in filters().iter().zip(pictures(&mut random, size).iter().cycle()) {
        check_filter_of_graphs(&mut device, filter, size, picture);
    }
}

#[test]
fn an_engine_on_the_device_gives_what_one_on_the_processor_does() {
    if device().is_none() {
        return;
    }
    let network = shipped();
    let run = |device, precision| {
        let config = BuilderConfig { device, precision, ..BuilderConfig::default() };
        let engine = Engine::new(Builder::new(config).build(&network).expect("a plan")).expect("an engine");
        println!("{}", engine.device_name());
        // Contexts do not see each other.
        let mut contexts = [engine.context(), engine.context()];
        let mut outputs = Vec::new();
        for (seed, context) in contexts.iter_mut().enumerate() {
            let shape = engine.inputs()[0].shape.clone();
            let image = Random(90 + seed as u64).floats(shape.iter().product());
            context.bind(&engine.inputs()[0].name, &shape, &image).expect("its own shape");
        }
        for context in &mut contexts {
            context.enqueue().expect("a run");
        }
        for context in &mut contexts {
            context.synchronize().expect("a run");
            outputs.push(context.output(&engine.outputs()[0].name).expect("an output").to_vec());
        }
        outputs
    };
    let expected = run(sonoplex::engine::Device::Cpu, Precision::Fp32);
    let found = run(sonoplex::engine::Device::Cuda(0), Precision::Fp16);
    for (found, expected) in found.iter().zip(&expected) {
        assert!(found.iter().all(|x| x.is_finite()), "the device gives what is not a number");
        let largest = expected.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("worst difference of the logits {worst}, the largest {largest}");
        assert!(worst <= 0.01 * largest, "{worst} of {largest}");
    }
}

#[test]
fn whole_frames_on_the_device_agree_with_the_segmenter_of_the_processor() {
    if device().is_none() {
        return;
    }
    let mut open = |config: &SegmenterConfig| {
        let config = SegmenterConfig { device: sonoplex::engine::Device::Cuda(0), ..config.clone() };
        Segmenter::open(&config).expect("a sound model")
    };
    check_frames(&mut open);
    check_hard_frames(&mut open);
}

#[test]
fn graphs_copy_in_and_out_and_may_be_dropped_while_they_run() {
    let Some(Device { mut stream, .. }) = device() else { return };
    let [a, b, none] = [(0, 7), (256, 5), (512, 0)].map(|(offset, bytes)| Region { offset, bytes });
    let mut graph = stream.record(&[a, none, b], &[], &[b, a], Start::Behind).expect("a graph");
    for round in 0..3u8 {
        let given: Vec<u8> = (0..12).map(|i| 20 * round + i).collect();
        graph.given().expect("nothing has failed").copy_from_slice(&given);
        stream.run(&mut graph).expect("a run");
        if round == 1 {
            // Once more before the first has ended.
            stream.run(&mut graph).expect("a run");
        }
        assert_eq!(graph.found().expect("a run"), [&given[7..], &given[..7]].concat());
    }
    stream.run(&mut graph).expect("a run");
    drop(graph);
    let mut other = stream.record(&[], &[], &[a], Start::Behind).expect("a graph");
    stream.run(&mut other).expect("a run");
    assert_eq!(other.found().expect("a run"), (40..47).collect::<Vec<u8>>());
}

#[test]
fn every_kernel_but_the_first_of_a_graph_starts_early_where_it_may() {
    let Some(mut device) = device() else { return };
    let size = Size::new(67, 41);
    let filter: Despeckle = "srad:iterations=4".parse().expect("a filter");
    let [src, dst] = [0; 2].map(|_| device.allocate(size.area() as u64));
    let scratch = device.allocate(scratch_bytes(&filter, size));
    let launches = launches(&filter, size, src, dst, scratch);
    for start in device.ways() {
        let graph = device.stream.record(&[src], &launches, &[dst], start).expect("a graph");
        let expected = if start == Start::Early { launches.len() - 1 } else { 0 };
        assert_eq!(graph.early_starts().expect("edges"), expected, "{start:?} of {} kernels", launches.len());
    }
    assert!(launches.len() > 4, "it has kernels that wait for each other");
}

/// What comes after this line allocates nothing, on the host or on the device.
const WARM: &str = "the device is warm";

#[test]
fn nothing_is_allocated_after_warm_up_on_the_device() {
    if device().is_none() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let metadata = [("classes", "nerve"), ("output", "logits"), ("thresholds", "0.4")];
    let model = write(&bright_and_dark(1, 1, 20.0), &metadata, folder.path());
    let despeckle = "srad:iterations=2".parse().expect("a filter");
    let device = sonoplex::engine::Device::Cuda(0);
    let mut segmenter = Segmenter::open(&SegmenterConfig { model, device, despeckle, ..SegmenterConfig::default() })
        .expect("a sound model");
    let mut source = open("phantom:seed=5,size=96x80,frames=180", &OpenOptions::default()).expect("a phantom");
    let frames: Vec<Frame> = std::iter::from_fn(|| source.next().expect("a frame")).collect();
    // More than a breath of the phantom and some of its heartbeats at its rate.
    let (warm_up, measured) = frames.split_at(150);
    let (clock, mut answer) = (Clock::monotonic(), Segmentation::default());
    let mut segment = |frame| segmenter.segment(frame, &clock, &mut answer).expect("a segmentation");
    warm_up.iter().for_each(&mut segment);
    eprintln!("{WARM}");
    let before = counting::of_this_thread();
    assert!(before > 0, "nothing is counted");
    measured.iter().for_each(&mut segment);
    assert_eq!(counting::of_this_thread() - before, 0, "allocations in {} frames", measured.len());
    eprintln!("{WARM} no more");
    assert!(answer.findings[0].area_px > 0, "the frames must give the contours something to do");
}

/// The same tests without a device, on a driver that is emulated: memory, streams, graphs and copies are as on a device.
#[test]
fn a_driver_that_is_emulated_passes_for_a_device() {
    if std::env::var_os("SONOPLEX_GPU").is_some() {
        return;
    }
    let Some(folder) = emulation::driver() else { return };
    let own = std::env::current_exe().expect("a path");
    let run = |tests: &[&str]| {
        let output = std::process::Command::new(&own)
            .args(tests)
            .args(["--exact", "--nocapture"])
            .envs([("LD_LIBRARY_PATH", folder.as_os_str()), ("SONOPLEX_GPU", "1".as_ref())])
            .env("EMULATED_TELLS", "memory")
            .output()
            .expect("it runs itself");
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.contains(&format!("{} passed", tests.len())), "{said}");
        said.into_owned()
    };
    run(&[
        "kernels_on_the_device_once",
        "whole_frames_on_the_device_agree_with_the_segmenter_of_the_processor",
        "graphs_copy_in_and_out_and_may_be_dropped_while_they_run",
        "every_kernel_but_the_first_of_a_graph_starts_early_where_it_may",
    ]);
    let said = run(&["nothing_is_allocated_after_warm_up_on_the_device"]);
    let parts: Vec<&str> = said.split(WARM).collect();
    assert_eq!(parts.len(), 3, "{said}");
    let given = "emulated: memory is given";
    assert!(parts[0].contains(given) && !parts[1].contains(given), "{said}");
}

#[test]
fn a_device_that_is_not_there_is_a_sentence() {
    let Err(error) = Gpu::open(1000) else { panic!("nobody has so many") };
    match error {
        GpuError::NoDriver => assert_eq!(error.to_string(), "no NVIDIA driver was found (libcuda is missing)"),
        GpuError::NoDevice { index, .. } => assert_eq!(index, 1000),
        // A driver without any device may say so in its own way.
        GpuError::Driver { .. } => println!("{error}"),
        GpuError::TooOld { .. } => panic!("{error}"),
    }
}
