//! Load and latency against the real binary, beside its peers. What a figure means, and when it is void, is
//! decided in `measure`; what is compared with what, in `scenarios`. Nothing here is linked into the product.

/// One run: where its files are, which binaries and cores it uses, for how long.
pub mod rig;

/// What is compared, each returning a section of the report.
pub mod scenarios;

/// The programs that are compared, with the configuration each one runs under.
pub mod contestants;

/// Samples, interleaved rounds, medians, ratios, and what voids them.
pub mod measure;

/// Sections and tables as Markdown.
pub mod report;

/// What ran where: versions of programs, processor and kernel.
pub mod versions;

/// Child processes on chosen cores, which never outlive us.
pub mod process;

/// Engines that are started by the project's own script.
pub mod servers;

/// Processor time and memory of processes, read from `/proc`.
pub mod proc;

/// Closed-loop load by wrk.
pub mod wrk;

/// Redis under its own load program.
pub mod redis_benchmark;

/// PostgreSQL under its own load program.
pub mod pgbench;

/// When the requests of an open loop are due.
pub mod schedule;

/// Closed-loop load from one connection that never sleeps, for latency.
pub mod closedloop;

/// Readers of streams: many groups of one topic, or one consumer as fast as it goes.
pub mod consumers;

/// The engines under the data API, used without it.
pub mod direct;

/// How long calls took and what went wrong, whoever made them.
pub mod timings;

/// Durations counted in buckets of constant relative width.
pub mod histogram;

/// One blocking HTTP/1.1 connection.
pub mod client;

/// Frames of HTTP/2.
pub mod frames;

/// Protocols as clients speak them, without input or output of their own.
pub mod speak;

/// Thousands of WebSockets, both ends of them.
pub mod sockets;

/// One question and its whole answer, to check contestants with.
pub mod ask;

/// Load over many connections from one thread, by any protocol.
pub mod crowd;

/// The service behind the proxies: fixed answers, as fast as a core gives them.
pub mod backend;
