//! Renewals of many names, between nodes that take little at a time.

use std::collections::HashSet;
use std::sync::Mutex;

use rmi_macros::remote;

use super::*;
use crate::id::{NodeId, ObjectId};
use crate::limits::{self, Limits};
use crate::naming::binding::{Binding, Page, Tags};
use crate::naming::interface::Lease;
use crate::naming::name::Prefix;
use crate::naming::registry::{Bound, Registry};
use crate::naming::watch::{Position, Watch};
use crate::node::Node;
use crate::proxy::Proxy;
use crate::reference::ObjectRef;

/// Each claim is three values, which was more than a body might have.
const MANY: usize = 90_000;

/// Knows one lease, the names that were bound by it, and what it was asked.
struct Book {
    token: Mutex<Token>,
    bound: Mutex<HashSet<Name>>,
    renewals: Mutex<Vec<usize>>,
}

impl Book {
    fn check(&self, token: Token) -> Result<(), NamingError> {
        if *self.token.lock().unwrap() == token { Ok(()) } else { Err(NamingError::NoLease) }
    }
}

#[remote]
impl Naming for Book {
    async fn ping(&self) -> Result<(), NamingError> {
        Ok(())
    }

    async fn join(&self) -> Result<Lease, NamingError> {
        Ok(Lease::new(*self.token.lock().unwrap(), Duration::from_secs(60)))
    }

    async fn renew(&self, token: Token, claims: &[Claim]) -> Result<Renewed, NamingError> {
        self.check(token)?;
        self.renewals.lock().unwrap().push(claims.len());
        let bound = self.bound.lock().unwrap();
        Ok(Renewed::new(claims.iter().map(|claim| claim.name.clone()).filter(|name| !bound.contains(name)).collect()))
    }

    async fn leave(&self, token: Token) -> Result<(), NamingError> {
        self.check(token)
    }

    async fn bind(&self, token: Token, name: &Name, _: &ObjectRef, _: &Tags) -> Result<u64, NamingError> {
        self.check(token)?;
        let mut bound = self.bound.lock().unwrap();
        bound.insert(name.clone());
        Ok(bound.len() as u64)
    }

    async fn rebind(
        &self,
        token: Token,
        name: &Name,
        object: &ObjectRef,
        tags: &Tags,
        _: Option<u64>,
    ) -> Result<u64, NamingError> {
        self.bind(token, name, object, tags).await
    }

    async fn unbind(&self, name: &Name, _: Option<u64>) -> Result<u64, NamingError> {
        Err(NamingError::NotBound(name.clone()))
    }

    async fn lookup(&self, name: &Name) -> Result<Binding, NamingError> {
        Err(NamingError::NotBound(name.clone()))
    }

    async fn list(&self, _: &Prefix, _: Option<&Name>, _: u32) -> Result<Page, NamingError> {
        Ok(Page::new(Vec::new(), false, 0))
    }

    async fn watch(&self, _: &Prefix, position: Option<Position>) -> Result<Watch, NamingError> {
        Err(NamingError::Gap { after: position.map_or(0, |position| position.revision), since: 0, newest: 0 })
    }
}

struct Setting {
    book: Arc<Book>,
    registry: Registry,
    _node: Node,
}

/// A host that has bound names so long, between two nodes that take the least.
async fn setting(names: usize, length: usize) -> Setting {
    let mut least = Limits::default();
    (least.body_bytes_max, least.window_bytes) = (OWN_BODY_BYTES_MAX, 2 * OWN_BODY_BYTES_MAX);
    let token = Token::random();
    let book = Book { token: Mutex::new(token), bound: Mutex::default(), renewals: Mutex::default() };
    let book = Arc::new(book);
    let naming = Proxy::<dyn Naming>::from_arc(book.clone());
    let node = Node::builder().limits(least.clone()).listen("tcp://127.0.0.1:0").export_at(ObjectId::REGISTRY, &naming);
    let node = node.start().await.unwrap();
    let host = Node::builder().limits(least).start().await.unwrap();
    let registry = Registry::connect(&host, &node.endpoints()[0]).await.unwrap();
    let object = ObjectRef::new(NodeId::random(), ObjectId::random(), Vec::new(), Vec::new());
    let bound = (0..names).map(|number| {
        let name = format!("{number:0length$}").parse().unwrap();
        (name, Bound { object: object.clone(), tags: Tags::new(), revision: u64::MAX })
    });
    {
        let mut state = registry.shared().state();
        (state.bound, state.lease) = (bound.collect(), Some(Lease::new(token, Duration::from_secs(60))));
    }
    Setting { book, registry, _node: node }
}

impl Setting {
    async fn renew(&self) {
        renew(self.registry.shared()).await.unwrap();
    }

    /// The claims since it was asked last, and the calls they came in.
    fn claimed(&self) -> (usize, usize) {
        let renewals = std::mem::take(&mut *self.book.renewals.lock().unwrap());
        (renewals.iter().sum(), renewals.len())
    }
}

#[tokio::test]
async fn a_renewal_of_very_many_names_goes_in_calls_that_every_node_takes() {
    let setting = setting(MANY, 5).await;
    let known = setting.registry.shared().state().bound.keys().cloned().collect();
    *setting.book.bound.lock().unwrap() = known;
    setting.renew().await;
    assert_eq!(setting.claimed(), (MANY, MANY * (5 + CLAIM_BYTES) / PAGE_BYTES + 1));
}

#[tokio::test]
async fn a_lease_without_names_is_renewed_too() {
    let setting = setting(0, 1).await;
    setting.renew().await;
    assert_eq!(setting.claimed(), (0, 1));
}

#[tokio::test]
async fn names_of_the_longest_kind_that_were_all_lost_are_bound_again() {
    let setting = setting(1000, limits::NAME_BYTES_MAX).await;
    setting.renew().await;
    assert_eq!(setting.book.bound.lock().unwrap().len(), 1000);
    setting.renew().await;
    assert_eq!(setting.claimed().0, 2000);
}

#[tokio::test]
async fn names_whose_lease_has_ended_are_bound_again_by_another() {
    let setting = setting(1000, 20).await;
    *setting.book.token.lock().unwrap() = Token::random();
    setting.renew().await;
    assert_eq!(setting.book.bound.lock().unwrap().len(), 1000);
    let state = setting.registry.shared().state();
    assert!(state.bound.values().all(|bound| bound.revision <= 1000));
}
