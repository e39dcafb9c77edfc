//! Keeps a lease alive, and binds again what the registry lost.

use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::naming::interface::{Claim, Naming, NamingError, Renewed};
use crate::naming::name::Name;
use crate::naming::registry::Shared;

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
    let claims: Vec<Claim> =
        registry.state().bound.iter().map(|(name, bound)| Claim::new(name.clone(), bound.revision)).collect();
    let lost = match registry.naming.renew(token, &claims).await {
        Ok(Renewed { lost, .. }) => lost,
        Err(NamingError::NoLease) => {
            let lease = registry.naming.join().await?;
            registry.state().lease = Some(lease);
            claims.into_iter().map(|claim| claim.name).collect()
        }
        Err(error) => return Err(error),
    };
    for name in lost {
        bind_again(registry, name).await?;
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
