//! Scenarios: the real binary between raw bytes and raw bytes.
//!
//! One binary, one module for each thing a user relies on. Modules made of rows share one gateway,
//! through [`stage`]; the others start their own with the settings they need. All ports are free
//! ones, nothing sleeps, every wait is bounded (`scenario::PATIENCE`).

// What is refused or made harmless, row by row.
mod malformed;
mod responses;
mod smuggling;

// What is passed on, and how.
mod forwarding;
mod framing;
mod interim;
mod upgrade;

// What keeps it alive.
mod bench;
mod callbacks;
mod command_line;
mod discovery;
mod drain;
mod events;
mod health;
mod limits;
mod memory;
mod page;
mod phases;
mod pools;
mod rates;
mod reload;
mod top;

// What people are told of requests.
mod said;

// Which server is asked, how often, how long, and how many at once.
mod balance;
mod deadline;
mod hedge;
mod jobs;
mod limit;
mod offload;
mod offload_broker;
mod offload_kill;
mod retry;
mod split;

// What it tells of what happened.
mod why;

// What attacks have found.
mod attacks;

// What the cache keeps and gives.
mod cache_behaviour;
mod cache_gaps;
mod cache_shared;
mod cache_suite;

// What other systems are told.
mod otlp;
mod prometheus;

// Other ways in.
mod http2;
mod tls;

// The tree itself: its rules and its pages.
mod house;

// What the modules share.
mod cache_stage;
mod stage;
mod town;
