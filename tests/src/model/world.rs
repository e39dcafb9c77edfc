//! Three real nodes on a simulated network, and the checks of what they do to objects.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rmi_core::{Endpoint, Limits, Node, NodeError, ObjectId, Proxy, RemoteError};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::model::desk::{Desk, Holds, Keeping, Life, Numbered, Passed, Thing, lock};
use crate::model::links::Links;
use crate::model::step::{Drawn, Step};
use crate::model::{HOSTS, LEASE, Tally};
use crate::{Cut, Network};

/// The well-known place of each desk.
const DESK: ObjectId = ObjectId::from_bytes(*b"rmi-tests.desk.0");
/// How long an object that nobody holds any more may live when everybody can be told, ...
const PROMPT: Duration = Duration::from_millis(100);
/// ... when it went through the hands of a third host, which has to be told as well, ...
const PROMPT_PASSED_ON: Duration = Duration::from_millis(300);
/// ... and when somebody cannot be told: promise P9.
const LATE: Duration = Duration::from_millis(2_500);

/// A host, from its start to its end.
struct Host {
    life: Life,
    node: Node,
    holds: Arc<Holds>,
}

/// An object, from its creation on.
struct Made {
    owner: Life,
    ended: Arc<Mutex<Option<Instant>>>,
    /// Whether somebody else than its owner passed it.
    passed_on: bool,
    /// When it must be dropped, if nobody holds it.
    due: Option<Instant>,
    /// Whether its end was seen.
    seen: bool,
}

/// What a step under way came to.
enum Done {
    Passed { thing: Option<u32>, from: Life },
    Called { holds: Arc<Holds>, thing: u32, answer: u32 },
    Left,
}

/// A step under way, with what must be known to judge it.
struct Under {
    result: Result<Done, RemoteError>,
    disturbances: u64,
    /// Whether it must succeed if nothing disturbs it.
    must: bool,
}

pub(super) struct World {
    network: Network,
    hosts: [Option<Host>; HOSTS],
    /// The host of every life.
    lives: Vec<usize>,
    things: Vec<Made>,
    links: Links,
    /// When a host that may have held something crashed last: its leases end later.
    crashed: Option<Instant>,
    under_way: JoinSet<Under>,
    tally: Tally,
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    // Failures are noticed within seconds, so that a lease and a run can be short.
    limits.ping_after = Duration::from_secs(1);
    limits.pong_timeout = Duration::from_secs(1);
    limits.write_stall = Duration::from_secs(1);
    limits.dial_timeout = Duration::from_secs(1);
    limits.handshake_timeout = Duration::from_secs(1);
    limits.call_timeout = Duration::from_secs(5);
    limits.drain_timeout = Duration::from_secs(2);
    limits.lease = LEASE;
    limits
}

fn name(host: usize) -> &'static str {
    ["a", "b", "c"][host]
}

fn place(host: usize) -> Result<Endpoint, String> {
    format!("sim:{}", name(host)).parse().map_err(|error| format!("{error}"))
}

impl World {
    pub(super) async fn new(network: Network) -> Result<Self, String> {
        let mut world = Self {
            network,
            hosts: Default::default(),
            lives: Vec::new(),
            things: Vec::new(),
            links: Links::new(),
            crashed: None,
            under_way: JoinSet::new(),
            tally: Tally::default(),
        };
        for host in 0..HOSTS {
            world.start(host).await?;
        }
        Ok(world)
    }

