//! Doors for the fuzz targets of `fuzz/`. Not in any build of the product.
//!
//! Each takes bytes as a hostile function may send them, and asserts what must hold beyond "nothing panics". In tests they
//! read the seeds of `fuzz/seeds`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, UNIX_EPOCH};

use wuwei_model::InvocationId;

use crate::instance::Invocation;
use crate::stream::StreamSink;

pub use crate::egress::egress_names;
pub use crate::launcher::fuzzing::launcher_messages;
pub use crate::managed::fuzzing::frames;
pub use crate::runtime_api::fuzzing::runtime_api;

/// The request that is asked to be answered.
pub(crate) const ASKED: &str = "00000000-0000-4000-8000-000000000001";
/// Another one.
pub(crate) const OTHER: &str = "00000000-0000-4000-8000-000000000002";

pub(crate) fn invocation(id: &str, stream: Option<StreamSink>) -> Invocation {
    Invocation {
        id: InvocationId::new(id),
        payload: "{}".into(),
        deadline: UNIX_EPOCH + Duration::from_secs(1),
        timeout: Duration::from_secs(1),
        invoked_function_arn: "arn:aws:lambda:us-east-1:000000000000:function:f".to_owned(),
        trace_id: "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned(),
        client_context: None,
        cognito_identity: None,
        tenant_id: None,
        stream,
    }
}

/// What a future gives when it is asked once; nothing when it would wait.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    /// Runs a target over its committed seeds, among them the input of each fault that fuzzing has found.
    fn check(target: &str, run: fn(&[u8])) {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds").join(target);
        let mut count = 0;
        for seed in std::fs::read_dir(&seeds).unwrap() {
            let bytes = std::fs::read(seed.unwrap().path()).unwrap();
            run(&bytes);
            // Cut in the middle, and with each of its bytes changed.
            run(&bytes[..bytes.len() / 2]);
            for at in 0..bytes.len().min(256) {
                let mut changed = bytes.clone();
                changed[at] ^= 0x55;
                run(&changed);
            }
            count += 1;
        }
        assert!(count > 2, "{count} seeds in {}", seeds.display());
    }

    #[test]
    fn frames_of_the_seeds_are_read_as_the_protocol_says() {
        check("frames", super::frames);
    }

    #[test]
    fn requests_of_the_seeds_leave_the_runtime_api_whole() {
        check("runtime_api", super::runtime_api);
    }

    #[test]
    fn messages_of_the_seeds_are_taken_or_refused_whole() {
        check("launcher_messages", super::launcher_messages);
    }

    #[test]
    fn questions_and_answers_of_the_seeds_are_read_within_their_bounds() {
        check("egress_names", super::egress_names);
    }
}
