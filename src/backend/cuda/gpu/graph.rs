//! What a stream runs as one graph, with the copies before and after it.

use std::ptr::{self, NonNull};
use std::sync::Arc;

use cudarc::driver::{CudaGraph, CudaStream, DevicePtr, result, sys};

use super::super::launch::{Launch, Region};
use super::{GpuError, Stream, driver};

/// When a kernel of a graph may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// When the one before it has ended.
    Behind,
    /// When all blocks of the one before it have begun: its own blocks then wait on the device, and start sooner
    /// (programmatic dependent launch).
    Early,
}

/// Copies and launches that were recorded once and run again with one call.
pub struct Graph {
    graph: CudaGraph,
    stream: Arc<CudaStream>,
    host: Pinned,
    /// Bytes of the host's memory that are copied to the device.
    given: usize,
    /// Whether it may run now, so that the host's memory belongs to the device.
    running: bool,
}

// SAFETY: it is no `Sync`, so that one thread at a time uses it, which is all that the driver asks; every call binds its
// context to the calling thread.
unsafe impl Send for Graph {}

impl Stream {
    /// Records a graph without running it: copies to the regions of `given`, kernels, and copies from those of `found`.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// # Panics
    /// When a region is not in the arena, or an early start is asked for on a device without it ([`Gpu::starts_early`]).
    ///
    /// [`Gpu::starts_early`]: super::Gpu::starts_early
    pub fn record(
        &mut self,
        given: &[Region],
        launches: &[Launch],
        found: &[Region],
        start: Start,
    ) -> Result<Graph, GpuError> {
        assert!(start == Start::Behind || self.starts_early, "the device starts no kernel early");
        let bytes = |regions: &[Region]| regions.iter().map(|region| region.bytes as usize).sum::<usize>();
        launches.iter().try_for_each(|launch| self.find(launch.kernel()))?;
        let mut host = Pinned::new(&self.stream, bytes(given) + bytes(found))?;
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        driver("record a graph", self.stream.begin_capture(mode))?;
        let recorded = self.enqueue_all(&mut host, given, (launches, start), found);
        // Ended whatever came, else the stream is lost; twice, since a failure of another stream is told to whoever comes next.
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let ended = self.stream.end_capture(flags).or_else(|first| self.stream.end_capture(flags).map_err(|_| first));
        let graph = driver("record a graph", ended);
        recorded?;
        let refused = || GpuError::Driver { attempt: "record a graph".to_owned(), cause: "it is empty".to_owned() };
        let graph = graph?.ok_or_else(refused)?;
        driver("upload a graph", graph.upload())?;
        Ok(Graph { graph, stream: self.stream.clone(), host, given: bytes(given), running: false })
    }

    fn enqueue_all(
        &mut self,
        host: &mut Pinned,
        given: &[Region],
        (launches, start): (&[Launch], Start),
        found: &[Region],
    ) -> Result<(), GpuError> {
        let (base, stream) = (self.arena.device_ptr(&self.stream).0, self.stream.cu_stream());
        let mut at = 0;
        let mut next = |region: &Region| {
            at += region.bytes as usize;
            at - region.bytes as usize..at
        };
        // Of nothing there is no copy.
        for region in given.iter().filter(|region| region.bytes > 0) {
            let (from, to) = (next(region), base + self.range(*region).start as u64);
            // SAFETY: the region lies in the arena, and has as many bytes as the slice, which is page-locked, stays where
            // it is as long as the graph is there, and is lent to nobody while it runs.
            let copied = unsafe { result::memcpy_htod_async(to, &host.bytes()[from], stream) };
            driver("record a copy to the device", copied)?;
        }
        self.enqueue_with(launches, start)?;
        for region in found.iter().filter(|region| region.bytes > 0) {
            let (to, from) = (next(region), base + self.range(*region).start as u64);
            // SAFETY: as above.
            let copied = unsafe { result::memcpy_dtoh_async(&mut host.bytes_mut()[to], from, stream) };
            driver("record a copy from the device", copied)?;
        }
        Ok(())
    }