    /// Takes a step; what is under way afterwards is waited for unless the next step overlaps it.
    pub(super) async fn take(&mut self, drawn: &Drawn) -> Result<(), String> {
        self.begin(&drawn.step).await?;
        match drawn.overlap {
            Some(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            None => self.rest().await,
        }
    }

    /// Waits for what is under way, then compares.
    async fn rest(&mut self) -> Result<(), String> {
        while let Some(under) = self.under_way.join_next().await {
            self.finish(under.map_err(|error| format!("a step panicked: {error}"))?)?;
        }
        self.compare()
    }

    async fn begin(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Create { host } => self.create(host),
            Step::Pass { from, to, pick, copies, as_result: false } => self.pass(from, to, pick, copies)?,
            Step::Pass { from, to, pick, copies, as_result: true } => self.fetch(from, to, pick, copies)?,
            Step::Clone { host, pick } => self.copy(host, pick),
            Step::Drop { host, pick } => self.drop_one(host, pick),
            Step::DropAll { host } => self.hosts[host].iter().for_each(|host| host.holds.drop_all()),
            Step::Call { host, pick } => self.call(host, pick),
            Step::Cut { a, b, how } => self.cut(a, b, how),
            Step::Heal { a, b } => self.heal(a, b),
            Step::Crash { host, how } => self.crash(host, how),
            Step::Leave { host } => self.leave(host),
            Step::Start { host } => self.start(host).await?,
            Step::Wait { ms } => sleep(Duration::from_millis(ms)).await,
        }
        Ok(())
    }

    fn create(&mut self, host: usize) {
        let Some(host) = &self.hosts[host] else { return };
        let number = u32::try_from(self.things.len()).unwrap_or(u32::MAX);
        let ended = Arc::default();
        let servant = Numbered { number, ended: Arc::clone(&ended) };
        host.holds.create(number, Proxy::<dyn Thing>::new(servant));
        self.things.push(Made { owner: host.life, ended, passed_on: false, due: None, seen: false });
    }

    fn pass(&mut self, from: usize, to: usize, pick: usize, copies: usize) -> Result<(), String> {
        let place = place(to)?;
        let Some(host) = &self.hosts[from] else { return Ok(()) };
        let Some(passed) = host.holds.copies(pick, copies) else { return Ok(()) };
        let (node, life, must) = (host.node.clone(), host.life, self.hosts[to].is_some());
        let call = async move {
            let thing = Some(passed.thing);
            node.at::<dyn Desk>(&place, DESK).take(passed).await?;
            Ok(Done::Passed { thing, from: life })
        };
        self.spawn(must, call);
        Ok(())
    }

    fn fetch(&mut self, from: usize, to: usize, pick: usize, copies: usize) -> Result<(), String> {
        let place = place(from)?;
        let (Some(host), Some(giver)) = (&self.hosts[to], &self.hosts[from]) else { return Ok(()) };
        let (node, holds, life) = (host.node.clone(), host.holds.clone(), giver.life);
        let [pick, copies] = [pick, copies].map(|number| u32::try_from(number).unwrap_or_default());
        let call = async move {
            let passed: Option<Passed> = node.at::<dyn Desk>(&place, DESK).give(pick, copies).await?;
            let thing = passed.as_ref().map(|passed| passed.thing);
            passed.into_iter().for_each(|passed| holds.keep(passed));
            Ok(Done::Passed { thing, from: life })
        };
        self.spawn(true, call);
        Ok(())
    }

    fn copy(&self, host: usize, pick: usize) {
        let Some(host) = &self.hosts[host] else { return };
        let Some(thing) = host.holds.picked(pick) else { return };
        if let Some(hold) = host.holds.things().get_mut(&thing) {
            hold.proxies.extend(hold.proxies.first().cloned());
        }
    }

    fn drop_one(&self, host: usize, pick: usize) {
        let Some(host) = &self.hosts[host] else { return };
        host.holds.picked(pick).into_iter().for_each(|thing| host.holds.drop_one(thing));
    }

    fn call(&mut self, host: usize, pick: usize) {
        let Some(host) = &self.hosts[host] else { return };
        let Some(thing) = host.holds.picked(pick) else { return };
        let holds = host.holds.clone();
        let Some((proxy, owner, kept)) = holds.things().get(&thing).and_then(|hold| {
            Some((hold.proxies.get(pick % hold.proxies.len().max(1))?.clone(), hold.owner, hold.promise.kept))
        }) else {
            return;
        };
        let must = kept && self.is_alive(owner);
        let call = async move {
            let answer = proxy.number().await;
            drop(proxy);
            if answer.is_err() {
                holds.called(thing, false);
            }
            answer.map(|number| Done::Called { holds, thing, answer: number })
        };
        self.spawn(must, call);
    }

