//! Threads that wait for work and share it.

use std::cell::Cell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::affinity::Placement;

/// How often an idle thread looks for work before it sleeps: some 20 µs, longer than the gap between two layers and
/// far shorter than the gap between two frames.
const SPINS: u32 = 2_000;

thread_local! {
    /// Whether this thread is inside a task; a task that calls [`Pool::run`] runs its tasks by itself.
    static IN_TASK: Cell<bool> = const { Cell::new(false) };
    /// Number of this thread in its pool; a caller's own is 0.
    static NUMBER: Cell<usize> = const { Cell::new(0) };
}

/// A fixed set of threads that run indexed tasks; nothing is allocated per call.
///
/// Workers sleep between calls. Which thread runs which index is open; that every index runs exactly once is not.
pub struct Pool {
    shared: Arc<Shared>,
    /// One call at a time; a second caller waits here.
    turn: Mutex<()>,
    workers: Vec<JoinHandle<()>>,
}

/// A task function whose lifetime [`Pool::run`] guards.
#[derive(Clone, Copy)]
struct Job {
    task: *const (dyn Fn(usize) + Sync),
    tasks: usize,
}

// SAFETY: the function behind the pointer is `Sync`, and `Pool::run` keeps it alive until no worker is inside.
unsafe impl Send for Job {}

struct Shared {
    /// The open job; a worker enters only while it is `Some`, under this lock.
    open: Mutex<Option<Job>>,
    wake: Condvar,
    /// Counts jobs, so that a spinning worker sees a new one without the lock.
    generation: AtomicU64,
    /// The next index of the open job.
    next: AtomicUsize,
    /// Workers inside the open job.
    inside: AtomicUsize,
    /// Workers that wait for their first job.
    started: AtomicUsize,
    panicked: AtomicBool,
    stop: AtomicBool,
    placement: Placement,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Option<Job>> {
        // Nothing panics under this lock, and the value is valid at any time.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes indices until none is left.
    fn work(&self, job: Job) {
        // SAFETY: `Pool::run` does not return while a worker is inside, so the function is alive.
        let task = unsafe { &*job.task };
        let was = IN_TASK.replace(true);
        let result = catch_unwind(AssertUnwindSafe(|| {
            loop {
                let i = self.next.fetch_add(1, Ordering::Relaxed);
                if i >= job.tasks {
                    break;
                }
                task(i);
            }
        }));
        IN_TASK.set(was);
        if result.is_err() {
            self.panicked.store(true, Ordering::Release);
        }
    }

    fn serve(&self) {
        let mut seen = 0;
        loop {
            for _ in 0..SPINS {
                if self.generation.load(Ordering::Acquire) != seen {
                    break;
                }
                std::hint::spin_loop();
            }
            let mut open = self.lock();
            while self.generation.load(Ordering::Acquire) == seen && !self.stop.load(Ordering::Acquire) {
                open = self.wake.wait(open).unwrap_or_else(PoisonError::into_inner);
            }
            if self.stop.load(Ordering::Acquire) {
                return;
            }
            seen = self.generation.load(Ordering::Acquire);
            let Some(job) = *open else { continue };
            self.inside.fetch_add(1, Ordering::AcqRel);
            drop(open);
            self.work(job);
            self.inside.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

/// More threads than any machine that we know has; a process cannot start many times more.
pub const MOST: usize = 1024;

impl Pool {
    /// A pool of `threads` threads, the caller's own among them; 0 takes as many as there are cores.
    ///
    /// Where the system refuses a thread the pool is smaller, never absent; and it is never larger than [`MOST`].
    pub fn new(threads: usize) -> Self {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            n => n.min(MOST),
        };
        let shared = Arc::new(Shared {
            open: Mutex::new(None),
            wake: Condvar::new(),
            generation: AtomicU64::new(0),
            next: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            placement: Placement::new(threads - 1),
        });
        let workers: Vec<_> = (1..threads)
            .map_while(|i| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name(format!("cpu-{i}"))
                    .spawn(move || {
                        NUMBER.set(i);
                        shared.placement.join();
                        shared.started.fetch_add(1, Ordering::AcqRel);
                        shared.serve();
                    })
                    .ok()
            })
            .collect();
        // What a thread takes from memory and the system as it starts belongs here and not into somebody's frame.
        while shared.started.load(Ordering::Acquire) < workers.len() {
            std::thread::yield_now();
        }
        Self { shared, turn: Mutex::new(()), workers }
    }

    /// Threads that work, the caller's among them.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Number of the thread that asks, below [`Pool::threads`]: no two threads that work on one call have the same, so
    /// that each can have scratch memory of its own.
    pub fn thread() -> usize {
        NUMBER.get()
    }

    /// Calls `task` once for every index below `tasks` and returns when all calls have returned.
    ///
    /// A call from inside a task runs its indices on that thread alone.
    ///
    /// # Panics
    /// When a task panics, after all others have ended.
    pub fn run(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        // A thread of another pool may call, or a task of this one: in this call it is the first.
        let number = NUMBER.replace(0);
        if tasks <= 1 || self.workers.is_empty() || IN_TASK.get() {
            (0..tasks).for_each(task);
            NUMBER.set(number);
            return;
        }
        let turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: only the lifetime is erased. Workers enter under the lock while the job is open; it is closed below
        // before this function returns, and `work` does not unwind, so none reads the function after that.
        let task: *const (dyn Fn(usize) + Sync + 'static) =
            unsafe { std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), _>(task) };
        let job = Job { task, tasks };
        let shared = &*self.shared;
        shared.placement.keep_off();
        {
            let mut open = shared.lock();
            shared.next.store(0, Ordering::Relaxed);
            *open = Some(job);
            shared.generation.fetch_add(1, Ordering::AcqRel);
        }
        shared.wake.notify_all();
        shared.work(job);
        *shared.lock() = None;
        let mut spins = 0;
        while shared.inside.load(Ordering::Acquire) != 0 {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
        NUMBER.set(number);
        let panicked = shared.panicked.swap(false, Ordering::AcqRel);
        drop(turn);
        if panicked {
            resume_unwind(Box::new("a task of the pool panicked"));
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let _open = self.shared.lock();
            self.shared.stop.store(true, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its tasks throw, so there is nothing to pass on.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).finish()
    }
}

/// A slice that several tasks write, each its own part.
pub(crate) struct SharedMut<'a, T> {
    start: *mut T,
    length: usize,
    _slice: PhantomData<&'a mut [T]>,
}

// SAFETY: parts are handed out only through `slice`, whose caller promises that they do not overlap.
unsafe impl<T: Send> Sync for SharedMut<'_, T> {}

impl<'a, T> SharedMut<'a, T> {
    /// Takes the slice for as long as it is shared.
    pub fn new(slice: &'a mut [T]) -> Self {
        Self { start: slice.as_mut_ptr(), length: slice.len(), _slice: PhantomData }
    }

    /// The `length` values from `from` on.
    ///
    /// # Safety
    /// No two parts that are alive at the same time may overlap.
    ///
    /// # Panics
    /// When the part does not lie inside the slice.
    #[allow(clippy::mut_from_ref)] // the point of the type; the caller's promise is what `&mut` would check
    pub unsafe fn slice(&self, from: usize, length: usize) -> &mut [T] {
        assert!(from <= self.length && length <= self.length - from, "a part inside the slice");
        // SAFETY: inside the slice by the check above, and alone by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), length) }
    }

    /// The first value, for code that writes single values of its own.
    pub fn as_mut_ptr(&self) -> *mut T {
        self.start
    }
}
