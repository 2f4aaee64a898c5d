//! Signs the command line's own requests: one call into the gateway's signer.

use std::time::SystemTime;

use bytes::Bytes;
use http::Request;

pub(crate) use wuwei_gateway::sign::Credentials;

/// Service in the scope of the signature; wuwei's own endpoints take it, too.
const SERVICE: &str = "lambda";

/// Adds the headers of AWS Signature Version 4 to a request that is otherwise complete.
pub(crate) fn sign(request: &mut Request<Bytes>, credentials: &Credentials, region: &str) {
    wuwei_gateway::sign::sign(request, credentials, region, SERVICE, SystemTime::now());
}
