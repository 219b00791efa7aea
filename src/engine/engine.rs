//! A plan on a device: weights laid out, threads started; nothing in it changes.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::context::ExecutionContext;
use super::cuda::{CudaError, Program, Runner};
use super::device::Device;
use super::execute::Kernel;
use super::gpu_run::Loaded;
use super::plan::{Plan, PlanStep, Weights};
use crate::backend::cpu::error::KernelError;
use crate::backend::cpu::isa::Isa;
use crate::backend::cpu::pool::Pool;

/// A plan that can be run, from as many contexts as one likes.
#[derive(Clone)]
pub struct Engine {
    pub(super) inner: Arc<Inner>,
}

/// What all contexts of an engine share.
pub(super) struct Inner {
    pub plan: Plan,
    /// What runs it on a GPU; then there are no kernels.
    pub gpu: Option<Loaded>,
    pub kernels: Vec<Kernel>,
    pub scratch: usize,
    pub pool: Pool,
    pub inputs: Vec<TensorInfo>,
    pub outputs: Vec<TensorInfo>,
}

/// An input or output: its name, and the shape of its f32 elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorInfo {
    /// Name in the model.
    pub name: String,
    /// Dimensions.
    pub shape: Vec<usize>,
}

impl Engine {
    /// Prepares a plan for this machine.
    ///
    /// # Errors
    /// When a tactic of the plan needs what this processor has not, the plan's file was changed since it was opened, or a GPU
    /// is not there, refuses, or has no kernel for a step.
    pub fn new(plan: Plan) -> Result<Self, EngineError> {
        let mut plan = plan;
        if plan.is_for_gpu() != matches!(plan.device(), Device::Cuda(_)) {
            return Err(EngineError::Device { device: plan.device() });
        }
        let file = plan.weights.iter().find_map(Weights::file).cloned();
        let unchanged = |plan: &Plan| match &file {
            Some(file) if !file.is_unchanged() => Err(EngineError::Changed { command: plan.command() }),
            _ => Ok(()),
        };
        // Before, since what was cut off cannot be read; after, since the weights must be those of the checksum.
        unchanged(&plan)?;
        if let Device::Cuda(index) = plan.device() {
            let program = Program::new(&plan)?;
            unchanged(&plan)?;
            let gpu = Some(Loaded::new(program, index)?);
            plan.take_weights();
            let (inputs, outputs, pool) = (plan.inputs(), plan.outputs(), Pool::new(1));
            return Ok(Self {
                inner: Arc::new(Inner { plan, gpu, kernels: Vec::new(), scratch: 0, pool, inputs, outputs }),
            });
        }
        let pool = Pool::new(plan.threads());
        let kernels = prepare(&mut plan, &pool)?;
        unchanged(&plan)?;
        let (inputs, outputs) = (plan.inputs(), plan.outputs());
        let scratch = kernels.iter().map(|k| k.scratch_len(pool.threads())).max().unwrap_or(0);
        Ok(Self { inner: Arc::new(Inner { plan, gpu: None, kernels, scratch, pool, inputs, outputs }) })
    }

    /// All that changes during a run, allocated once; one for each stream of frames.
    pub fn context(&self) -> ExecutionContext {
        ExecutionContext::new(self.inner.clone())
    }

    /// On a GPU the program of the plan, and a stream that runs what is recorded around it.
    pub fn on_gpu(&self) -> Option<(Arc<Program>, Box<dyn Runner>)> {
        let gpu = self.inner.gpu.as_ref()?;
        Some((gpu.program.clone(), Box::new(gpu.runner())))
    }

    /// What has to be bound.
    pub fn inputs(&self) -> &[TensorInfo] {
        &self.inner.inputs
    }

    /// What comes out.
    pub fn outputs(&self) -> &[TensorInfo] {
        &self.inner.outputs
    }

    /// The plan it runs.
    pub fn plan(&self) -> &Plan {
        &self.inner.plan
    }

