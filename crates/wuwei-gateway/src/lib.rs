//! Every HTTP face: the Lambda API, authentication, and wuwei's own endpoints.
//!
//! A request's way: `server` takes the connection, `face` picks who answers, `auth` finds out who asks, `lambda`, `urls`,
//! `sts` or `admin` answers. Errors get their wire form in `lambda::error` and `sts`, nowhere else.

mod accounts;
mod admin;
mod admission;
mod audit;
mod auth;
mod errors;
mod face;
mod foreign;
mod gateway;
mod iam;
mod lambda;
mod logs;
mod metrics;
mod query;
mod relay;
mod server;
pub mod sign;
mod streaming;
mod sts;
mod tasks;
mod urls;
mod wire;

pub use auth::AuthMode;
#[cfg(any(test, feature = "fuzzing"))]
pub use auth::fuzzing::signature as fuzz_signature;
pub use gateway::{Gateway, GatewayOptions, RuntimeInfo};
pub use lambda::lambda_api_page;
pub use relay::{FunctionLine, Relays};
