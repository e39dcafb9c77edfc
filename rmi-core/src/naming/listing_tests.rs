//! Lists without a registry.

use super::*;
use crate::id::{NodeId, ObjectId};
use crate::naming::binding::{Change, Tags};
use crate::reference::ObjectRef;

fn name(number: usize) -> Name {
    format!("n/{number:09}").parse().unwrap()
}

fn binding(number: usize) -> Binding {
    let object = ObjectRef::new(NodeId::from_bytes([1; 16]), ObjectId::random(), Vec::new(), Vec::new());
    Binding::new(name(number), object, 1, Tags::new(), true)
}

fn unbound(number: usize, revision: u64) -> Event {
    Event::new(revision, name(number), Change::Unbound)
}

/// Two pages, the second of which is newer.
fn two_pages(wanted: Wanted) -> Listing {
    let (mut listing, prefix) = (Listing::default(), "n".parse().unwrap());
    let first = Page::new(vec![binding(0), binding(2)], true, 5);
    if let Some(after) = listing.add(first, &prefix, wanted).unwrap() {
        assert_eq!(after, name(2));
        assert_eq!(listing.add(Page::new(vec![binding(4)], false, 8), &prefix, wanted).unwrap(), None);
    }
    listing
}

#[test]
fn a_change_is_heard_of_when_the_page_that_it_belongs_to_is_newer() {
    let listing = two_pages(Wanted::ALL);
    let heard = |number, revision| listing.has_heard(&unbound(number, revision));
    // Names up to the last one of the first page belong to it, all others to the second.
    for (number, revision) in [(0, 5), (1, 4), (2, 5), (3, 8), (4, 6), (9, 8)] {
        assert!(heard(number, revision), "{number} {revision}");
    }
    for (number, revision) in [(0, 6), (2, 8), (3, 9), (9, 9)] {
        assert!(!heard(number, revision), "{number} {revision}");
    }
}

#[test]
fn a_list_has_what_is_wanted_and_not_more() {
    let names = |listing: Listing| listing.bindings.into_iter().map(|binding| binding.name).collect::<Vec<_>>();
    assert_eq!(names(two_pages(Wanted::ALL)), [name(0), name(2), name(4)]);
    assert_eq!(names(two_pages(Wanted { fits: |_, one| *one > name(0), limit: 9 })), [name(2), name(4)]);
    assert_eq!(names(two_pages(Wanted { fits: |_, one| *one > name(0), limit: 1 })), [name(2)]);
}

#[test]
fn a_registry_that_lists_without_end_is_not_listened_to() {
    let (mut listing, prefix) = (Listing::default(), "n".parse().unwrap());
    let wanted = Wanted { fits: |_, _| false, limit: 1 };
    let mut page = || listing.add(Page::new(vec![binding(7); 1000], true, 1), &prefix, wanted);
    assert!((0..BINDINGS_MAX / 1000).all(|_| page().is_ok()));
    let error = page().unwrap_err();
    let text = "the registry lists 101000 bindings and more, which exceeds the limit of 100000";
    assert!(error.to_string().contains(text), "{error}");
}
