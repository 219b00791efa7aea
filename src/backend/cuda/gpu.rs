//! One NVIDIA GPU with its kernels, and the streams on it.
//!
//! Everything is looked for at run time. A machine without driver or device gets a sentence.

use std::collections::BTreeMap;
use std::ffi::{CString, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, CudaModule, CudaStream, DriverError, sys};
use cudarc::nvrtc::Ptx;

use super::module::Module;

mod graph;
mod stream;

pub use graph::{Graph, Start};
pub use stream::Stream;

/// A device with its kernels loaded, for as many streams as one likes.
#[derive(Clone)]
pub struct Gpu {
    context: Arc<CudaContext>,
    module: Arc<CudaModule>,
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
    /// The compute capability of that.
    pub kernels: u32,
    /// Multiprocessors.
    pub multiprocessors: i32,
}

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

/// Makes the device's context that of this thread, for what is given back next and does not do so itself; twice, since a failure of
/// another stream is told to whoever comes next.
fn bind(stream: &CudaStream) {
    let context = stream.context();
    let _ = context.bind_to_thread().or_else(|_| context.bind_to_thread());
}

/// What the driver's compiler says of PTX that it refuses, in one line; nothing where it says nothing.
fn objections(context: &CudaContext, ptx: &str) -> String {
    let (Ok(text), Ok(())) = (CString::new(ptx), context.bind_to_thread()) else { return String::new() };
    let mut log = vec![0u8; 4096];
    let mut options =
        [sys::CUjit_option_enum::CU_JIT_ERROR_LOG_BUFFER, sys::CUjit_option_enum::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), ptr::without_provenance_mut(log.len() - 1)];
    let mut module = ptr::null_mut();
    // SAFETY: the text ends in a zero; there are two options with a value each, of which the first points to as many bytes as the second
    // says, and all live until it returns. What loads after all is given back.
    unsafe {
        let loaded =
            sys::cuModuleLoadDataEx(&mut module, text.as_ptr().cast(), 2, options.as_mut_ptr(), values.as_mut_ptr());
        if loaded.result().is_ok() {
            let _ = sys::cuModuleUnload(module).result();
        }
    }
    let said = log.split(|b| *b == 0).next().unwrap_or_default();
    String::from_utf8_lossy(said).split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Gpu {
    /// Opens a device and loads the kernels; once, however often it is opened.
    ///
    /// # Errors
    /// When there is no driver or no such device, or it is too old.
    pub fn open(index: usize) -> Result<Self, GpuError> {
        // The driver compiles the kernels when they are loaded, which takes longer than all else.
        static OPEN: Mutex<BTreeMap<usize, Gpu>> = Mutex::new(BTreeMap::new());
        if !super::driver_present() {
            return Err(GpuError::NoDriver);
        }
        let mut all = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gpu) = all.get(&index) {
            return Ok(gpu.clone());
        }
        // A function that an old driver has not got makes cudarc panic.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::open_present(index)));
        opened
            .unwrap_or_else(|panic| {
                let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
                Err(GpuError::Driver {
                    attempt: "be used".to_owned(),
                    cause: said.unwrap_or("it lacks a function").to_owned(),
                })
            })
            .inspect(|gpu| drop(all.insert(index, gpu.clone())))
    }

    fn open_present(index: usize) -> Result<Self, GpuError> {
        let found = driver("count its devices", CudaContext::device_count())?;
        if i32::try_from(index).map_or(true, |index| index >= found) {
            return Err(GpuError::NoDevice { index, found });
        }
        let context = driver(format!("open device {index}"), CudaContext::new(index))?;
        // SAFETY: no memory is used by two streams, and what is on one runs in order, so that nobody waits for an event.
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
            kernels: module.capability,
            multiprocessors: driver("count the multiprocessors", context.attribute(processors))?,
        };
        let loaded = context.load_module(Ptx::from_src(module.ptx));
        let module = loaded.map_err(|e| GpuError::Driver {
            attempt: format!("load the kernels for {}", module.target),
            cause: [e.to_string(), objections(&context, module.ptx)].join(" ").trim_end().to_owned(),
        })?;
        Ok(Self { context, module, about })
    }

    /// What the device says of itself.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Whether it can start a kernel of a graph while the one before it still runs: its kernels are those that wait.
    pub fn starts_early(&self) -> bool {
        self.about.kernels >= 90
    }
}
