//! What keeps objects alive between two nodes: releases, claims and renewals. Protocol §11.
//!
//! The session only carries them, on time: what is held stands in the tables of the two nodes.

use std::time::{Duration, Instant};

use crate::id::{LeaseId, ObjectId};
use crate::limits::{self, Limits};
use crate::proto::after::Cargo;
use crate::proto::liveness::Patience;
use crate::proto::session::{Phase, Session};
use crate::wire::frame::Frame;
use crate::wire::hello::LeaseOffer;
use crate::wire::holding::{Claim, Claimed, Released};
use crate::wire::reference::WireReference;

/// The clocks of the two leases, and what waits to be said about them.
pub(super) struct Holding {
    /// What we keep for the peer, and how long without a renewal.
    offer: LeaseOffer,
    /// How long the peer keeps what we hold; meaningless before its hello.
    granted: Duration,
    /// Since when we hold something.
    holding: Option<Instant>,
    /// Since when the peer does.
    held: Option<Instant>,
    /// When the last frame was queued: anything that arrives renews.
    pub(super) pushed: Instant,
    releases: Vec<Released>,
    releases_due: Option<Instant>,
    /// Claims from before the hello.
    claims: Vec<Claim>,
}

impl Holding {
    pub(super) fn new(limits: &Limits, now: Instant) -> Self {
        let millis = u32::try_from(limits.lease.as_millis()).unwrap_or(u32::MAX);
        Self {
            offer: LeaseOffer { id: LeaseId::random(), millis },
            granted: Duration::ZERO,
            holding: None,
            held: None,
            pushed: now,
            releases: Vec::new(),
            releases_due: None,
            claims: Vec::new(),
        }
    }

    pub(super) fn offer(&self) -> LeaseOffer {
        self.offer
    }

    pub(super) fn granted(&mut self, offer: LeaseOffer) -> Result<(), String> {
        self.granted = Duration::from_millis(offer.millis.into());
        let least = limits::LEASE_LEAST;
        if self.granted < least {
            return Err(format!("the peer grants leases of {:?}; the least is {least:?}", self.granted));
        }
        Ok(())
    }

    /// A sixth of the lease is left for coming back when a loss is noticed by this patience, a third and a sixth after the last
    /// sign of life: the last renewal that arrived is a third of the lease old at most.
    fn patience(&self) -> (Duration, Duration) {
        self.holding.map_or((Duration::MAX, Duration::MAX), |_| (self.granted / 3, self.granted / 6))
    }

    fn own(&self) -> Duration {
        Duration::from_millis(self.offer.millis.into())
    }

    /// When our lease counts from.
    fn renewed(&self) -> Option<Instant> {
        self.holding.map(|since| since.max(self.pushed))
    }

    fn renewal_due(&self) -> Option<Instant> {
        self.renewed().map(|renewed| renewed + self.granted / 3)
    }

    /// When the peer's lease is over if nothing comes after `received`.
    fn lease_over(&self, received: Instant) -> Option<Instant> {
        self.held.map(|since| since.max(received) + self.own())
    }

    /// When there is something to do.
    pub(super) fn next(&self, received: Instant) -> Option<Instant> {
        [self.releases_due, self.renewal_due(), self.lease_over(received)].into_iter().flatten().min()
    }
}

impl Session {
    /// The lease that we grant to the peer.
    pub(crate) fn lease(&self) -> LeaseId {
        self.holding.offer.id
    }

    /// We have let copies go that the peer counted. Told in a moment, with others.
    pub(crate) fn release(&mut self, object: ObjectId, copies: u32) {
        if !matches!(self.phase, Phase::Open) || copies == 0 {
            return;
        }
        self.holding.releases.push(Released { object, copies });
        if self.holding.releases.len() >= limits::RELEASES_TOGETHER {
            self.send_releases();
        } else if self.holding.releases_due.is_none() {
            self.holding.releases_due = Some(self.clock + limits::RELEASE_DELAY);
            self.signal();
        }
    }