    fn spawn(&mut self, must: bool, step: impl Future<Output = Result<Done, RemoteError>> + Send + 'static) {
        let (disturbances, must) = (self.links.disturbances(), must && self.links.quiet());
        self.under_way.spawn(async move { Under { result: step.await, disturbances, must } });
    }

    fn cut(&mut self, a: usize, b: usize, how: Cut) {
        self.network.cut(name(a), name(b), how);
        self.links.cut(a, b);
        self.disturb();
    }

    fn heal(&mut self, a: usize, b: usize) {
        self.network.heal(name(a), name(b));
        if self.links.heal(a, b) {
            self.disturb();
        }
    }

    fn crash(&mut self, host: usize, how: Cut) {
        let Some(gone) = self.hosts[host].take() else { return };
        self.crashed = Some(Instant::now());
        self.network.crash(name(host), how);
        self.disturb();
        gone.holds.drop_all();
    }

    fn leave(&mut self, host: usize) {
        let Some(gone) = self.hosts[host].take() else { return };
        self.disturb();
        let leave = async move {
            gone.node.shutdown().await;
            gone.holds.drop_all();
            Ok(Done::Left)
        };
        self.spawn(false, leave);
    }

    async fn start(&mut self, host: usize) -> Result<(), String> {
        if self.hosts[host].is_some() {
            return Ok(());
        }
        // The one before may still be about to leave.
        self.rest().await?;
        let life = u32::try_from(self.lives.len()).unwrap_or(u32::MAX);
        let holds = Arc::new(Holds::new(life));
        let desk = Proxy::<dyn Desk>::new(Keeping(holds.clone()));
        let builder = Node::builder().transport(self.network.host(name(host))).limits(limits());
        let started = builder.listen(place(host)?).export_at(DESK, &desk).start().await;
        let node = started.map_err(|error: NodeError| format!("host {} does not start: {error}", name(host)))?;
        self.hosts[host] = Some(Host { life, node, holds });
        self.lives.push(host);
        if self.lives.len() > HOSTS {
            self.disturb();
        }
        Ok(())
    }

    /// Judges a step that is over.
    fn finish(&mut self, under: Under) -> Result<(), String> {
        let undisturbed = under.disturbances == self.links.disturbances();
        match under.result {
            Ok(Done::Passed { thing, from }) => {
                if let Some(made) = thing.and_then(|thing| self.things.get_mut(thing as usize)) {
                    made.passed_on |= made.owner != from;
                }
            }
            Ok(Done::Called { thing, answer, .. }) if answer != thing => {
                return Err(format!("a call to object {thing} was answered by object {answer}"));
            }
            Ok(Done::Called { holds, thing, .. }) => holds.called(thing, undisturbed && self.links.quiet()),
            Ok(Done::Left) => {}
            Err(error) if under.must && undisturbed => {
                return Err(format!("a call failed on a quiet network: {error}"));
            }
            Err(_) => {}
        }
        Ok(())
    }

    fn is_alive(&self, life: Life) -> bool {
        self.hosts.iter().flatten().any(|host| host.life == life)
    }

    fn host_of(&self, life: Life) -> usize {
        self.lives.get(life as usize).copied().unwrap_or_default()
    }

    /// Compares what lives with what should.
    fn compare(&mut self) -> Result<(), String> {
        self.review_promises();
        self.links.forget_old();
        for thing in 0..self.things.len() {
            let number = u32::try_from(thing).unwrap_or(u32::MAX);
            let (held, reachable) = (self.promised_by(number), self.may_be_held(number));
            let ended = *lock(&self.things[thing].ended);
            if let (Some(life), Some(ended)) = (held, ended) {
                let (host, ago) = (name(self.host_of(life)), ended.elapsed());
                return Err(format!("object {thing} was dropped {ago:?} ago, and host {host} (life {life}) holds it"));
            }
            let due = self.due(thing, reachable);
            if let Some(due) = due.filter(|due| ended.unwrap_or_else(Instant::now) > *due) {
                let late = ended.unwrap_or_else(Instant::now) - due;
                let end = if ended.is_some() { "was dropped" } else { "still is not dropped" };
                return Err(format!("nobody holds object {thing}; it {end} {late:?} after it had to be"));
            }
            self.tally.held += u64::from(held.is_some());
            let seen = std::mem::replace(&mut self.things[thing].seen, ended.is_some());
            // What ends with its owner was not let go.
            let let_go = ended.is_some() && !seen && self.is_alive(self.things[thing].owner);
            self.tally.let_go += u64::from(let_go);
            // An object that has ended is judged once.
            self.things[thing].due = if ended.is_some() { None } else { due };
        }
        Ok(())
    }

