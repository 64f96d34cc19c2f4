//! What the product promises, shown on the real binary. One file a theme.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where by failing there")]

mod auth;
mod bodies;
mod case;
mod cli;
mod config;
mod control;
mod crash;
mod crosstalk;
mod crowds;
mod data;
mod data_door;
mod data_limits;
mod documents;
mod durable;
mod engines;
mod failover;
mod first_minute;
mod forwarding;
mod grpc;
mod guides;
mod http2;
mod limits;
mod mistakes;
mod neon;
mod openapi;
mod outages;
mod peers;
mod pressure;
mod protocol;
mod route_actions;
mod routing;
mod samples;
mod secrets;
mod stop;
mod store;
mod stress;
mod tls;
mod upstash;
mod url_routes;
mod websocket;
