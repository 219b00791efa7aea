//! One NVIDIA GPU: its kernels, one arena of memory, one stream.
//!
//! Everything is looked for at run time. A machine without driver or device gets a sentence.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DevicePtr, DriverError, LaunchConfig,
    PushKernelArg, sys,
};
use cudarc::nvrtc::Ptx;

use super::launch::{Arg, Launch, Region};
use super::module::Module;

/// A device that is ready to run kernels.
pub struct Gpu {
    stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    functions: BTreeMap<&'static str, CudaFunction>,
    arena: CudaSlice<u8>,
    about: About,
}

/// What a device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// Compute capability: 90 is 9.0.
    pub capability: u32,
    /// Newest version of CUDA that the driver knows: 12040 is 12.4.
    pub driver: i32,
    /// What its kernels were compiled for.
    pub target: &'static str,
    /// Multiprocessors.
    pub multiprocessors: i32,
}

/// Launches that were recorded once and run again with one call.
pub struct Graph(CudaGraph);

// SAFETY: it is no `Sync`, so that one thread at a time uses it, which is all that the driver asks; every call binds its
// context to the calling thread.
unsafe impl Send for Graph {}

/// Why a GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// The library of the driver cannot be loaded.
    #[error("no NVIDIA driver was found (libcuda is missing)")]
    NoDriver,
    /// Not as many devices.
    #[error("the NVIDIA driver found {found} device(s), and none with number {index}")]
    NoDevice {
        /// The device that was asked for.
        index: usize,
        /// How many there are.
        found: i32,
    },
    /// Nothing was compiled for it.
    #[error("`{name}` has compute capability {}.{}, and the kernels need 7.5", capability / 10, capability % 10)]
    TooOld {
        /// The device.
        name: String,
        /// What it has.
        capability: u32,
    },
    /// A call of the driver failed.
    #[error("the NVIDIA driver cannot {attempt}: {cause}")]
    Driver {
        /// What was attempted.
        attempt: String,
        /// What it said.
        cause: String,
    },
}

/// Says what was attempted when the driver refuses.
fn driver<T>(attempt: impl Into<String>, result: Result<T, DriverError>) -> Result<T, GpuError> {
    result.map_err(|e| GpuError::Driver { attempt: attempt.into(), cause: e.to_string() })
}

