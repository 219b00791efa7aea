//! Every picture looked at, on all cores.

use std::sync::OnceLock;

use crate::backend::cpu::pool::Pool;

/// What `look` says of every index below `count`, in their order.
pub(super) fn all<T: Send + Sync>(count: usize, look: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let seen: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    Pool::new(0).run(count, &|i| {
        seen[i].get_or_init(|| look(i));
    });
    seen.into_iter().map(|slot| slot.into_inner().expect("every index is looked at")).collect()
}
