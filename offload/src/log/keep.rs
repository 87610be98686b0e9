//! What a thread of its own does, so that the hot path never makes, grows or removes a file.

use super::pool::Shared;
use super::{Disk, LogError, RealDisk};
use std::sync::{Arc, PoisonError};

/// Sees to the files of a log: `std::thread::spawn(move || keeper.run(…))`.
#[derive(Clone, Debug)]
pub struct Keeper<D: Disk = RealDisk> {
    pub(super) shared: Arc<Shared<D>>,
}

impl<D: Disk> Keeper<D> {
    /// Does all there is to do, then waits for more, until the [`Log`](super::Log) is dropped.
    /// `failed` is told what goes wrong, each time; the log lives on unless it says otherwise.
    pub fn run(&self, mut failed: impl FnMut(&LogError)) {
        loop {
            if let Err(error) = self.prepare() {
                failed(&error);
            }
            let mut state = self.shared.state();
            while !state.wake && !state.closed {
                state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.wake = false;
            if state.closed {
                return;
            }
        }
    }

    /// Does all there is to do now: makes the next segment ready, uses freed ones again, fills the pool,
    /// writes hints.
    ///
    /// # Errors
    /// What has failed. Nothing is lost by it; [`LogError::Full`] means that the pool is short.
    pub fn prepare(&self) -> Result<(), LogError> {
        let shared = &*self.shared;
        let _keeping = shared.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let mut short = None;
        loop {
            shared.sound()?;
            if shared.make_ready()? || shared.recycle()? {
                continue;
            }
            if short.is_none() && shared.wants_spare() {
                match shared.add_spare(0) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(error) => short = Some(error),
                }
            }
            match shared.hint() {
                Ok(true) => {}
                Ok(false) => return short.map_or(Ok(()), Err),
                Err(error) => short = short.or(Some(error)),
            }
        }
    }
}