impl Gpu {
    /// Opens a device with so many bytes of memory, set to zero.
    ///
    /// # Errors
    /// When there is no driver, no such device, or not enough memory.
    pub fn open(index: usize, bytes: u64) -> Result<Self, GpuError> {
        if !super::driver_present() {
            return Err(GpuError::NoDriver);
        }
        // A function that an old driver has not got makes cudarc panic.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_present(index, bytes)));
        opened.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
            Err(GpuError::Driver {
                attempt: "be used".to_owned(),
                cause: said.unwrap_or("it lacks a function").to_owned(),
            })
        })
    }

    fn open_present(index: usize, bytes: u64) -> Result<Self, GpuError> {
        let found = driver("count its devices", CudaContext::device_count())?;
        if i32::try_from(index).map_or(true, |index| index >= found) {
            return Err(GpuError::NoDevice { index, found });
        }
        let context = driver(format!("open device {index}"), CudaContext::new(index))?;
        // SAFETY: everything of this device runs on one stream, in order, so that nobody waits for an event.
        unsafe { context.disable_event_tracking() };
        let name = driver("name the device", context.name())?;
        let (major, minor) = driver("say what the device can do", context.compute_capability())?;
        let capability = (10 * major + minor) as u32;
        let Some(module) = Module::newest(capability) else { return Err(GpuError::TooOld { name, capability }) };
        let processors = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
        let mut version = 0;
        // SAFETY: it writes one number.
        let told = unsafe { sys::cuDriverGetVersion(&mut version) }.result();
        driver("say its version", told)?;
        let about = About {
            name,
            capability,
            driver: version,
            target: module.target,
            multiprocessors: driver("count the multiprocessors", context.attribute(processors))?,
        };
        let stream = driver("make a stream", context.new_stream())?;
        let arena = driver(format!("give {bytes} bytes of memory"), stream.alloc_zeros::<u8>(bytes.max(1) as usize))?;
        let loaded = context.load_module(Ptx::from_src(module.ptx));
        let module = driver(format!("load the kernels for {}", module.target), loaded)?;
        Ok(Self { stream, module, functions: BTreeMap::new(), arena, about })
    }

    /// What the device says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    fn range(&self, region: Region) -> std::ops::Range<usize> {
        let end = region.offset.checked_add(region.bytes).expect("no region ends beyond all memory");
        assert!(end <= self.arena.len() as u64, "{region:?} lies in an arena of {} bytes", self.arena.len());
        region.offset as usize..end as usize
    }

    /// Copies bytes to the device; they have arrived when it returns.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// # Panics
    /// When the region is not as long, or not in the arena.
    pub fn upload(&mut self, region: Region, bytes: &[u8]) -> Result<(), GpuError> {
        let range = self.range(region.of(bytes.len() as u64, "what is uploaded"));
        if range.is_empty() {
            return Ok(());
        }
        let (stream, mut view) = (self.stream.clone(), self.arena.slice_mut(range));
        driver("copy to the device", stream.memcpy_htod(bytes, &mut view))?;
        self.wait()
    }

    /// Copies bytes from the device, after everything that was enqueued before.
    ///
    /// # Errors
    /// As [`Gpu::upload`], and when a kernel failed.
    ///
    /// # Panics
    /// As [`Gpu::upload`].
    pub fn download(&mut self, region: Region, bytes: &mut [u8]) -> Result<(), GpuError> {
        let range = self.range(region.of(bytes.len() as u64, "what is downloaded"));
        if range.is_empty() {
            return Ok(());
        }
        driver("copy from the device", self.stream.memcpy_dtoh(&self.arena.slice(range), bytes))?;
        self.wait()
    }

    /// Waits until everything has run that was enqueued.
    ///
    /// # Errors
    /// When something of it failed.
    pub fn wait(&self) -> Result<(), GpuError> {
        driver("finish what was enqueued", self.stream.synchronize())
    }

    /// Enqueues kernels and does not wait for them.
    ///
    /// # Errors
    /// When the driver refuses one.
    ///
    /// # Panics
    /// When a region is not in the arena.
    pub fn enqueue(&mut self, launches: &[Launch]) -> Result<(), GpuError> {
        launches.iter().try_for_each(|launch| self.launch(launch))
    }

    /// Makes a kernel ready to be launched.
    fn find(&mut self, name: &'static str) -> Result<(), GpuError> {
        if !self.functions.contains_key(name) {
            let function = driver(format!("find the kernel `{name}`"), self.module.load_function(name))?;
            // A driver loads a kernel when it is first asked about it; while a graph is recorded it may not.
            let registers = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_NUM_REGS;
            driver(format!("load the kernel `{name}`"), function.get_attribute(registers))?;
            self.functions.insert(name, function);
        }
        Ok(())
    }

    fn launch(&mut self, launch: &Launch) -> Result<(), GpuError> {
        enum Value {
            Pointer(u64),
            U32(u32),
            F32(f32),
        }
        let base = self.arena.device_ptr(&self.stream).0;
        let value = |arg: &Arg| match *arg {
            Arg::Region(region) => Value::Pointer(base + self.range(region).start as u64),
            Arg::U32(n) => Value::U32(n),
            Arg::F32(x) => Value::F32(x),
        };
        let values: Vec<Value> = launch.args().iter().map(value).collect();
        let name = launch.kernel();
        self.find(name)?;
        let mut builder = self.stream.launch_builder(&self.functions[name]);
        for value in &values {
            match value {
                Value::Pointer(at) => builder.arg(at),
                Value::U32(n) => builder.arg(n),
                Value::F32(x) => builder.arg(x),
            };
        }
        let [grid_dim, block_dim] = [launch.grid(), launch.block()].map(|[x, y, z]| (x, y, z));
        // SAFETY: only launchers of this folder make a `Launch`; the emulation has run every one of them with these kinds
        // of arguments and found no access outside the regions, which lie in the arena.
        let done = unsafe { builder.launch(LaunchConfig { grid_dim, block_dim, shared_mem_bytes: 0 }) };
        driver(format!("launch `{name}`"), done).map(drop)
    }

    /// Records kernels without running them.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// # Panics
    /// As [`Gpu::enqueue`].
    pub fn record(&mut self, launches: &[Launch]) -> Result<Graph, GpuError> {
        launches.iter().try_for_each(|launch| self.find(launch.kernel()))?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        driver("record a graph", self.stream.begin_capture(mode))?;
        let recorded = self.enqueue(launches);
        // Ended whatever came, else the stream is lost.
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = driver("record a graph", self.stream.end_capture(flags));
        recorded?;
        let refused = || GpuError::Driver { attempt: "record a graph".to_owned(), cause: "it is empty".to_owned() };
        let graph = graph?.ok_or_else(refused)?;
        driver("upload a graph", graph.upload())?;
        Ok(Graph(graph))
    }

    /// Milliseconds on the device from before a graph to after it, for each of `runs`.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn time(&self, graph: &Graph, runs: usize) -> Result<Vec<f32>, GpuError> {
        let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = driver("note the time", self.stream.record_event(flags))?;
            graph.run()?;
            let end = driver("note the time", self.stream.record_event(flags))?;
            driver("wait for a graph", end.synchronize())?;
            times.push(driver("tell the time", start.elapsed_ms(&end))?);
        }
        Ok(times)
    }
}

impl Graph {
    /// Enqueues it and does not wait.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn run(&self) -> Result<(), GpuError> {
        driver("launch a graph", self.0.launch())
    }
}