    /// What computes: `cpu avx512, 8 threads`, or `cuda sm_90, NVIDIA H200, driver 12040`. The first two words decide the bits of a result, the threads do not.
    pub fn device_name(&self) -> String {
        if let Some(gpu) = &self.inner.gpu {
            let about = gpu.gpu.about();
            let (major, minor) = (about.capability / 10, about.capability % 10);
            return format!("cuda sm_{major}{minor}, {}, driver {}", about.name, about.driver);
        }
        let threads = self.inner.pool.threads();
        format!("cpu {}, {threads} thread{}", Isa::detect(), if threads == 1 { "" } else { "s" })
    }
}

/// Lays out the weights of all steps, several at a time and the largest first; a plan's own copy goes as soon as nothing
/// needs it any more, so that the two are never whole at once.
fn prepare(plan: &mut Plan, pool: &Pool) -> Result<Vec<Kernel>, EngineError> {
    let all = plan.take_weights();
    let none = Weights::default();
    let own = |step: &PlanStep| {
        let read = step.op.weights();
        let own = all.iter().enumerate().map(|(i, w)| if read.contains(&i) { w } else { &none });
        Mutex::new(Some(own.cloned().collect::<Vec<_>>()))
    };
    let (steps, values) = (&plan.header.steps, &plan.header.values);
    let waiting: Vec<Mutex<Option<Vec<Weights>>>> = steps.iter().map(own).collect();
    let mut order: Vec<usize> = (0..steps.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(steps[i].op.weights().iter().map(|&w| all[w].len()).sum::<usize>()));
    drop(all);
    let done: Vec<OnceLock<Result<Kernel, KernelError>>> = steps.iter().map(|_| OnceLock::new()).collect();
    pool.run(order.len(), &|i| {
        let index = order[i];
        let weights = waiting[index].lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        done[index].get_or_init(|| Kernel::new(&steps[index], values, &weights));
    });
    let command = || plan.command();
    let kernel = |(step, kernel): (&PlanStep, OnceLock<Result<Kernel, KernelError>>)| {
        let kernel = kernel.into_inner().expect("the pool runs every index");
        kernel.map_err(|cause| EngineError::Step { step: step.name.clone(), cause, command: command() })
    };
    steps.iter().zip(done).map(kernel).collect()
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("device", &self.device_name()).field("plan", &self.plan().sha256()).finish()
    }
}

/// Why a plan cannot be run, or a tensor cannot be bound.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum EngineError {
    /// A step that this processor cannot compute.
    #[error("cannot prepare the step `{step}`: {cause}; build the plan again on this machine: `{command}`")]
    Step {
        /// Step.
        step: String,
        /// What the kernel said.
        cause: KernelError,
        /// What builds the plan again.
        command: String,
    },
    /// A file that somebody wrote to.
    #[error("cannot prepare the plan: its file was changed while it was loaded; build it again: `{command}`")]
    Changed {
        /// What builds the plan again.
        command: String,
    },
    /// A step that no kernel computes.
    #[error(transparent)]
    Program(#[from] CudaError),
    /// A plan for the processor on a GPU, or the other way round.
    #[error("cannot run the plan on `{device}`: it was built for another kind of device, which `Plan::on` takes")]
    Device {
        /// Where it was to run.
        device: Device,
    },
    /// A GPU cannot do it.
    #[error("cannot compute on the GPU: {found}; use `--device cpu`")]
    Gpu {
        /// What is in the way.
        found: String,
    },
    /// No such input or output.
    #[error("cannot find the {kind} `{name}`: the model has {known}")]
    UnknownTensor {
        /// `input` or `output`.
        kind: &'static str,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The tensor does not fit.
    #[error("cannot bind `{name}`: expected {expected:?} f32, got {found:?} f32 with {elements} elements")]
    Shape {
        /// Input.
        name: String,
        /// Shape of the plan.
        expected: Vec<usize>,
        /// Shape that was given.
        found: Vec<usize>,
        /// Elements that were given.
        elements: usize,
    },
}
