//! Who wants to know when a job's state changes, for as long as they want to.

use crate::job::JobId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// All who want to know.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<JobId, watch::Sender<()>>>);

/// Somebody who wants to know.
#[derive(Debug)]
pub struct Watched {
    id: JobId,
    changes: watch::Receiver<()>,
    watchers: Arc<Watchers>,
}

impl Watchers {
    fn all(&self) -> MutexGuard<'_, HashMap<JobId, watch::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever keeps the answer is told of this job.
    pub(super) fn watch(self: &Arc<Self>, id: JobId) -> Watched {
        let mut all = self.all();
        let changes = all.entry(id).or_insert_with(|| watch::channel(()).0).subscribe();
        Watched { id, changes, watchers: Arc::clone(self) }
    }

    /// The states of these jobs have changed.
    pub(super) fn tell(&self, changed: impl Iterator<Item = JobId>) {
        let all = self.all();
        for watcher in changed.filter_map(|id| all.get(&id)) {
            watcher.send_replace(());
        }
    }
}

impl Watched {
    /// Waits for the next change.
    ///
    /// # Cancel safety
    /// No change is missed by dropping it.
    pub async fn changed(&mut self) {
        // The sender stays as long as somebody watches.
        let _changed = self.changes.changed().await;
    }
}

impl Drop for Watched {
    /// The last one to go takes the job off the list, or what is asked for would fill the memory.
    fn drop(&mut self) {
        let mut all = self.watchers.all();
        if all.get(&self.id).is_some_and(|watcher| watcher.receiver_count() == 1) {
            all.remove(&self.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_left_of_who_has_gone() {
        let watchers = Arc::new(Watchers::default());
        let (one, two) = (JobId([1; 16]), JobId([2; 16]));
        let (first, second, other) =
            (watchers.watch(one), watchers.watch(one), watchers.watch(two));
        drop(first);
        assert_eq!(watchers.all().len(), 2);
        drop(second);
        assert_eq!(watchers.all().keys().collect::<Vec<_>>(), [&two]);
        drop(other);
        assert!(watchers.all().is_empty());
    }

    #[tokio::test]
    async fn who_watches_is_told_of_that_job_alone() {
        let watchers = Arc::new(Watchers::default());
        let mut watched = watchers.watch(JobId([1; 16]));
        watchers.tell([JobId([2; 16])].into_iter());
        assert!(!watched.changes.has_changed().unwrap());
        watchers.tell([JobId([1; 16])].into_iter());
        watched.changed().await;
    }
}
