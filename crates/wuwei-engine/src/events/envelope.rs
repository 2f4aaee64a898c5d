//! How an event lies in the queue: a head in JSON, after its length, and the payload.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::{Value, json};
use wuwei_model::InvocationId;

use crate::call::Call;

/// An asynchronous call, as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsyncCall {
    /// Request id, the same on every attempt.
    pub id: InvocationId,
    /// Version or alias that was called.
    pub qualifier: Option<String>,
    /// ARN as the caller named the function.
    pub invoked_function_arn: String,
    /// Incoming `X-Amzn-Trace-Id`, when there was one.
    pub trace_id: Option<String>,
    /// Decoded `X-Amz-Client-Context` JSON.
    pub client_context: Option<String>,
    /// Tenant that it is for, where the function keeps them apart.
    pub tenant_id: Option<String>,
    /// The event, JSON text as the caller sent it.
    pub payload: Bytes,
}

impl AsyncCall {
    pub(super) fn encode(&self) -> Bytes {
        let head = json!({
            "id": self.id.as_str(),
            "qualifier": self.qualifier,
            "arn": self.invoked_function_arn,
            "trace": self.trace_id,
            "context": self.client_context,
            "tenant": self.tenant_id,
        });
        let head = head.to_string();
        let mut bytes = BytesMut::with_capacity(4 + head.len() + self.payload.len());
        bytes.put_u32_le(u32::try_from(head.len()).unwrap_or(u32::MAX));
        bytes.put_slice(head.as_bytes());
        bytes.put_slice(&self.payload);
        bytes.freeze()
    }

    /// Takes the bytes apart again; `None` when they are no event.
    pub(super) fn decode(content: &Bytes) -> Option<Self> {
        let (length, rest) = content.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let head: Value = serde_json::from_slice(rest.get(..length)?).ok()?;
        let text = |name: &str| head.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            id: InvocationId::new(text("id")?),
            qualifier: text("qualifier"),
            invoked_function_arn: text("arn")?,
            trace_id: text("trace"),
            client_context: text("context"),
            tenant_id: text("tenant"),
            payload: content.slice(4 + length..),
        })
    }

    pub(super) fn into_call(self) -> Call {
        let Self { id, qualifier: _, invoked_function_arn, trace_id, client_context, tenant_id, payload } = self;
        Call { id, payload, invoked_function_arn, trace_id, client_context, tenant_id, stream: None }
    }
}

#[cfg(test)]
mod tests {
    use super::AsyncCall;
    use bytes::Bytes;
    use wuwei_model::InvocationId;

    #[test]
    fn a_call_comes_out_as_it_went_in() {
        for text in [None, Some("text \"with\" marks".to_owned())] {
            let call = AsyncCall {
                id: InvocationId::new("id"),
                qualifier: text.clone(),
                invoked_function_arn: "arn".to_owned(),
                trace_id: text.clone(),
                client_context: text.clone(),
                tenant_id: text,
                payload: Bytes::from_static(b"{\"a\":1}"),
            };
            assert_eq!(AsyncCall::decode(&call.encode()), Some(call));
        }
    }

    #[test]
    fn what_is_no_event_is_none() {
        for bytes in [&b""[..], b"\x01", b"\xff\0\0\0{}", b"\x02\0\0\0[]", b"\x02\0\0\0{}", b"\x01\0\0\0{"] {
            assert_eq!(AsyncCall::decode(&Bytes::from_static(bytes)), None);
        }
    }
}
