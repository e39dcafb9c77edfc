//! Group REF: where references lead, what they survive, and who they are. Time is paused where nothing real is waited for.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use rmi_core::{CallContext, ErrorKind, Executed, Node, ObjectId, ObjectRef, Proxy, Registry, RemoteError, remote};
use rmi_registry::Running;
use rmi_registry::store::Memory;
use rmi_tests::{Cut, Network};
use serde::{Deserialize, Serialize};

use tokio::time::sleep;

use super::shelf::{Count, Item, host, one};

type Done<T> = Result<T, RemoteError>;

const PROMPT: Duration = Duration::from_millis(200);

/// An object that knows itself and whom it was given.
#[remote(name = "conformance.Guide")]
pub(super) trait Guide {
    /// The node that calls; empty when the caller is in this process.
    async fn caller(&self) -> Done<String>;
    async fn this(&self) -> Done<Proxy<dyn Guide>>;
    async fn keep(&self, other: Proxy<dyn Guide>) -> Done<()>;
    async fn kept(&self) -> Done<Option<Proxy<dyn Guide>>>;
    async fn forget(&self) -> Done<()>;
}

#[derive(Default)]
pub(super) struct Local(Mutex<Option<Proxy<dyn Guide>>>);

#[remote]
impl Guide for Local {
    async fn caller(&self) -> Done<String> {
        let context = CallContext::current().unwrap();
        Ok(context.peer().map(|peer| peer.node.to_string()).unwrap_or_default())
    }
    async fn this(&self) -> Done<Proxy<dyn Guide>> {
        let context = CallContext::current().unwrap();
        assert!(context.this::<dyn Item>().is_none());
        Ok(context.this().unwrap())
    }
    async fn keep(&self, other: Proxy<dyn Guide>) -> Done<()> {
        *self.0.lock().unwrap() = Some(other);
        Ok(())
    }
    async fn kept(&self) -> Done<Option<Proxy<dyn Guide>>> {
        Ok(self.0.lock().unwrap().clone())
    }
    async fn forget(&self) -> Done<()> {
        let forgotten = self.0.lock().unwrap().take();
        drop(forgotten);
        Ok(())
    }
}

pub(super) fn guide() -> Proxy<dyn Guide> {
    Proxy::new(Local::default())
}

/// Simulated hosts, each with a guide.
struct Hosts<const N: usize> {
    network: Network,
    nodes: [Node; N],
    guides: [ObjectRef; N],
}

async fn hosts<const N: usize>(seed: u64, names: [&str; N]) -> Hosts<N> {
    let network = Network::new(seed);
    let (mut nodes, mut guides) = (Vec::new(), Vec::new());
    for name in names {
        let builder = Node::builder().transport(network.host(name)).listen(format!("sim:{name}"));
        nodes.push(builder.start().await.unwrap());
        guides.push(nodes.last().unwrap().export(&guide()).unwrap());
    }
    Hosts { network, nodes: nodes.try_into().unwrap(), guides: guides.try_into().unwrap() }
}

impl<const N: usize> Hosts<N> {
    /// The guide of one host, for another.
    fn guide(&self, of: usize, seen_by: usize) -> Proxy<dyn Guide> {
        self.nodes[seen_by].proxy(&self.guides[of]).unwrap()
    }

