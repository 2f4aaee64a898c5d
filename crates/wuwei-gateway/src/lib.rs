//! Every HTTP face: the Lambda API, authentication, and wuwei's own endpoints.
