//! Telling other systems: metrics and traces to an OTLP receiver, by gRPC or by HTTP.
//!
//! The messages are OpenTelemetry's own (`opentelemetry-proto`); what is told is ours: every family
//! of the metrics page ([`metric`]), and spans made afterwards of exchanges that were kept
//! ([`span`]). [`Exporter`] sends both from tasks of its own through bounded queues. Nobody waits
//! for it: what a receiver does not take is lost, counted ([`Figures`]) and complained of, less and
//! less often.

pub mod address;
pub mod environment;
pub mod exporter;
pub mod figures;
pub mod metric;
pub mod span;

mod backoff;
mod line;
mod value;

pub use exporter::{Exporter, Spans};
pub use figures::{Figures, Signal};
pub use span::{Kind, Span};
pub use value::{Attribute, Value};
