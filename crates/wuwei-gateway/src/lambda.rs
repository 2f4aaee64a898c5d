//! The Lambda API. An operation is one function and its line in `operations`; everything around it is here or in the
//! service model: route, authenticate, bind, validate, authorise, operate, shape.

mod attachments;
mod authorisation;
mod call;
mod code;
mod code_signing;
mod configuration;
mod dispatch;
mod environment;
mod error;
mod event_sources;
mod event_stream;
mod events;
mod layer_use;
mod layers;
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
mod role;
mod settings;
mod settlement;
mod tags;
mod target;
mod unsupported;
mod url_config;

pub(crate) use code::{is_by_key, may_download};
pub(crate) use configuration::LATEST;
pub(crate) use dispatch::answer;
pub(crate) use error::ApiError;
pub(crate) use events::Catalog as EventFunctions;
pub(crate) use layers::GET_LAYER_VERSION;
pub(crate) use lookup::{check_state, known as find_known, version_of};
pub(crate) use package::refusal as package_refusal;
pub use page::lambda_api_page;
pub(crate) use settlement::recover;
pub(crate) use target::Target;