    /// References that came and that nobody will read.
    pub(super) fn release_unread(&mut self, references: &[WireReference]) {
        for reference in references {
            match reference {
                WireReference::Sender { object, .. } => self.release(*object, 1),
                WireReference::Other(other) => self.release(other.object, 1),
                WireReference::Promised(_) => {}
            }
        }
    }

    /// How long the peer may be silent: less if we hold something of a short lease.
    pub(super) fn patience(&self) -> Patience {
        let (limits, (silence, answer)) = (&self.settings.limits, self.holding.patience());
        Patience {
            silence: limits.ping_after.min(silence),
            answer: limits.pong_timeout.min(answer),
            stall: limits.write_stall.min(answer),
        }
    }

    fn send_releases(&mut self) {
        self.holding.releases_due = None;
        let releases = std::mem::take(&mut self.holding.releases);
        for some in releases.chunks(limits::OBJECTS_PER_FRAME_MAX) {
            self.push(&Frame::Release(some.to_vec()));
        }
    }

    /// Asks to hold objects of the peer's, or objects that it holds for us; waits for the hello if need be.
    pub(crate) fn claim(&mut self, claim: Claim) {
        if matches!(self.phase, Phase::Closed(_)) {
            return;
        }
        self.holding.claims.push(claim);
        if matches!(self.phase, Phase::Open) {
            self.send_claims();
        }
    }

    pub(super) fn send_claims(&mut self) {
        for Claim { continues, last, objects } in std::mem::take(&mut self.holding.claims) {
            let (whole, rest) = objects.as_chunks::<{ limits::OBJECTS_PER_FRAME_MAX }>();
            for some in whole {
                let last = last && rest.is_empty() && std::ptr::eq(some, whole.last().unwrap_or(some));
                self.push(&Frame::Claim(Claim { continues, last, objects: some.to_vec() }));
            }
            if !rest.is_empty() || whole.is_empty() {
                self.push(&Frame::Claim(Claim { continues, last, objects: rest.to_vec() }));
            }
        }
    }

    /// Answers a claim of the peer's.
    pub(crate) fn answer_claim(&mut self, claimed: &[Claimed]) {
        for some in claimed.chunks(limits::OBJECTS_PER_FRAME_MAX) {
            self.push(&Frame::Claimed(some.to_vec()));
        }
    }

    /// We hold something of the peer's, or nothing any more: whether to renew.
    pub(crate) fn set_holding(&mut self, holding: bool) {
        if holding != self.holding.holding.is_some() {
            self.holding.holding = holding.then_some(self.clock);
            self.signal();
        }
    }

    /// The peer holds something of ours, or nothing any more: whether to expect renewals.
    pub(crate) fn set_held(&mut self, held: bool, now: Instant) {
        if held != self.holding.held.is_some() {
            self.holding.held = held.then_some(now);
            self.signal();
        }
    }

    /// Until when the peer's references are good if it is not heard of any more.
    pub(crate) fn held_until(&self, now: Instant) -> Instant {
        self.holding.lease_over(self.liveness.last_received()).unwrap_or(now)
    }

    /// Until when our references are good if the peer is not heard of any more; a little early, so that we know first if what
    /// we sent last has arrived. References that are moved here at this moment count from that, too.
    pub(crate) fn holding_until(&self) -> Instant {
        self.holding.renewed().unwrap_or(self.holding.pushed) + self.holding.granted.mul_f64(0.95)
    }

    /// Says what is due; `Err` when the peer's lease is over.
    pub(super) fn tend_leases(&mut self, now: Instant) -> Result<(), Duration> {
        if self.holding.releases_due.is_some_and(|due| due <= now) {
            self.send_releases();
        }
        if self.holding.renewal_due().is_some_and(|due| due <= now) {
            self.push(&Frame::Renew);
        }
        match self.holding.lease_over(self.liveness.last_received()) {
            Some(over) if over <= now => Err(self.holding.own()),
            _ => Ok(()),
        }
    }

    /// A frame with this cargo is queued.
    pub(super) fn shipped(&mut self, cargo: Option<Box<dyn Cargo>>) {
        if let Some(mut cargo) = cargo {
            cargo.sent();
            self.set_held(true, self.clock);
            self.after.cargo.push(cargo);
        }
    }
}
