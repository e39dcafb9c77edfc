//! What we hold at one peer: the holder's book. A value, without clocks and locks.
//!
//! It counts the copies that came, so that letting go says exactly how many: a copy that is still under way is not among
//! them, and keeps the object alive at its owner.

use std::collections::HashMap;

use crate::id::ObjectId;

/// The objects that we hold over one connection. `H` finds what stands for the object here.
#[derive(Debug, Clone)]
pub(crate) struct Imports<H> {
    held: HashMap<ObjectId, Import<H>>,
    /// What else stands for some of the objects, and shares their copies.
    twins: HashMap<ObjectId, Vec<H>>,
    /// How many are moving in what they hold over connections that were lost.
    expected: u32,
    /// Everything was taken: nothing can be held here any more.
    over: bool,
}

#[derive(Debug, Clone)]
struct Import<H> {
    /// `None` once it was dropped while claims were under way.
    handle: Option<H>,
    copies: u32,
    /// Claims that have no answer yet.
    asked: u32,
}

/// What the answer to a claim means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<H> {
    /// Nobody asked.
    Unasked,
    /// The object is ours to use.
    Held(H),
    /// It is not, and no other copy came nor is asked for: these stood for it, and are off the book.
    NotHeld(Vec<H>),
    /// It was dropped meanwhile: so many copies are to be let go.
    Dropped(u32),
}

impl<H> Default for Imports<H> {
    fn default() -> Self {
        Self { held: HashMap::new(), twins: HashMap::new(), expected: 0, over: false }
    }
}

