//! Lists of a registry, asked for page by page.

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::limits::BINDINGS_MAX;
use crate::naming::binding::{Binding, Event, Page};
use crate::naming::interface::{Naming, NamingError};
use crate::naming::name::{Name, Prefix};
use crate::proxy::Proxy;

/// How many bindings are asked for at a time.
const PAGE: u32 = 500;

/// Which of the bindings under a prefix are wanted, and how many at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) fits: fn(&Prefix, &Name) -> bool,
    pub(super) limit: usize,
}

impl Wanted {
    /// Every one.
    pub(super) const ALL: Self = Self { fits: |_, _| true, limit: BINDINGS_MAX };
}

/// What is bound under a prefix.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// In the order of their names.
    pub(super) bindings: Vec<Binding>,
    /// Up to which name each page went, the last one to the end, and the last change before it was made.
    pages: Vec<(Option<Name>, u64)>,
    /// How many bindings the pages had.
    seen: usize,
}

impl Listing {
    /// Whether the list says already what an event says. Its pages were not made at the same moment.
    pub(super) fn has_heard(&self, event: &Event) -> bool {
        if self.pages.last().is_none_or(|(_, newest)| event.revision > *newest) {
            return false;
        }
        let page = self.pages.iter().find(|(last, _)| last.as_ref().is_none_or(|last| event.name <= *last));
        page.is_some_and(|(_, revision)| event.revision <= *revision)
    }

    /// Takes the wanted ones of a page; says after which name the list goes on.
    fn add(&mut self, page: Page, prefix: &Prefix, wanted: Wanted) -> Result<Option<Name>, RemoteError> {
        self.seen += page.bindings.len();
        if self.seen > BINDINGS_MAX {
            return Err(endless(self.seen));
        }
        let last = page.bindings.last().filter(|_| page.more).map(|binding| binding.name.clone());
        self.pages.push((last.clone(), page.revision));
        self.bindings.extend(page.bindings.into_iter().filter(|binding| (wanted.fits)(prefix, &binding.name)));
        self.bindings.truncate(wanted.limit);
        Ok(last.filter(|_| self.bindings.len() < wanted.limit))
    }
}

/// Lists what is wanted under a prefix.
///
/// # Errors
/// What the calls may fail with; a registry that lists more than one can hold is not listened to.
pub(super) async fn list(naming: &Proxy<dyn Naming>, prefix: &Prefix, wanted: Wanted) -> Result<Listing, NamingError> {
    let (mut listing, mut after) = (Listing::default(), None);
    loop {
        let page = naming.list(prefix, after.as_ref(), PAGE).await?;
        after = listing.add(page, prefix, wanted)?;
        if after.is_none() {
            return Ok(listing);
        }
    }
}

fn endless(seen: usize) -> RemoteError {
    let text = format!("the registry lists {seen} bindings and more, which exceeds the limit of {BINDINGS_MAX}");
    RemoteError::new(ErrorKind::BadReply, Executed::Yes, text)
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;
