//! The words all rooms speak: time, bounds, heads of messages, faults.
//!
//! No I/O and no async. Everything here is plain data or pure arithmetic over it.

pub mod bound;
pub mod fault;
pub mod field;
pub mod head;
pub mod moment;
pub mod unit;

pub use bound::{ByteSize, Share};
pub use fault::{Fault, FaultKind, Replay, Side};
pub use field::{FieldName, Fields};
pub use head::{Framing, RequestHead, ResponseHead, Version};
pub use moment::{Deadline, Moment, Wall};
