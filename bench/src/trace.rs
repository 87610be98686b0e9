//! Traces of requests for the cache: read from the common published formats, or made here.
//!
//! A request is a key and a size. The first size of a key is its size for good, since a cache whose
//! objects change under it is another question. Fetched traces stay outside the repository.

pub mod made;
pub mod read;

use std::collections::HashMap;

/// One request: a key and the bytes of its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// What is asked for.
    pub key: u64,
    /// Bytes of the answer.
    pub size: u32,
}

/// A sequence of requests with a name for the table.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What the row is called.
    pub name: String,
    /// In order of time.
    pub requests: Vec<Request>,
}

impl Trace {
    /// A trace whose keys have one size each.
    pub fn new(name: String, mut requests: Vec<Request>) -> Self {
        let mut sizes = HashMap::new();
        for request in &mut requests {
            request.size = *sizes.entry(request.key).or_insert(request.size.max(1));
        }
        Self { name, requests }
    }

    /// The same requests with a size for each key as the web has them.
    #[must_use]
    pub fn with_web_sizes(&self) -> Self {
        let size = |key| made::web_size(key, 10_000.0);
        let requests =
            self.requests.iter().map(|request| Request { size: size(request.key), ..*request });
        Self { name: format!("{}, sizes made", self.name), requests: requests.collect() }
    }

    /// Every key once.
    pub fn objects(&self) -> HashMap<u64, u32> {
        self.requests.iter().map(|request| (request.key, request.size)).collect()
    }
}
