//! Every picture and mask of a folder read once, on all cores.

use std::sync::OnceLock;

use super::DatasetError;
use crate::backend::cpu::pool::Pool;

/// What `look` says of `0..count`, in that order; the first that fails is the one that is said.
pub(super) fn all<T: Send + Sync>(
    count: usize,
    look: impl Fn(usize) -> Result<T, DatasetError> + Sync,
) -> Result<Vec<T>, DatasetError> {
    let seen: Vec<OnceLock<Result<T, DatasetError>>> = (0..count).map(|_| OnceLock::new()).collect();
    Pool::new(0).run(count, &|i| {
        seen[i].get_or_init(|| look(i));
    });
    seen.into_iter().map(|slot| slot.into_inner().expect("every index runs once")).collect()
}
