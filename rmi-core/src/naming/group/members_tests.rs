//! The choice among members, without a registry.

use super::*;
use crate::call::Target;
use crate::id::{NodeId, ObjectId};
use crate::naming::binding::Tags;
use crate::reference::ObjectRef;

/// Leads nowhere: no call is made here.
struct Nowhere(ObjectRef);

impl crate::call::Invoke for Nowhere {
    fn invoke(&self, _: Call) -> crate::call::Invocation {
        Box::pin(std::future::pending())
    }

    fn reference(&self) -> &ObjectRef {
        &self.0
    }
}

fn members() -> Members {
    let open = |object: &ObjectRef| AnyProxy::new(Target::Remote(Arc::new(Nowhere(object.clone()))), None);
    Members::new("g".parse().unwrap(), "Worker", open)
}

fn binding(number: usize, revision: u64) -> Binding {
    let object = ObjectRef::new(NodeId::from_bytes([1; 16]), ObjectId::random(), vec!["Worker".into()], Vec::new());
    Binding::new(name(number), object, revision, Tags::new(), true)
}

fn name(number: usize) -> Name {
    format!("g/@{number:04}").parse().unwrap()
}

fn bound(binding: &Binding) -> Event {
    Event::new(binding.revision, binding.name.clone(), Change::Bound(binding.clone()))
}

fn unbound(number: usize, revision: u64) -> Event {
    Event::new(revision, name(number), Change::Unbound)
}

/// The members that the registry names, with their revisions.
fn named(members: &Members) -> Vec<(Name, u64)> {
    let entries = lock(&members.entries);
    let named = entries.iter().filter(|(_, entry)| entry.doubted.is_none());
    named.map(|(name, entry)| (name.clone(), entry.revision)).collect()
}

/// The objects that the next calls would go to.
fn next(members: &Members, calls: usize) -> Vec<ObjectRef> {
    (0..calls).map(|_| members.pick(Balance::RoundRobin, &[]).unwrap().object.clone()).collect()
}

#[test]
fn members_are_the_marked_names_directly_below_the_group() {
    let group: Name = "a/g".parse().unwrap();
    let member = |text: &str| is_member(&group, &text.parse().unwrap());
    assert!(member("a/g/@1") && is_member(&group, &name_below(&group, Uuid::nil()).unwrap()));
    for other in ["a/g", "a/g/1", "a/g/@1/x", "a/gg/@1", "a/@1"] {
        assert!(!member(other), "{other}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_failed_is_passed_over_until_a_single_call_tries_it_again() {
    let members = members();
    let (bad, good) = (binding(0, 1), binding(1, 2));
    members.replace(&[bad.clone(), good.clone()]);
    let failed = members.pick(Balance::RoundRobin, &[]).unwrap();
    assert_eq!(failed.object, bad.object);
    members.failed(&failed);
    assert_eq!(next(&members, 4), vec![good.object.clone(); 4]);
    tokio::time::advance(ASIDE).await;
    let tries = next(&members, 6).into_iter().filter(|object| *object == bad.object).count();
    assert_eq!(tries, 1, "while one call finds out, the others go elsewhere");
    failed.is_well();
    assert!(next(&members, 2).contains(&bad.object));
}

#[tokio::test]
async fn a_member_that_failed_is_taken_when_there_is_no_other() {
    let members = members();
    let only = binding(0, 1);
    members.replace(std::slice::from_ref(&only));
    members.failed(&members.pick(Balance::RoundRobin, &[]).unwrap());
    assert_eq!(next(&members, 1), [only.object]);
}

#[tokio::test]
async fn news_of_a_member_that_failed_brings_it_back() {
    let members = members();
    let first = binding(0, 1);
    members.replace(&[first.clone(), binding(1, 2)]);
    members.failed(&members.pick(Balance::RoundRobin, &[]).unwrap());
    members.heed(bound(&Binding { revision: 3, ..first.clone() }));
    assert!(next(&members, 2).contains(&first.object));
}

#[tokio::test]
async fn each_member_is_tried_once() {
    let members = members();
    members.replace(&[binding(0, 1), binding(1, 2)]);
    let first = members.pick(Balance::LeastInFlight, &[]).unwrap();
    let second = members.pick(Balance::LeastInFlight, std::slice::from_ref(&first)).unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert!(members.pick(Balance::LeastInFlight, &[first, second]).is_none());
}

#[tokio::test]
async fn a_member_that_left_gets_no_calls() {
    let members = members();
    let (first, second) = (binding(0, 1), binding(1, 2));
    members.replace(&[first, second.clone()]);
    members.heed(unbound(0, 3));
    assert_eq!(next(&members, 2), vec![second.object; 2]);
    members.heed(unbound(1, 4));
    assert!(members.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_the_registry_forgot_is_a_last_resort_for_a_while() {
    let members = members();
    let (kept, forgotten) = (binding(0, 1), binding(1, 2));
    members.replace(&[kept.clone(), forgotten]);
    members.replace(std::slice::from_ref(&kept));
    assert_eq!(next(&members, 3), vec![kept.object; 3]);
    members.replace(&[]);
    members.failed(&members.pick(Balance::RoundRobin, &[]).unwrap());
    assert!(members.pick(Balance::RoundRobin, &[]).is_some(), "the other one has not failed");
    tokio::time::advance(DOUBT).await;
    assert!(members.pick(Balance::RoundRobin, &[]).is_none());
    assert!(members.is_empty());
}

#[tokio::test]
async fn a_registry_that_lost_its_names_and_counts_anew_is_believed() {
    let members = members();
    let before = binding(0, 7);
    members.replace(std::slice::from_ref(&before));
    members.replace(&[]);
    members.heed(bound(&Binding { revision: 1, ..before.clone() }));
    assert_eq!(named(&members), [(before.name, 1)]);
}

#[tokio::test]
async fn members_beyond_the_limit_are_not_held() {
    let members = members();
    let many: Vec<Binding> = (0..GROUP_MEMBERS_MAX).map(|number| binding(number, 1)).collect();
    members.replace(&many);
    members.heed(bound(&binding(GROUP_MEMBERS_MAX, 2)));
    assert_eq!(lock(&members.entries).len(), GROUP_MEMBERS_MAX);
    members.heed(unbound(0, 3));
    members.heed(bound(&binding(GROUP_MEMBERS_MAX, 4)));
    assert_eq!(lock(&members.entries).len(), GROUP_MEMBERS_MAX);
}

#[tokio::test]
async fn members_that_are_listed_displace_those_that_are_not() {
    let members = members();
    let many = |from: usize| (from..from + GROUP_MEMBERS_MAX).map(|number| binding(number, 1)).collect::<Vec<_>>();
    members.replace(&many(0));
    let listed = many(GROUP_MEMBERS_MAX);
    members.replace(&listed);
    assert_eq!(named(&members), listed.into_iter().map(|binding| (binding.name, 1)).collect::<Vec<_>>());
}
