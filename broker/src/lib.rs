//! Queues elsewhere and buses of events: what carries messages between gateways.
//!
//! Each module makes one kind of broker an [`offload::queue::Queue`] and, where it can be one, an
//! [`offload::queue::Bus`]. Policies are `offload`'s; here are protocols.
