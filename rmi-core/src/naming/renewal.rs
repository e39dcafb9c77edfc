//! Keeps a lease alive, and binds again what the registry lost.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::limits::OWN_BODY_BYTES_MAX;
use crate::naming::interface::{Claim, Naming, NamingError, Renewed, Token};
use crate::naming::name::Name;
use crate::naming::registry::Shared;

/// The most bytes of claims in one renewal. What else is in the call, the token above all, takes less than the rest.
const PAGE_BYTES: usize = OWN_BODY_BYTES_MAX - 1024;
/// The most bytes that a claim takes beside its name's text.
const CLAIM_BYTES: usize = 48;
/// The number of names that are bound again at a time: enough to fill a registry's batches, few enough to leave places to other calls.
const BOUND_TOGETHER: usize = 64;

/// Renews until the registry is dropped: three times within a lease, so that two renewals may be lost.
pub(super) async fn keep(registry: Weak<Shared>, lease: Duration) {
    let mut pause = lease / 3;
    loop {
        tokio::time::sleep(pause).await;
        let Some(registry) = registry.upgrade() else { return };
        pause = match renew(&registry).await {
            Ok(()) => lease / 3,
            Err(error) => {
                tracing::warn!(%error, "the lease could not be renewed; trying again");
                (lease / 30).max(Duration::from_millis(100))
            }
        };
    }
}

async fn renew(registry: &Arc<Shared>) -> Result<(), NamingError> {
    let Some(token) = registry.state().lease.as_ref().map(|lease| lease.token) else { return Ok(()) };
    match renew_all(registry, token).await {
        Err(NamingError::NoLease) => {
            let lease = registry.naming.join().await?;
            registry.state().lease = Some(lease.clone());
            // By this lease the registry knows no name: every one is lost, and bound again.
            renew_all(registry, lease.token).await
        }
        renewed => renewed,
    }
}

/// Renews page by page, and binds again what each page has lost before the next one: every page keeps the whole lease alive,
/// however long it takes to bind many names.
async fn renew_all(registry: &Arc<Shared>, token: Token) -> Result<(), NamingError> {
    let claims: Vec<Claim> =
        registry.state().bound.iter().map(|(name, bound)| Claim::new(name.clone(), bound.revision)).collect();
    let mut left = claims.as_slice();
    loop {
        let (page, others) = left.split_at(fitting(left));
        let Renewed { lost, .. } = registry.naming.renew(token, page).await?;
        bind_all_again(registry, &lost).await?;
        if others.is_empty() {
            return Ok(());
        }
        left = others;
    }
}

/// Counts the first claims that go into one call.
fn fitting(claims: &[Claim]) -> usize {
    let mut bytes = 0;
    let fits = |claim: &&Claim| {
        bytes += claim.name.as_str().len() + CLAIM_BYTES;
        bytes <= PAGE_BYTES
    };
    claims.iter().take_while(fits).count()
}

async fn bind_all_again(registry: &Arc<Shared>, lost: &[Name]) -> Result<(), NamingError> {
    for some in lost.chunks(BOUND_TOGETHER) {
        let mut binding = JoinSet::new();
        for name in some {
            let (registry, name) = (registry.clone(), name.clone());
            binding.spawn(async move { bind_again(&registry, name).await });
        }
        while let Some(bound) = binding.join_next().await {
            bound.unwrap_or(Ok(()))?;
        }
    }
    Ok(())
}

async fn bind_again(registry: &Arc<Shared>, name: Name) -> Result<(), NamingError> {
    let (token, bound) = {
        let state = registry.state();
        let (Some(lease), Some(bound)) = (&state.lease, state.bound.get(&name)) else { return Ok(()) };
        (lease.token, bound.clone())
    };
    match registry.naming.bind(token, &name, &bound.object, &bound.tags).await {
        Ok(revision) => {
            if let Some(bound) = registry.state().bound.get_mut(&name) {
                bound.revision = revision;
            }
            tracing::info!(%name, revision, "bound again");
        }
        // Somebody else has the name now: it is theirs.
        Err(NamingError::AlreadyBound { .. }) => {
            tracing::warn!(%name, "the name was lost to another host");
            registry.state().bound.remove(&name);
        }
        Err(error) => return Err(error),
    }
    Ok(())
}

#[cfg(test)]
#[path = "renewal_tests.rs"]
mod tests;
