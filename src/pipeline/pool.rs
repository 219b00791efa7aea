//! Shared values that come back: filled again once nobody else holds them.

use std::sync::Arc;

/// A pool of `Arc<T>`; after warm-up it allocates nothing.
///
/// The pool keeps one reference to each value that it gave out, so a value is free again when its count is back at one.
#[derive(Debug, Default)]
pub struct Pool<T> {
    values: Vec<Arc<T>>,
    next: usize,
    made: usize,
}

impl<T: Default> Pool<T> {
    /// A pool of `count` values. They are given out in turn, so that the buffers of each grow early; more are made when
    /// all of them are held.
    pub fn new(count: usize) -> Self {
        Self { values: (0..count).map(|_| Arc::default()).collect(), next: 0, made: count }
    }

    /// A value that nobody else holds: a recycled one, with what it held before, or a new one. Give it back with
    /// [`Pool::keep`] once it is filled.
    pub fn take(&mut self) -> Arc<T> {
        for _ in 0..self.values.len() {
            self.next = if self.next + 1 < self.values.len() { self.next + 1 } else { 0 };
            if Arc::get_mut(&mut self.values[self.next]).is_some() {
                return self.values.swap_remove(self.next);
            }
        }
        self.made += 1;
        // One slot for every value that was ever made: `keep` never grows the list.
        self.values.reserve(self.made - self.values.len());
        Arc::default()
    }

    /// Remembers a value, to give it out again when the others have let go of it.
    pub fn keep(&mut self, value: &Arc<T>) {
        self.values.push(Arc::clone(value));
    }

    /// How many values were ever made: it stops growing when the pipeline is warm.
    pub fn made(&self) -> usize {
        self.made
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn values_come_back_when_the_others_have_let_go() {
        let mut pool = Pool::<Vec<u8>>::new(0);
        let mut held = VecDeque::new();
        let mut addresses = std::collections::BTreeSet::new();
        for turn in 0..1000 {
            let mut v = pool.take();
            let inner = Arc::get_mut(&mut v).expect("nobody else holds what the pool gives");
            inner.clear();
            inner.extend_from_slice(&[turn as u8; 100]);
            addresses.insert(inner.as_ptr() as usize);
            pool.keep(&v);
            held.push_back(v);
            if held.len() > 3 {
                held.pop_front();
            }
            assert!(held.iter().rev().zip((0..=turn).rev()).all(|(v, t)| v[0] == t as u8), "held values stay");
        }
        assert_eq!(pool.made(), 4, "three are held while one is filled");
        assert_eq!(addresses.len(), 4, "and their buffers are used again");
    }
}
