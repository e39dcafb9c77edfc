//! Every order of events in a small world, tried on the real books.
//!
//! An owner's object is sent to one node, which passes it on to another, which claims it at the owner. Copies cross with
//! releases, a connection is lost and taken up again, a node crashes, time passes. In every state that can be reached:
//!
//! - **safe**: who holds the object, and has not let its lease run out, can call it;
//! - **exact**: no honest node releases more than it got, or gets an answer that it did not ask for;
//! - **live**: when nothing is under way and nobody holds it, every book is empty; a crashed node's lease ends.
//!
//! Each of four classic mistakes, made on purpose, is found.

use std::collections::{HashSet, VecDeque};

use super::imports::{Answer, Imports};
use super::lease::{Change, Lease};
use crate::id::ObjectId;

const X: ObjectId = ObjectId::from_bytes([1; 16]);
/// After so many ticks without a renewal a lease is over.
const LEASE_TICKS: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mistake {
    None,
    /// The count rises when the copy has arrived, not when it is sent.
    NoPinInTransit,
    /// A release takes all copies, not those that were received.
    ReleaseWithoutCount,
    /// A renewal renews every lease.
    RenewalForAnother,
    /// The claim is answered before it is entered.
    AnswerBeforeEntry,
}

#[derive(Clone, Debug)]
enum Message {
    Copy,
    /// Says that a copy came; only a mistake needs it.
    Arrived,
    Release(u32),
    Claim {
        last: bool,
    },
    Claimed(bool),
}

/// The owner's side towards one peer.
#[derive(Clone, Debug, Default)]
struct Granted {
    lease: Lease<()>,
    /// The lease of a connection that was lost.
    before: Option<Lease<()>>,
    silent: u8,
    /// A claim that was answered and not entered.
    late: bool,
}

/// A way between two nodes, both directions in order.
#[derive(Clone, Debug, Default)]
struct Link {
    there: VecDeque<Message>,
    back: VecDeque<Message>,
}

#[derive(Clone, Debug)]
struct World {
    mistake: Mistake,
    /// What the owner grants to the introducer and to the receiver.
    to_introducer: Granted,
    to_receiver: Granted,
    owner_introducer: Link,
    owner_receiver: Link,
    introducer_receiver: Link,
    /// What the introducer holds at the owner, and grants to the receiver.
    introducer: Imports<()>,
    introducer_lease: Lease<()>,
    introducer_has: bool,
    introducer_crashed: bool,
    /// What the receiver holds at the introducer and at the owner.
    receiver_way: Imports<()>,
    receiver: Imports<()>,
    receiver_has: bool,
    receiver_claimed: bool,
    copies_left: u8,
    passes_left: u8,
    losses_left: u8,
    ticks_left: u8,
    crashed_ticks: u8,
}

type Broken = String;

impl World {
    fn new(mistake: Mistake) -> Self {
        Self {
            mistake,
            to_introducer: Granted::default(),
            to_receiver: Granted::default(),
            owner_introducer: Link::default(),
            owner_receiver: Link::default(),
            introducer_receiver: Link::default(),
            introducer: Imports::default(),
            introducer_lease: Lease::default(),
            introducer_has: false,
            introducer_crashed: false,
            receiver_way: Imports::default(),
            receiver: Imports::default(),
            receiver_has: false,
            receiver_claimed: false,
            copies_left: 2,
            passes_left: 2,
            losses_left: 1,
            ticks_left: 4,
            crashed_ticks: 0,
        }
    }

    fn object_lives(&self) -> bool {
        let held = |granted: &Granted| {
            !granted.lease.is_empty() || granted.before.as_ref().is_some_and(|before| !before.is_empty())
        };
        held(&self.to_introducer) || held(&self.to_receiver)
    }

    /// The introducer has the object as long as its program or a peer does.
    fn introducer_holds(&self) -> bool {
        self.introducer_has || !self.introducer_lease.is_empty()
    }