    /// Notes which holds have lost what they depend on.
    fn review_promises(&self) {
        let stands = |&(a, b): &(Life, Life)| {
            self.is_alive(a) && self.is_alive(b) && !self.links.apart(self.host_of(a), self.host_of(b))
        };
        for host in self.hosts.iter().flatten() {
            for hold in host.holds.things().values_mut() {
                hold.promise.kept &= hold.promise.links.iter().all(stands);
            }
        }
    }

    /// A host that holds the object, with a lease that is certainly good.
    fn promised_by(&self, thing: u32) -> Option<Life> {
        let owner = self.things.get(thing as usize)?.owner;
        let holds = |host: &&Host| host.holds.things().get(&thing).is_some_and(|hold| hold.promise.kept);
        let alive = self.is_alive(owner);
        self.hosts.iter().flatten().find(|host| alive && holds(host)).map(|host| host.life)
    }

    /// Whether somebody may hold the object: a host with a proxy that reaches the owner, itself or through who passed it.
    fn may_be_held(&self, thing: u32) -> bool {
        let Some(owner) = self.things.get(thing as usize).map(|made| made.owner).filter(|&owner| self.is_alive(owner))
        else {
            return false;
        };
        let up =
            |a: Life, b: Life| self.is_alive(a) && self.is_alive(b) && self.links.up(self.host_of(a), self.host_of(b));
        self.hosts.iter().flatten().any(|host| {
            let things = host.holds.things();
            let Some(hold) = things.get(&thing) else { return false };
            let through = |life: Life| up(host.life, life) && up(life, owner);
            host.life == owner || through(owner) || hold.promise.links.iter().any(|&(a, b)| through(a) || through(b))
        })
    }

    /// When the object must have ended.
    fn due(&self, thing: usize, may_be_held: bool) -> Option<Instant> {
        let made = self.things.get(thing).filter(|_| !may_be_held)?;
        let time = match (self.links.quiet(), made.passed_on) {
            (true, false) => PROMPT,
            (true, true) => PROMPT_PASSED_ON,
            (false, _) => LEASE + LATE,
        };
        let after_crash = self.crashed.map(|crashed| crashed + LEASE + LATE);
        made.due.or_else(|| Some(after_crash.unwrap_or_else(Instant::now).max(Instant::now() + time)))
    }

    /// Something fails or comes back: what is under way to let an object go may be lost with it.
    fn disturb(&mut self) {
        self.links.disturb();
        let late = Instant::now() + LEASE + LATE;
        self.things.iter_mut().filter_map(|made| made.due.as_mut()).for_each(|due| *due = late.max(*due));
    }

    /// The end of a run: everybody lets go of everything, and everything ends.
    pub(super) async fn end(mut self) -> Result<Tally, String> {
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            self.heal(a, b);
        }
        self.rest().await?;
        self.hosts.iter().flatten().for_each(|host| host.holds.drop_all());
        sleep(LEASE + LATE).await;
        if let Some(thing) = self.things.iter().position(|made| lock(&made.ended).is_none()) {
            return Err(format!("object {thing} is there after everybody has let go"));
        }
        for host in self.hosts.iter().flatten() {
            host.node.unexport(DESK);
            let (name, exported) = (name(self.host_of(host.life)), host.node.exported());
            if exported > 0 {
                return Err(format!("host {name} exports {exported} objects after everybody has let go"));
            }
        }
        self.shut_down().await?;
        Ok(self.tally)
    }

    async fn shut_down(&mut self) -> Result<(), String> {
        for host in self.hosts.iter_mut().filter_map(Option::take) {
            host.node.shutdown().await;
            let connections = host.node.connections();
            if connections > 0 {
                return Err(format!("{connections} connections are left after a node was shut down"));
            }
        }
        Ok(())
    }
}
