//! The senses: what is counted, under which names, and how the process talks of itself.

pub mod flow;
pub mod format;
pub mod histogram;
pub mod logging;
pub mod meter;
pub mod metrics;

pub use flow::Flow;
pub use format::Format;
pub use histogram::Histogram;
pub use meter::{Meter, Reading};