    fn check(&self) -> Result<(), Broken> {
        let held = (self.introducer_holds() && !self.introducer_crashed)
            || (self.receiver_has && (self.receiver_claimed || !self.introducer_crashed));
        if held && !self.object_lives() {
            return Err("the object was dropped while it was held".into());
        }
        if self.crashed_ticks > LEASE_TICKS && !self.to_introducer.lease.is_empty() {
            return Err("the lease of a crashed node does not end".into());
        }
        let links = [&self.owner_introducer, &self.owner_receiver, &self.introducer_receiver];
        let quiet = links.iter().all(|link| link.there.is_empty() && link.back.is_empty());
        if quiet && !self.introducer_has && !self.receiver_has && !self.introducer_crashed {
            let books = [self.introducer.is_empty(), self.receiver.is_empty(), self.receiver_way.is_empty()];
            if self.object_lives() || !self.introducer_lease.is_empty() || books.contains(&false) {
                return Err("something is left although nobody holds it".into());
            }
        }
        Ok(())
    }

    /// Every world that one event leads to.
    fn next(&self) -> Vec<(&'static str, Result<Self, Broken>)> {
        type Event = fn(&mut World) -> Result<bool, Broken>;
        let events: [(&'static str, Event); 15] = [
            ("the owner sends a copy", |world| Ok(world.owner_sends())),
            ("a copy comes to the introducer", Self::introducer_reads),
            ("the owner reads from the introducer", Self::owner_reads_introducer),
            ("the introducer drops it", |world| Ok(world.introducer_drops())),
            ("the introducer passes it on", |world| Ok(world.introducer_passes())),
            ("the receiver reads from the introducer", Self::receiver_reads_introducer),
            ("the introducer reads from the receiver", Self::introducer_reads_receiver),
            ("the receiver claims", |world| Ok(world.receiver_claims())),
            ("the owner reads from the receiver", Self::owner_reads_receiver),
            ("the receiver reads from the owner", Self::receiver_reads_owner),
            ("the receiver drops it", |world| Ok(world.receiver_drops())),
            ("the owner enters a late claim", |world| Ok(world.owner_enters())),
            ("a connection is lost and another one made", |world| Ok(world.reconnects())),
            ("the introducer crashes", |world| Ok(world.introducer_crashes())),
            ("time passes", |world| Ok(world.ticks())),
        ];
        let mut worlds = Vec::new();
        for (name, event) in events {
            let mut world = self.clone();
            match event(&mut world) {
                Ok(false) => {}
                Ok(true) => worlds.push((name, world.check().map(|()| world))),
                Err(broken) => worlds.push((name, Err(broken))),
            }
        }
        worlds
    }

    fn owner_sends(&mut self) -> bool {
        if self.copies_left == 0 || self.introducer_crashed {
            return false;
        }
        self.copies_left -= 1;
        if self.mistake != Mistake::NoPinInTransit {
            self.to_introducer.lease.add(X, false, || None);
        }
        self.owner_introducer.there.push_back(Message::Copy);
        true
    }

    fn introducer_reads(&mut self) -> Result<bool, Broken> {
        let Some(message) = self.owner_introducer.there.pop_front() else { return Ok(false) };
        match message {
            Message::Copy => {
                self.introducer.received(X, ());
                self.introducer_has = true;
                if self.mistake == Mistake::NoPinInTransit {
                    self.owner_introducer.back.push_back(Message::Arrived);
                }
            }
            Message::Claimed(held) => match self.introducer.answered(X, held) {
                Answer::Unasked => return Err("an answer that was not asked for".into()),
                Answer::Held(()) | Answer::NotHeld(_) => {}
                Answer::Dropped(copies) => self.introducer_releases(copies),
            },
            _ => {}
        }
        Ok(true)
    }

    fn introducer_releases(&mut self, copies: u32) {
        if copies > 0 {
            self.owner_introducer.back.push_back(Message::Release(copies));
        }
    }

    fn owner_reads_introducer(&mut self) -> Result<bool, Broken> {
        let Some(message) = self.owner_introducer.back.pop_front() else { return Ok(false) };
        let granted = &mut self.to_introducer;
        match message {
            Message::Arrived => {
                granted.lease.add(X, false, || None);
            }
            Message::Claim { last } => {
                let lives = self.object_lives();
                let granted = &mut self.to_introducer;
                if lives {
                    granted.lease.add(X, false, || None);
                }
                if last {
                    granted.before = None;
                }
                self.owner_introducer.there.push_back(Message::Claimed(lives));
            }
            message => granted.take(message, self.mistake)?,
        }
        Ok(true)
    }

    fn introducer_drops(&mut self) -> bool {
        if !self.introducer_has || self.introducer_crashed {
            return false;
        }
        self.introducer_has = false;
        self.introducer_lets_go();
        true
    }

    fn introducer_lets_go(&mut self) {
        if !self.introducer_holds() {
            let copies = self.introducer.dropped(X, |()| true);
            self.introducer_releases(copies);
        }
    }

    fn introducer_passes(&mut self) -> bool {
        if self.passes_left == 0 || !self.introducer_has || self.introducer_crashed {
            return false;
        }
        self.passes_left -= 1;
        self.introducer_lease.add(X, false, || Some(()));
        self.introducer_receiver.there.push_back(Message::Copy);
        true
    }

    fn receiver_reads_introducer(&mut self) -> Result<bool, Broken> {
        let Some(_) = self.introducer_receiver.there.pop_front() else { return Ok(false) };
        self.receiver_way.received(X, ());
        if self.receiver_claimed {
            // The owner counts us already.
            self.receiver_leaves_introducer();
        }
        self.receiver_has = true;
        Ok(true)
    }

    fn receiver_leaves_introducer(&mut self) {
        let copies = self.receiver_way.dropped(X, |()| true);
        if copies > 0 && !self.introducer_crashed {
            self.introducer_receiver.back.push_back(Message::Release(copies));
        }
    }

    fn introducer_reads_receiver(&mut self) -> Result<bool, Broken> {
        let Some(message) = self.introducer_receiver.back.pop_front() else { return Ok(false) };
        if let Message::Release(copies) = message {
            let change = self.introducer_lease.release(X, copies).map_err(|error| error.to_string())?;
            if matches!(change, Change::Ended(_)) {
                self.introducer_lets_go();
            }
        }
        Ok(true)
    }

    fn receiver_claims(&mut self) -> bool {
        if !self.receiver_has || self.receiver_claimed || self.receiver.get(X).is_some() {
            return false;
        }
        self.receiver.asked(X, ());
        self.owner_receiver.back.push_back(Message::Claim { last: false });
        true
    }

    fn owner_reads_receiver(&mut self) -> Result<bool, Broken> {
        let Some(message) = self.owner_receiver.back.pop_front() else { return Ok(false) };
        match message {
            Message::Claim { .. } => {
                let lives = self.object_lives();
                if self.mistake == Mistake::AnswerBeforeEntry {
                    self.to_receiver.late = lives;
                } else if lives {
                    self.to_receiver.lease.add(X, false, || None);
                }
                self.owner_receiver.there.push_back(Message::Claimed(lives));
            }
            message => self.to_receiver.take(message, self.mistake)?,
        }
        Ok(true)
    }

    fn owner_enters(&mut self) -> bool {
        let late = std::mem::take(&mut self.to_receiver.late);
        if late && self.object_lives() {
            self.to_receiver.lease.add(X, false, || None);
        }
        late
    }

    fn receiver_reads_owner(&mut self) -> Result<bool, Broken> {
        let Some(Message::Claimed(held)) = self.owner_receiver.there.pop_front() else { return Ok(false) };
        match self.receiver.answered(X, held) {
            Answer::Unasked => return Err("an answer that was not asked for".into()),
            Answer::Dropped(0) => {}
            Answer::Dropped(copies) => self.owner_receiver.back.push_back(Message::Release(copies)),
            Answer::Held(()) => {
                self.receiver_claimed = true;
                self.receiver_leaves_introducer();
            }
            // Gone: the program learns it with its next call.
            Answer::NotHeld(_) => {
                self.receiver_drops();
            }
        }
        Ok(true)
    }

    fn receiver_drops(&mut self) -> bool {
        if !self.receiver_has {
            return false;
        }
        (self.receiver_has, self.receiver_claimed) = (false, false);
        let copies = self.receiver.dropped(X, |()| true);
        if copies > 0 {
            self.owner_receiver.back.push_back(Message::Release(copies));
        }
        self.receiver_leaves_introducer();
        true
    }

    /// What is under way is lost; the introducer goes on over another connection with what it holds.
    fn reconnects(&mut self) -> bool {
        let live = self.to_introducer.before.is_none() && !self.introducer_crashed;
        if self.losses_left == 0 || !live || self.mistake == Mistake::NoPinInTransit {
            return false;
        }
        self.losses_left -= 1;
        self.owner_introducer = Link::default();
        self.to_introducer.before = Some(std::mem::take(&mut self.to_introducer.lease));
        let held = std::mem::take(&mut self.introducer).take();
        // A claim for nothing ends the lease of before as well.
        if held.is_empty() {
            self.to_introducer.before = None;
            return true;
        }
        self.introducer.asked(X, ());
        self.owner_introducer.back.push_back(Message::Claim { last: true });
        true
    }

    fn introducer_crashes(&mut self) -> bool {
        // A receiver that has not claimed yet loses what only the crashed node kept: that is the program's risk.
        let alone = self.receiver_has && !self.receiver_claimed;
        if self.introducer_crashed || alone || !self.introducer_receiver.there.is_empty() {
            return false;
        }
        self.introducer_crashed = true;
        self.introducer_has = false;
        self.owner_introducer = Link::default();
        self.introducer_receiver = Link::default();
        self.receiver_way = Imports::default();
        true
    }

    /// Who lives renews in time; the owner ends the leases that were not renewed.
    fn ticks(&mut self) -> bool {
        if self.ticks_left == 0 {
            return false;
        }
        self.ticks_left -= 1;
        let renewals = [!self.introducer_crashed, true];
        let all = self.mistake == Mistake::RenewalForAnother && renewals.contains(&true);
        for (granted, renewed) in [&mut self.to_introducer, &mut self.to_receiver].into_iter().zip(renewals) {
            granted.silent = if renewed || all { 0 } else { granted.silent + 1 };
            if granted.silent >= LEASE_TICKS {
                *granted = Granted::default();
            }
        }
        self.crashed_ticks += u8::from(self.introducer_crashed);
        true
    }
}

impl Granted {
    fn take(&mut self, message: Message, mistake: Mistake) -> Result<(), Broken> {
        match message {
            Message::Release(_) if mistake == Mistake::ReleaseWithoutCount => {
                self.lease = Lease::default();
                Ok(())
            }
            Message::Release(copies) => self.lease.release(X, copies).map(drop).map_err(|error| error.to_string()),
            _ => Ok(()),
        }
    }
}

/// Every reachable world; the way to a broken one, if there is one.
fn explore(mistake: Mistake) -> Result<usize, Vec<String>> {
    let first = World::new(mistake);
    let mut seen = HashSet::from([format!("{first:?}")]);
    let mut worlds = vec![(first, None, "")];
    let mut at = 0;
    while let Some((world, ..)) = worlds.get(at).cloned() {
        for (name, next) in world.next() {
            match next {
                Ok(next) => {
                    if seen.insert(format!("{next:?}")) {
                        worlds.push((next, Some(at), name));
                    }
                }
                Err(broken) => {
                    let mut way = vec![broken, name.to_owned()];
                    let mut back = Some(at);
                    while let Some((_, before, name)) = back.and_then(|back| worlds.get(back)) {
                        way.push((*name).to_owned());
                        back = *before;
                    }
                    way.reverse();
                    return Err(way);
                }
            }
        }
        at += 1;
    }
    Ok(worlds.len())
}

#[test]
fn in_every_order_of_events_the_books_are_safe_exact_and_live() {
    match explore(Mistake::None) {
        Ok(worlds) => assert!(worlds > 10_000, "only {worlds} worlds were reached"),
        Err(way) => panic!("{}", way.join("\n")),
    }
}

#[test]
fn each_classic_mistake_is_found() {
    let found = |mistake| explore(mistake).expect_err("the mistake is found").pop().unwrap_or_default();
    let dropped = "the object was dropped while it was held";
    assert_eq!(found(Mistake::NoPinInTransit), dropped);
    assert_eq!(found(Mistake::ReleaseWithoutCount), dropped);
    // What was answered and not entered can be let go before it is there.
    assert_eq!(found(Mistake::AnswerBeforeEntry), "release of 1 copies of an object of which 0 are held");
    assert_eq!(found(Mistake::RenewalForAnother), "the lease of a crashed node does not end");
}
