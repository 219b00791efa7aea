//! A stream of a GPU: memory of its own, and what runs on it in order.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ops::Range;
use std::ptr;
use std::sync::Arc;

use cudarc::driver::{CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, sys};

use super::super::launch::{Arg, Launch, Region};
use super::{Gpu, GpuError, Graph, Start, driver};

/// One arena of memory, and kernels and copies that run on it one after the other.
pub struct Stream {
    pub(super) stream: Arc<CudaStream>,
    module: Arc<CudaModule>,
    functions: BTreeMap<&'static str, CudaFunction>,
    /// As [`Gpu::starts_early`].
    pub(super) starts_early: bool,
    pub(super) arena: CudaSlice<u8>,
}

impl Drop for Stream {
    fn drop(&mut self) {
        super::bind(&self.stream);
    }
}

impl Gpu {
    /// A stream with so many bytes of memory, set to zero; its kernels go before those of other streams of this program that ask for less.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn stream(&self, bytes: u64) -> Result<Stream, GpuError> {
        // The driver takes the highest that there is: lower numbers go first.
        let stream = driver("make a stream", self.context.new_stream_with_priority(i32::MIN))?;
        let arena = driver(format!("give {bytes} bytes of memory"), stream.alloc_zeros::<u8>(bytes.max(1) as usize))?;
        let (module, starts_early) = (self.module.clone(), self.starts_early());
        Ok(Stream { stream, module, functions: BTreeMap::new(), starts_early, arena })
    }
}

impl Stream {
    /// Bytes of its memory.
    pub fn room(&self) -> u64 {
        self.arena.len() as u64
    }

    pub(super) fn range(&self, region: Region) -> Range<usize> {
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
    /// As [`Stream::upload`], and when a kernel failed.
    ///
    /// # Panics
    /// As [`Stream::upload`].
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
        self.enqueue_with(launches, Start::Behind)
    }

    /// The same, in any way to start them; the first has no kernel before it that it could wait for on the device.
    pub(super) fn enqueue_with(&mut self, launches: &[Launch], start: Start) -> Result<(), GpuError> {
        driver("use its context", self.stream.context().bind_to_thread())?;
        let starts = std::iter::once(Start::Behind).chain(std::iter::repeat(start));
        launches.iter().zip(starts).try_for_each(|(launch, start)| self.launch(launch, start))
    }

    /// Makes a kernel ready to be launched.
    pub(super) fn find(&mut self, name: &'static str) -> Result<(), GpuError> {
        if !self.functions.contains_key(name) {
            let function = driver(format!("find the kernel `{name}`"), self.module.load_function(name))?;
            // A driver loads a kernel when it is first asked about it; while a graph is recorded it may not.
            let registers = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_NUM_REGS;
            driver(format!("load the kernel `{name}`"), function.get_attribute(registers))?;
            self.functions.insert(name, function);
        }
        Ok(())
    }

    fn launch(&mut self, launch: &Launch, start: Start) -> Result<(), GpuError> {
        let base = self.arena.device_ptr(&self.stream).0;
        // The driver reads as many of the bytes as the parameter has; the first, since its hosts are little-endian.
        let value = |arg: &Arg| match *arg {
            Arg::Region(region) => base + self.range(region).start as u64,
            Arg::U32(n) => n.into(),
            Arg::F32(x) => x.to_bits().into(),
        };
        let mut values: Vec<u64> = launch.args().iter().map(value).collect();
        let mut addresses: Vec<*mut c_void> = values.iter_mut().map(|value| ptr::from_mut(value).cast()).collect();
        let name = launch.kernel();
        self.find(name)?;
        let mut early = sys::CUlaunchAttribute {
            id: sys::CUlaunchAttributeID::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { programmaticStreamSerializationAllowed: 1 },
        };
        let ([across, down, deep], [x, y, z]) = (launch.grid(), launch.block());
        let config = sys::CUlaunchConfig {
            gridDimX: across,
            gridDimY: down,
            gridDimZ: deep,
            blockDimX: x,
            blockDimY: y,
            blockDimZ: z,
            sharedMemBytes: 0,
            hStream: self.stream.cu_stream(),
            attrs: &raw mut early,
            numAttrs: u32::from(start == Start::Early),
        };
        let function = self.functions[name].cu_function();
        // SAFETY: only launchers of this folder make a `Launch`; the emulation has run every one of them with these kinds
        // of arguments and found no access outside the regions, which lie in the arena. The driver has read the values and
        // the configuration when it returns. Who starts early waits first in the kernel, before it reads or writes, as a
        // test of the compiled kernels shows.
        let done =
            unsafe { sys::cuLaunchKernelEx(&raw const config, function, addresses.as_mut_ptr(), ptr::null_mut()) };
        driver(format!("launch `{name}`"), done.result())
    }

    /// Milliseconds on the device from before a graph to after it, for each of `runs`.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn time(&mut self, graph: &mut Graph, runs: usize) -> Result<Vec<f32>, GpuError> {
        let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let mut times = Vec::with_capacity(runs);
        for _ in 0..runs {
            let start = driver("note the time", self.stream.record_event(flags))?;
            self.run(graph)?;
            let end = driver("note the time", self.stream.record_event(flags))?;
            driver("wait for a graph", end.synchronize())?;
            times.push(driver("tell the time", start.elapsed_ms(&end))?);
        }
        Ok(times)
    }
}
