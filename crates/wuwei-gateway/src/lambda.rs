//! The Lambda API. An operation is one function and its line in `operations`; everything around it is here or in the
//! service model: route, authenticate, bind, validate, authorise, operate, shape.

mod call;
mod code;
mod configuration;
mod dispatch;
mod environment;
mod error;
mod listing;
mod logging;
mod lookup;
mod marker;
mod operations;
mod package;
mod page;
mod policy;
mod provision;
mod publication;
mod settings;
mod settlement;
mod tags;
mod target;
mod unsupported;
mod url_config;

pub(crate) use configuration::LATEST;
pub(crate) use dispatch::answer;
pub(crate) use error::ApiError;
pub(crate) use lookup::{check_state, known as find_known, version_of};
pub use page::lambda_api_page;
pub(crate) use settlement::recover;
