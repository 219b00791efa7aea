//! Where threads may run.

#[cfg(target_os = "linux")]
pub(super) use linux::Placement;
#[cfg(not(target_os = "linux"))]
pub(super) use other::Placement;

#[cfg(target_os = "linux")]
mod linux {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use rustix::thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity};

    /// Keeps the workers of a pool off the processor of the thread that they help.
    ///
    /// A kernel wakes a thread where its waker runs unless it sees an idle processor that shares a cache with it, and
    /// in virtual machines it often sees none: then a worker waits for its caller for milliseconds, until the load is
    /// balanced. So a caller that is found on another processor than last time takes that one from the workers.
    #[derive(Debug)]
    pub(crate) struct Placement {
        /// The processors that this process may use.
        allowed: Option<CpuSet>,
        workers: Mutex<Vec<Pid>>,
        /// The processor that workers keep off; `usize::MAX` before the first call.
        taken: AtomicUsize,
    }

    impl Placement {
        /// For so many workers; they join whenever they have started, and allocate nothing then.
        pub fn new(workers: usize) -> Self {
            // A system that does not tell places threads by itself.
            let allowed = sched_getaffinity(None).ok().filter(|set| set.count() > 1);
            Self { allowed, workers: Mutex::new(Vec::with_capacity(workers)), taken: AtomicUsize::new(usize::MAX) }
        }

        /// Counts the calling thread among the workers.
        pub fn join(&self) {
            if let Ok(mut workers) = self.workers.lock() {
                workers.push(gettid());
                self.taken.store(usize::MAX, Ordering::Relaxed);
            }
        }

        /// Keeps the workers off the processor of the calling thread.
        pub fn keep_off(&self) {
            let Some(mut set) = self.allowed else { return };
            let here = sched_getcpu();
            if self.taken.swap(here, Ordering::Relaxed) == here {
                return;
            }
            set.unset(here);
            // A worker that cannot be placed works where it is.
            if set.count() > 0
                && let Ok(workers) = self.workers.lock()
            {
                workers.iter().for_each(|&worker| {
                    let _ = sched_setaffinity(Some(worker), &set);
                });
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    /// Other systems place threads by themselves.
    #[derive(Debug)]
    pub(crate) struct Placement;

    impl Placement {
        pub fn new(_workers: usize) -> Self {
            Self
        }

        pub fn join(&self) {}

        pub fn keep_off(&self) {}
    }
}