    /// Gives what `from` sees to `to`, which returns what it then has.
    async fn give(&self, item: &Proxy<dyn Guide>, from: usize, to: usize) -> Proxy<dyn Guide> {
        self.guide(to, from).keep(item.clone()).await.unwrap();
        self.guide(to, to).kept().await.unwrap().unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_comes_home_by_way_of_others_is_the_object_itself() {
    let hosts = hosts(54, ["a", "b", "c"]).await;
    let own = guide();
    let at_b = hosts.give(&own, 0, 1).await;
    let at_c = hosts.give(&at_b, 1, 2).await;
    let back = hosts.give(&at_c, 2, 0).await;
    assert!(back.is_local() && back == own);
    assert_eq!(back.caller().await.unwrap(), "", "the call stays in the process");
}

#[tokio::test(start_paused = true)]
async fn the_last_of_a_chain_talks_to_the_first_or_through_the_nearest_that_can() {
    for cut in [&[][..], &[(0, 3)], &[(0, 3), (0, 2)]] {
        let names = ["a", "b", "c", "d"];
        let hosts = hosts(55, names).await;
        let own = guide();
        let at_b = hosts.give(&own, 0, 1).await;
        let at_c = hosts.give(&at_b, 1, 2).await;
        let at_d = hosts.give(&at_c, 2, 3).await;
        for (one, other) in cut {
            hosts.network.cut(names[*one], names[*other], Cut::Reset);
        }
        let talks = hosts.nodes[3 - cut.len()].id().to_string();
        assert_eq!(at_d.caller().await.unwrap(), talks);
        // What lies between may forget it.
        drop((at_b, at_c));
        for between in [1, 2] {
            hosts.guide(between, between).forget().await.unwrap();
        }
        sleep(PROMPT).await;
        assert_eq!(at_d.caller().await.unwrap(), talks);
        drop(at_d);
        hosts.guide(3, 3).forget().await.unwrap();
        sleep(PROMPT).await;
        assert_eq!(hosts.nodes.each_ref().map(Node::exported), [1; 4]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handover_works_before_and_after_the_giver_lets_go_with_and_without_a_connection() {
    for (connected, let_go) in [(false, false), (false, true), (true, false), (true, true)] {
        let hosts = hosts(56, ["a", "b", "c"]).await;
        if connected {
            hosts.guide(0, 2).caller().await.unwrap();
        }
        let at_b = hosts.give(&guide(), 0, 1).await;
        let at_c = hosts.give(&at_b, 1, 2).await;
        if let_go {
            drop(at_b);
            hosts.guide(1, 1).forget().await.unwrap();
            sleep(PROMPT).await;
        }
        assert_eq!(at_c.caller().await.unwrap(), hosts.nodes[2].id().to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_knows_a_reference_may_claim_it_and_a_guess_claims_nothing() {
    let hosts = hosts(57, ["a", "b", "c"]).await;
    let own = guide();
    let known = hosts.nodes[0].export(&own).unwrap();
    for holder in [1, 2] {
        let proxy: Proxy<dyn Guide> = hosts.nodes[holder].proxy(&known.to_string().parse().unwrap()).unwrap();
        assert_eq!(proxy.caller().await.unwrap(), hosts.nodes[holder].id().to_string());
        // Claimed a second time, by a reference of its own.
        hosts.nodes[holder].proxy::<dyn Guide>(&known).unwrap().caller().await.unwrap();
    }
    let mut guess = known;
    guess.object = ObjectId::random();
    let proxy: Proxy<dyn Guide> = hosts.nodes[1].proxy(&guess).unwrap();
    let error = proxy.caller().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchObject, Executed::No));
    proxy.closed().await;
}

#[tokio::test(start_paused = true)]
async fn references_to_one_object_are_equal_whichever_way_they_came() {
    let hosts = hosts(58, ["a", "b", "c"]).await;
    let [from_a, again, other] = [0, 0, 1].map(|of| hosts.guide(of, 2));
    let at_b = hosts.give(&hosts.guide(0, 0), 0, 1).await;
    let from_b = hosts.give(&at_b, 1, 2).await;
    assert!(from_a == again && from_a == from_b && from_a != other);
    assert_eq!(from_a.to_any(), from_b.this().await.unwrap().to_any());
    assert_eq!(from_a.reference().unwrap().object, from_b.reference().unwrap().object);
}

#[derive(Serialize, Deserialize)]
enum Choice {
    One(Proxy<dyn Item>),
    Pair { left: Proxy<dyn Item>, right: Box<Self> },
}

#[derive(Serialize, Deserialize)]
struct Basket {
    list: Vec<Proxy<dyn Item>>,
    map: BTreeMap<String, (u8, Proxy<dyn Item>)>,
    maybe: Option<Proxy<dyn Item>>,
    none: Option<Proxy<dyn Item>>,
    choice: Choice,
}

impl Basket {
    /// Every item, in the order of the fields.
    fn items(self) -> Vec<Proxy<dyn Item>> {
        let mut items = self.list;
        items.extend(self.map.into_values().map(|(_, item)| item).chain(self.maybe).chain(self.none));
        let mut choice = self.choice;
        loop {
            match choice {
                Choice::One(item) => {
                    items.push(item);
                    return items;
                }
                Choice::Pair { left, right } => {
                    items.push(left);
                    choice = *right;
                }
            }
        }
    }
}

#[remote(name = "conformance.Porter")]
trait Porter {
    async fn carry(&self, basket: Basket) -> Done<Basket>;
}

struct Strong;

#[remote]
impl Porter for Strong {
    async fn carry(&self, basket: Basket) -> Done<Basket> {
        Ok(basket)
    }
}

#[tokio::test(start_paused = true)]
async fn references_anywhere_in_a_value_are_found_and_let_go() {
    let (network, count) = (Network::new(59), Count::new());
    let (a, b) = (host(&network, "a", &count).await, host(&network, "b", &count).await);
    let c = host(&network, "c", &count).await;
    let porter: Proxy<dyn Porter> = b.proxy(&a.export(&Proxy::<dyn Porter>::new(Strong)).unwrap()).unwrap();
    let (own, theirs, third) = (count.item(), one(&b, "a").await, one(&b, "c").await);
    let basket = Basket {
        list: vec![own.clone(), theirs.clone(), own.clone()],
        map: BTreeMap::from([("x".into(), (1, third.clone())), ("y".into(), (2, theirs.clone()))]),
        maybe: Some(own.clone()),
        none: None,
        choice: Choice::Pair { left: third.clone(), right: Box::new(Choice::One(count.item())) },
    };
    let back = porter.carry(basket).await.unwrap().items();
    let sent = [&own, &theirs, &own, &third, &theirs, &own, &third];
    assert!(back.iter().zip(sent).all(|(back, sent)| back == sent) && back.len() == 8);
    for item in &back {
        item.touch().await.unwrap();
    }
    drop((own, theirs, third));
    count.only_ended(0, PROMPT).await;
    drop(back);
    count.ended(4, PROMPT).await;
    sleep(PROMPT).await;
    assert_eq!([&a, &b, &c].map(Node::exported), [2, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_reference_of_an_unknown_transport_is_passed_on_whole_and_not_called() {
    let hosts = hosts(63, ["a", "b"]).await;
    let text = format!(
        "rmi:{}/{}?interface=conformance.Guide&interface=a.B&at=pigeon:east%2Btower&at=tcp2://x:1",
        hosts.nodes[0].id(),
        ObjectId::random()
    );
    // It names a node that nobody has met: the first digit is another one.
    let text = text.replacen(&text[4..5], if &text[4..5] == "0" { "1" } else { "0" }, 1);
    let reference: ObjectRef = text.parse().unwrap();
    let strange: Proxy<dyn Guide> = hosts.nodes[0].proxy(&reference).unwrap();
    let error = strange.caller().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Unreachable, Executed::No));
    assert!(error.message().contains("there is no transport for \"pigeon\""), "{error}");
    let passed = hosts.give(&strange, 0, 1).await;
    assert_eq!(passed.reference(), Some(&reference));
    assert_eq!(passed.reference().unwrap().to_string(), text);
    assert_eq!(passed.caller().await.unwrap_err().executed(), Executed::No);
    let back = hosts.guide(1, 0).kept().await.unwrap().unwrap();
    assert!(back == strange && back.reference() == Some(&reference));
}

#[tokio::test(start_paused = true)]
async fn a_servant_hands_out_itself() {
    let hosts = hosts(65, ["a", "b"]).await;
    let own = guide();
    assert_eq!(own.this().await.unwrap(), own, "called in its process");
    let far = hosts.give(&own, 0, 1).await;
    let this = far.this().await.unwrap();
    assert!(this == far && !this.is_local());
    assert!(hosts.give(&this, 1, 0).await == own);
    let given = hosts.guide(0, 1).this().await.unwrap();
    assert_eq!(given.reference().unwrap().object, hosts.guides[0].object);
    let untyped = own.to_any();
    assert_eq!(untyped.cast::<dyn Guide>().unwrap().this().await.unwrap(), own);
    drop((own, far, this, given, untyped));
    for host in [0, 1] {
        hosts.guide(host, host).forget().await.unwrap();
    }
    sleep(PROMPT).await;
    assert_eq!(hosts.nodes.each_ref().map(Node::exported), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_reference_that_was_revoked_fails_for_everybody_and_no_other_does() {
    let hosts = hosts(67, ["a", "b", "c"]).await;
    let own = guide();
    let at_b = hosts.give(&own, 0, 1).await;
    let at_c = hosts.give(&at_b, 1, 2).await;
    at_c.caller().await.unwrap();
    let other = hosts.guide(0, 1).this().await.unwrap();
    assert!(hosts.nodes[0].revoke(at_b.reference().unwrap().object));
    for holder in [&at_b, &at_c] {
        let error = holder.caller().await.unwrap_err();
        assert_eq!((error.kind(), error.executed()), (ErrorKind::NoSuchObject, Executed::No));
        holder.closed().await;
        assert_eq!(holder.caller().await.unwrap_err().kind(), ErrorKind::Gone);
    }
    let error = hosts.guide(1, 0).keep(own.clone()).await.unwrap_err();
    assert!(error.message().contains("revoked"), "{error}");
    other.caller().await.unwrap();
    assert_eq!(own.caller().await.unwrap(), "", "in its own process it goes on");
}

#[tokio::test]
async fn a_name_leads_to_where_its_object_has_moved_and_an_old_reference_nowhere() {
    let running = Running::start(&["tcp://127.0.0.1:0".parse().unwrap()], Memory).await.unwrap();
    let start = || super::WAY.host().start();
    let (first, second, caller) = (start().await.unwrap(), start().await.unwrap(), start().await.unwrap());
    let names = |node| Registry::connect(node, &running.endpoints()[0]);
    let (at_first, at_second) = (names(&first).await.unwrap(), names(&second).await.unwrap());
    let (old, new) = (guide(), guide());
    at_first.bind("guide", &old).await.unwrap();
    let looking = names(&caller).await.unwrap();
    let before: Proxy<dyn Guide> = looking.lookup("guide").await.unwrap();
    before.caller().await.unwrap();
    at_second.rebind("guide", &new, None).await.unwrap();
    let after: Proxy<dyn Guide> = looking.lookup("guide").await.unwrap();
    assert!(after != before);
    assert_eq!(after.reference().unwrap().node, second.id());
    after.caller().await.unwrap();
    // As long as its host keeps it, the old one answers for itself; then nobody does in its place.
    first.shutdown().await;
    before.closed().await;
    let error = before.caller().await.unwrap_err();
    assert_eq!((error.kind(), error.executed()), (ErrorKind::Gone, Executed::No));
    after.caller().await.unwrap();
    running.shutdown().await;
}
