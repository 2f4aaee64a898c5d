//! Who asks, and the body of the request: read only for those who may go on, and only as much as there is memory for.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use thiserror::Error;

use crate::auth::{
    Arrival, AssumedRole, AuthError, AuthMode, BodyCheck, Principal, Verifier, equip, held_by, unchecked,
};
use crate::face::{Door, Exchange};
use crate::wire::{BodyError, Budget, ReceivedBody, Share};

/// Bodies up to this size are read without asking for a share of a budget.
const UNBUDGETED_BYTES: usize = 64 * 1024;

/// Memory for large bodies, of the whole server.
#[derive(Debug)]
pub(crate) struct Budgets {
    /// While they are read, of callers whose signature cannot be checked before.
    unverified: Budget,
    /// Until they are needed no more, of holders of keys.
    known: Budget,
    /// Until they are needed no more, of functions and of anonymous callers of URLs: those with a key are not to wait
    /// for them.
    others: Budget,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { unverified: Budget::new(512 * 1024), known: Budget::new(512 * 1024), others: Budget::new(256 * 1024) }
    }
}

/// Shares of budgets that a request has.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    /// Of the memory for what is being read.
    reading: Option<Share>,
    /// Of the memory for what has been read; kept until the request is answered.
    held: Option<Share>,
}

/// Why a request got no further than its signature and body.
#[derive(Debug, Error)]
pub(crate) enum AdmitError {
    #[error("authenticate")]
    Auth(#[from] AuthError),
    #[error("read body")]
    Body(#[from] BodyError),
}

/// How well the sender of a body is known before it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The signature holds.
    Believed,
    /// The signature cannot be checked yet.
    Claimed,
    /// There is no signature, and none is asked for.
    Anonymous,
}

/// Who asks, by what the head of the request shows.
pub(crate) struct Caller {
    principal: Principal,
    check: BodyCheck,
}

impl Caller {
    /// Who it is, when that is certain before the body has been read.
    pub(crate) fn believed(&self) -> Option<&Principal> {
        self.check.is_believed().then_some(&self.principal)
    }
}

impl Exchange {
    /// Finds out who asks, and reads the body: at most `limit` bytes, and none of it for a caller who is refused by
    /// what the head shows.
    pub(crate) async fn admit(
        &mut self,
        services: &[&str],
        regions: &[&str],
        limit: usize,
    ) -> Result<(Principal, Bytes), AdmitError> {
        let caller = self.identify(services, regions)?;
        self.accept(caller, limit).await
    }

    /// Finds out who asks, as far as the head shows it.
    pub(crate) fn identify(&mut self, services: &[&str], regions: &[&str]) -> Result<Caller, AuthError> {
        let parts = Arc::clone(&self.parts);
        let now = SystemTime::now();
        let verifier = Verifier { regions, services, now };
        let (mut principal, check) = match &self.door {
            Door::Public(_) if parts.options.auth == AuthMode::Off => {
                (unchecked(&self.head, &parts.options.account)?, BodyCheck::Nothing)
            }
            Door::Public(_) => verifier.begin(&self.head, |claim| {
                if claim.is_temporary() {
                    AssumedRole::admit(&parts.store, claim, now)
                } else {
                    held_by(claim, |id| parts.store.access_keys().get(id))
                }
            })?,
            // Also when signatures are not checked otherwise: a function is not one of those who asked for that.
            Door::Relay(line) => verifier.begin(&self.head, |claim| {
                // A function may have assumed a role, as anybody may whom the role trusts.
                if claim.is_temporary() && claim.key_id() != line.session.key_id() {
                    AssumedRole::admit(&parts.store, claim, now)
                } else {
                    line.session.admit(claim, Instant::now())
                }
            })?,
        };
        equip(&mut principal, &parts.store, &parts.options, Arrival { at: now, ..self.arrival() });
        let caller = Caller { principal, check };
        if let Some(principal) = caller.believed() {
            self.note.caller(principal);
        }
        Ok(caller)
    }

    /// When and from where it came.
    pub(crate) fn arrival(&self) -> Arrival {
        let peer = match &self.door {
            Door::Public(peer) => Some(*peer),
            Door::Relay(_) => None,
        };
        Arrival { peer, at: SystemTime::now() }
    }

    /// Whether the body is, or may become, one that costs memory worth a question.
    pub(crate) fn has_large_body(&self) -> bool {
        let length = self.body.declared_length();
        length.and_then(|length| usize::try_from(length).ok()).is_none_or(|length| length > UNBUDGETED_BYTES)
    }

    /// Reads the body, at most `limit` bytes, and finishes the check of the signature.
    pub(crate) async fn accept(&mut self, caller: Caller, limit: usize) -> Result<(Principal, Bytes), AdmitError> {
        let Caller { principal, check } = caller;
        let standing = if check.is_believed() { Standing::Believed } else { Standing::Claimed };
        let received = self.receive(limit, check.needs_hash(), standing).await?;
        if let Err(error) = check.finish(received.hash.as_deref().unwrap_or_default()) {
            self.note.stranger();
            return Err(error.into());
        }
        self.note.caller(&principal);
        if self.shares.held.is_none() && received.bytes.len() > UNBUDGETED_BYTES {
            self.shares.held = Some(self.budget_of(Standing::Believed).share(received.bytes.len()).await?);
        }
        self.shares.reading = None;
        Ok((principal, self.hold(received.bytes)))
    }

    /// Reads at most `limit` bytes of body, within the memory for bodies of such callers.
    pub(crate) async fn receive(
        &mut self,
        limit: usize,
        with_hash: bool,
        standing: Standing,
    ) -> Result<ReceivedBody, BodyError> {
        if self.has_large_body() {
            // An absent length may become anything up to the limit; what is too long is refused by `read`.
            let declared = self.body.declared_length().and_then(|length| usize::try_from(length).ok());
            let length = declared.unwrap_or(limit).min(limit);
            self.shares.reading = match (&self.door, standing) {
                (Door::Relay(line), _) => Some(line.bodies.share(length).await?),
                (Door::Public(_), Standing::Claimed) => Some(self.parts.budgets.unverified.share(length).await?),
                (Door::Public(_), Standing::Believed | Standing::Anonymous) => None,
            };
            self.shares.held = match standing {
                Standing::Claimed => None,
                Standing::Believed | Standing::Anonymous => Some(self.budget_of(standing).share(length).await?),
            };
        }
        let received = self.body.read(limit, with_hash).await?;
        if let Some(held) = &mut self.shares.held {
            // Nobody waits for room that a body of unknown length turned out not to need.
            held.shrink_to(received.bytes.len());
        }
        Ok(received)
    }

    /// The same bytes, which count as held until nobody has them any more: also after this request.
    pub(crate) fn hold(&self, bytes: Bytes) -> Bytes {
        match &self.shares.held {
            Some(share) => share.hold(bytes),
            None => bytes,
        }
    }

    fn budget_of(&self, standing: Standing) -> &Budget {
        let budgets = &self.parts.budgets;
        match (&self.door, standing) {
            (Door::Relay(_), _) | (Door::Public(_), Standing::Anonymous) => &budgets.others,
            (Door::Public(_), Standing::Believed | Standing::Claimed) => &budgets.known,
        }
    }
}