impl<H: Clone> Imports<H> {
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.expected == 0
    }

    /// Ends it if it is empty: nothing can be held here any more then. Says whether it is. Of claims no answer comes any more: what
    /// was dropped meanwhile is off the book.
    pub(crate) fn end_if_empty(&mut self) -> bool {
        if self.held.values().all(|import| import.handle.is_none()) {
            self.held.clear();
        }
        self.over |= self.is_empty();
        self.over
    }

    /// What is held over another connection will come: until [`arrived`](Self::arrived) this is not empty. `false` when nothing
    /// can be held here any more.
    pub(crate) fn reserve(&mut self) -> bool {
        self.expected += u32::from(!self.over);
        !self.over
    }

    /// What was expected is here.
    pub(crate) fn arrived(&mut self) {
        self.expected = self.expected.saturating_sub(1);
    }

    pub(crate) fn get(&self, object: ObjectId) -> Option<&H> {
        self.held.get(&object).and_then(|import| import.handle.as_ref())
    }

    pub(crate) fn handles(&self) -> impl Iterator<Item = (ObjectId, &H)> {
        let held = self.held.iter().filter_map(|(object, import)| Some((*object, import.handle.as_ref()?)));
        held.chain(self.twins.iter().flat_map(|(object, twins)| twins.iter().map(|twin| (*object, twin))))
    }

    /// A copy came; `handle` stands for the object from here on. `false` when nothing can be held here any more.
    pub(crate) fn received(&mut self, object: ObjectId, handle: H) -> bool {
        let entry = self.entry(object, handle);
        entry.map(|import| import.copies = import.copies.saturating_add(1)).is_some()
    }

    /// A claim goes out. `false` when nothing can be held here any more.
    pub(crate) fn asked(&mut self, object: ObjectId, handle: H) -> bool {
        self.entry(object, handle).map(|import| import.asked += 1).is_some()
    }

    /// What stands for the object shares its copies from here on with what `is_it` tells, which is entered next.
    pub(crate) fn share(&mut self, object: ObjectId, is_it: impl Fn(&H) -> bool) {
        let Some(handle) = self.held.get_mut(&object).and_then(|import| import.handle.take()) else { return };
        let twins = self.twins.entry(object).or_default();
        twins.retain(|twin| !is_it(twin));
        twins.push(handle);
    }

    fn next_twin(&mut self, object: ObjectId) -> Option<H> {
        let twins = self.twins.get_mut(&object)?;
        let next = twins.pop();
        if twins.is_empty() {
            self.twins.remove(&object);
        }
        next
    }

    /// Takes the object off the book: returns what stood for it.
    fn remove(&mut self, object: ObjectId) -> Vec<H> {
        let handle = self.held.remove(&object).and_then(|import| import.handle);
        handle.into_iter().chain(self.twins.remove(&object).into_iter().flatten()).collect()
    }

    fn entry(&mut self, object: ObjectId, handle: H) -> Option<&mut Import<H>> {
        if self.over {
            return None;
        }
        let import = self.held.entry(object).or_insert(Import { handle: None, copies: 0, asked: 0 });
        import.handle = Some(handle);
        Some(import)
    }

    /// The answer to a claim came.
    pub(crate) fn answered(&mut self, object: ObjectId, held: bool) -> Answer<H> {
        let Some(import) = self.held.get_mut(&object).filter(|import| import.asked > 0) else {
            return Answer::Unasked;
        };
        import.asked -= 1;
        import.copies = import.copies.saturating_add(u32::from(held));
        let last = import.asked == 0;
        match &import.handle {
            Some(handle) if held => return Answer::Held(handle.clone()),
            Some(_) if !last || import.copies > 0 => return Answer::NotHeld(Vec::new()),
            Some(_) => return Answer::NotHeld(self.remove(object)),
            None => {}
        }
        let copies = std::mem::take(&mut import.copies);
        if last {
            self.held.remove(&object);
        }
        Answer::Dropped(copies)
    }

    /// What stood for the object is gone: returns how many copies to let go. `is_it` tells it from what took its place.
    pub(crate) fn dropped(&mut self, object: ObjectId, is_it: impl Fn(&H) -> bool) -> u32 {
        let is_handle = self.held.get(&object).and_then(|import| import.handle.as_ref()).is_some_and(&is_it);
        if !is_handle && let Some(twins) = self.twins.get_mut(&object) {
            twins.retain(|twin| !is_it(twin));
        }
        let next = if is_handle { self.next_twin(object) } else { return 0 };
        let Some(import) = self.held.get_mut(&object) else { return 0 };
        import.handle = next;
        if import.handle.is_some() {
            return 0;
        }
        let copies = std::mem::take(&mut import.copies);
        if import.asked == 0 {
            self.held.remove(&object);
        }
        copies
    }

    /// Whether something is asked for of which no copy is known to be counted.
    pub(crate) fn is_unsure(&self) -> bool {
        self.held.values().any(|import| import.handle.is_some() && import.copies == 0)
    }

    /// Takes everything, to hold it over another connection; nothing can be held over this one any more.
    pub(crate) fn take(&mut self) -> Vec<(ObjectId, H)> {
        self.over = true;
        let held = std::mem::take(&mut self.held);
        let held = held.into_iter().filter_map(|(object, import)| Some((object, import.handle?)));
        let twins = std::mem::take(&mut self.twins).into_iter();
        held.chain(twins.flat_map(|(object, twins)| twins.into_iter().map(move |twin| (object, twin)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const X: ObjectId = ObjectId::from_bytes([1; 16]);

    #[test]
    fn letting_go_says_how_many_copies_came() {
        let mut imports = Imports::default();
        assert!((0..3).all(|_| imports.received(X, 'a')));
        assert_eq!(imports.dropped(X, |handle| *handle == 'a'), 3);
        assert!(imports.is_empty());
    }

    #[test]
    fn what_took_the_place_of_the_dropped_keeps_the_copies() {
        let mut imports = Imports::default();
        imports.received(X, 'a');
        imports.received(X, 'b');
        assert_eq!(imports.dropped(X, |handle| *handle == 'a'), 0);
        assert_eq!(imports.dropped(X, |handle| *handle == 'b'), 2);
    }

    #[test]
    fn what_is_dropped_during_its_claim_is_let_go_with_the_answer() {
        let mut imports = Imports::default();
        imports.asked(X, 'a');
        assert_eq!(imports.dropped(X, |handle| *handle == 'a'), 0);
        assert_eq!(imports.answered(X, true), Answer::Dropped(1));
        assert_eq!(imports.answered(X, true), Answer::Unasked);
        assert!(imports.is_empty());
    }

    #[test]
    fn a_claim_that_found_nothing_leaves_nothing_to_let_go() {
        let mut imports = Imports::default();
        imports.asked(X, 'a');
        assert_eq!(imports.answered(X, false), Answer::NotHeld(vec!['a']));
        assert_eq!(imports.dropped(X, |_| true), 0);
        assert!(imports.is_empty());
    }

    #[test]
    fn a_claim_that_found_nothing_takes_no_copy_away() {
        let mut imports = Imports::default();
        assert!(imports.asked(X, 'a') && imports.asked(X, 'a') && imports.received(X, 'a'));
        assert_eq!(imports.answered(X, false), Answer::NotHeld(Vec::new()));
        assert_eq!(imports.answered(X, false), Answer::NotHeld(Vec::new()));
        assert_eq!(imports.dropped(X, |_| true), 1);
        assert!(imports.is_empty());
    }

    #[test]
    fn what_is_expected_keeps_it_from_ending() {
        let mut imports = Imports::default();
        assert!(imports.reserve() && !imports.end_if_empty());
        assert!(imports.asked(X, 'a'));
        imports.arrived();
        assert!(!imports.end_if_empty());
        assert_eq!(imports.dropped(X, |_| true), 0);
        assert!(!imports.is_empty() && imports.end_if_empty() && !imports.reserve() && !imports.asked(X, 'a'));
    }

    #[test]
    fn twins_share_the_copies() {
        let mut imports = Imports::default();
        for handle in ['a', 'b', 'a', 'c'] {
            imports.share(X, |twin| *twin == handle);
            assert!(imports.received(X, handle));
        }
        assert_eq!(imports.dropped(X, |handle| *handle == 'b'), 0);
        assert_eq!(imports.dropped(X, |handle| *handle == 'c'), 0);
        assert_eq!(imports.clone().take(), [(X, 'a')]);
        assert_eq!(imports.dropped(X, |handle| *handle == 'a'), 4);
        assert!(imports.is_empty() && imports.twins.is_empty());
    }

    #[test]
    fn everything_moves_to_another_connection() {
        let mut imports = Imports::default();
        imports.received(X, 'a');
        assert_eq!(imports.take(), [(X, 'a')]);
        assert!(!imports.received(X, 'a') && !imports.asked(X, 'a'));
        assert!(imports.is_empty());
    }
}