    /// Enqueues a graph that was recorded on this stream, behind all that is there, and does not wait.
    ///
    /// # Errors
    /// When the driver refuses.
    ///
    /// # Panics
    /// When it was recorded on another stream, whose memory may be gone.
    pub fn run(&mut self, graph: &mut Graph) -> Result<(), GpuError> {
        assert!(Arc::ptr_eq(&self.stream, &graph.stream), "a graph runs on the stream that it was recorded on");
        graph.running = true;
        driver("launch a graph", graph.graph.launch())
    }
}

impl Graph {
    /// How many of its kernels start early, as the driver says.
    ///
    /// # Errors
    /// When the driver refuses.
    pub fn early_starts(&self) -> Result<usize, GpuError> {
        let graph = self.graph.cu_graph();
        let mut count = 0;
        let none = ptr::null_mut;
        // SAFETY: with no room for them the driver only counts the edges of a graph that is there.
        let counted = unsafe { sys::cuGraphGetEdges_v2(graph, none(), none(), ptr::null_mut(), &raw mut count) };
        driver("count the edges of a graph", counted.result())?;
        let (mut from, mut to) = (vec![ptr::null_mut(); count], vec![ptr::null_mut(); count]);
        let edge = sys::CUgraphEdgeData { from_port: 0, to_port: 0, type_: 0, reserved: [0; 5] };
        let mut edges = vec![edge; count];
        let [ends, heads] = [&mut from, &mut to].map(Vec::as_mut_ptr);
        // SAFETY: each of the three has room for `count`.
        let told = unsafe { sys::cuGraphGetEdges_v2(graph, ends, heads, edges.as_mut_ptr(), &raw mut count) };
        driver("list the edges of a graph", told.result())?;
        let early = sys::CUgraphDependencyType::CU_GRAPH_DEPENDENCY_TYPE_PROGRAMMATIC as u8;
        Ok(edges.iter().filter(|edge| edge.type_ == early).count())
    }

    /// What is copied to the device by the next run, region after region; waits for the end of the last one.
    ///
    /// # Errors
    /// When that has failed.
    pub fn given(&mut self) -> Result<&mut [u8], GpuError> {
        self.wait()?;
        let given = 0..self.given;
        Ok(&mut self.host.bytes_mut()[given])
    }

    /// What was copied from the device by the last run, region after region; waits for its end.
    ///
    /// # Errors
    /// When it has failed.
    pub fn found(&mut self) -> Result<&[u8], GpuError> {
        self.wait()?;
        Ok(&self.host.bytes()[self.given..])
    }

    fn wait(&mut self) -> Result<(), GpuError> {
        if self.running {
            driver("finish a graph", self.stream.synchronize())?;
            self.running = false;
        }
        Ok(())
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        super::bind(&self.stream);
        // Else the device would copy to memory that is no more there. What it says has nobody to hear it; twice, since a
        // failure of another stream is told to whoever comes next.
        if self.wait().is_err() && self.wait().is_err() {
            self.host.leak();
        }
    }
}

/// Memory of the host that the device copies from and to by itself.
struct Pinned {
    at: NonNull<u8>,
    len: usize,
    leaked: bool,
    stream: Arc<CudaStream>,
}

impl Pinned {
    /// So many bytes, set to zero.
    fn new(stream: &Arc<CudaStream>, len: usize) -> Result<Self, GpuError> {
        driver("use its context", stream.context().bind_to_thread())?;
        // SAFETY: what comes is set below, before anybody reads it.
        let at = unsafe { result::malloc_host(len.max(1), 0) };
        let at = driver(format!("lock {len} bytes of the host's memory"), at)?;
        let refused = || GpuError::Driver { attempt: "lock memory".to_owned(), cause: "it gave none".to_owned() };
        let at = NonNull::new(at.cast::<u8>()).ok_or_else(refused)?;
        // SAFETY: so many bytes were allocated there.
        unsafe { at.write_bytes(0, len.max(1)) };
        Ok(Self { at, len, leaked: false, stream: stream.clone() })
    }

    /// Never gives the memory back: something may still write there.
    fn leak(&mut self) {
        self.leaked = true;
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: so many bytes were allocated there and set; the device writes them while a graph runs, and then `Graph`
        // gives them to nobody.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and it is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr(), self.len) }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        super::bind(&self.stream);
        // SAFETY: the driver allocated it, and nobody has it any more: `Graph` waits before it lets go, or leaks it.
        let _ = unsafe { result::free_host(self.at.as_ptr().cast()) };
    }
}
