//! Reads values, on a thread for it.

use super::Shared;
use super::index::Place;
use super::segment::{self, Kind, Open};
use base::Wall;
use std::os::unix::fs::FileExt;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use tokio::sync::oneshot;

/// A value that somebody waits for.
pub(super) struct Ask {
    pub(super) key: u128,
    pub(super) place: Place,
    pub(super) answer: oneshot::Sender<Option<Vec<u8>>>,
}

/// Answers until nobody can ask any more.
pub(super) fn run(shared: &Shared, asks: &Receiver<Ask>) {
    while let Ok(Ask { key, place, answer }) = asks.recv() {
        if answer.is_closed() {
            continue; // Nobody waits any more.
        }
        let value = value(shared, key, place);
        if value.is_some() {
            shared.meters.hits.fetch_add(1, Ordering::Relaxed);
        }
        let _ = answer.send(value);
    }
}

fn value(shared: &Shared, key: u128, place: Place) -> Option<Vec<u8>> {
    let Some(open) = shared.segment(place.segment()) else {
        shared.index.take(key, place.segment(), place.offset);
        return None; // It made room for others a moment ago.
    };
    match read(&open, key, place.offset, place.length) {
        Ok((value, expiry)) => (shared.now() < expiry).then_some(value),
        Err(Odd::Other) => None,
        Err(Odd::Broken) => {
            shared.meters.failures.fetch_add(1, Ordering::Relaxed);
            shared.index.take(key, place.segment(), place.offset);
            None
        }
    }
}

/// Why a record is not the one that was looked for.
pub(super) enum Odd {
    /// It is another key's, with the same short form.
    Other,
    /// It is not whole.
    Broken,
}

/// The value of a record and its time, if it is whole and of this key.
pub(super) fn read(
    open: &Open,
    key: u128,
    offset: u32,
    length: u32,
) -> Result<(Vec<u8>, Wall), Odd> {
    let start = segment::start_of(offset);
    let mut head = [0; segment::HEAD];
    open.file.read_exact_at(&mut head, start).map_err(|_| Odd::Broken)?;
    let head = segment::Head::read(&head, open.seed).ok_or(Odd::Broken)?;
    if head.kind != Kind::Value || head.length != length {
        return Err(Odd::Broken);
    }
    if head.key != key {
        return Err(Odd::Other);
    }
    let mut value = vec![0; length as usize];
    open.file.read_exact_at(&mut value, start + segment::HEAD as u64).map_err(|_| Odd::Broken)?;
    if head.sum == segment::sum(&value, open.seed) {
        Ok((value, head.expiry))
    } else {
        Err(Odd::Broken)
    }
}
