//! The bindings, and which changes of them are allowed.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use rmi_core::limits::BINDINGS_MAX;
use rmi_core::naming::{Name, NamingError, Prefix, Tags, TagsError, Token};
use rmi_core::{ObjectRef, naming};

use crate::store::{Loaded, Stored, Write};

/// What somebody wants changed.
#[derive(Debug, Clone)]
pub enum Wish {
    /// A name that is free.
    Bind(Want),
    /// A name whether or not it is free, if its binding still has the revision that is given.
    Rebind(Want, Option<u64>),
    /// No binding for this name, if it still has the revision that is given.
    Unbind(Name, Option<u64>),
    /// None of the bindings that live by these leases.
    End(Vec<Token>),
    /// So many more fencing tokens.
    Tokens(u64),
}

/// A binding that somebody wants.
#[derive(Debug, Clone)]
pub struct Want {
    /// By which lease.
    pub owner: Token,
    /// The name.
    pub name: Name,
    /// The object.
    pub object: ObjectRef,
    /// What goes beside it.
    pub tags: Tags,
}

/// The bindings of a registry.
#[derive(Debug, Default)]
pub struct State {
    revision: u64,
    tokens: u64,
    bindings: BTreeMap<Name, Stored>,
    /// How many bindings live by each lease.
    owners: HashMap<Token, usize>,
}

impl State {
    /// What a store held.
    #[must_use]
    pub fn new(loaded: Loaded) -> Self {
        let mut state = Self { revision: loaded.revision, tokens: loaded.tokens, ..Self::default() };
        for (name, stored) in loaded.bindings {
            state.apply(&Write::Put(name, stored));
        }
        state
    }

    /// The number of the last change.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The largest fencing token that may be given.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.tokens
    }

    /// The leases that bindings live by.
    pub fn owners(&self) -> impl Iterator<Item = Token> {
        self.owners.keys().copied()
    }

    /// The binding of a name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<&Stored> {
        self.bindings.get(name)
    }

    /// The bindings under a prefix after a name, in order.
    pub fn list(&self, prefix: &Prefix, after: Option<&Name>) -> impl Iterator<Item = (&Name, &Stored)> {
        let first = prefix.name();
        let start = match (after, first) {
            (Some(after), Some(first)) if after < first => Bound::Included(first),
            (Some(after), _) => Bound::Excluded(after),
            (None, Some(first)) => Bound::Included(first),
            (None, None) => Bound::Unbounded,
        };
        // Everything under `a` begins with `a`; names such as `a-b` lie between `a` and `a/b` and are passed over.
        let near = move |name: &Name| first.is_none_or(|first| name.as_str().starts_with(first.as_str()));
        let range = self.bindings.range::<Name, _>((start, Bound::Unbounded));
        range.take_while(move |(name, _)| near(name)).filter(|(name, _)| prefix.covers(name))
    }

    /// What a wish comes to: the changes to make, none when it changes nothing, or why not. Nothing is changed yet.
    ///
    /// # Errors
    /// The binding is not what the wish says, or something is too much.
    pub fn decide(&self, wish: &Wish) -> Result<Vec<Write>, NamingError> {
        match wish {
            Wish::Bind(want) => match self.get(&want.name) {
                Some(found) => Err(NamingError::AlreadyBound { name: want.name.clone(), revision: found.revision }),
                None => self.put(want),
            },
            Wish::Rebind(want, expected) => {
                self.check_revision(&want.name, *expected)?;
                self.put(want)
            }
            Wish::Unbind(name, expected) => {
                if self.get(name).is_none() {
                    return Err(NamingError::NotBound(name.clone()));
                }
                self.check_revision(name, *expected)?;
                Ok(vec![Write::Remove(name.clone())])
            }
            Wish::End(owners) => {
                if !owners.iter().any(|owner| self.owners.contains_key(owner)) {
                    return Ok(Vec::new());
                }
                let ended = self.bindings.iter().filter(|(_, stored)| owners.contains(&stored.owner));
                Ok(ended.map(|(name, _)| Write::Remove(name.clone())).collect())
            }
            Wish::Tokens(count) => Ok(vec![Write::Tokens(self.tokens.saturating_add(*count))]),
        }
    }

    fn check_revision(&self, name: &Name, expected: Option<u64>) -> Result<(), NamingError> {
        let Some(expected) = expected else { return Ok(()) };
        match self.get(name) {
            None => Err(NamingError::NotBound(name.clone())),
            Some(found) if found.revision == expected => Ok(()),
            Some(found) => Err(NamingError::Conflict { name: name.clone(), expected, found: found.revision }),
        }
    }

    fn put(&self, want: &Want) -> Result<Vec<Write>, NamingError> {
        TagsError::check(&want.tags)?;
        if want.object.endpoints.is_empty() {
            return Err(NamingError::NoEndpoint);
        }
        if self.bindings.len() >= BINDINGS_MAX && !self.bindings.contains_key(&want.name) {
            return Err(NamingError::Full { what: "bindings".into(), limit: BINDINGS_MAX as u64 });
        }
        let Want { owner, name, object, tags } = want.clone();
        let revision = self.revision + 1;
        Ok(vec![Write::Put(name, Stored { object, revision, tags, owner })])
    }

    /// Makes a change that was decided, and returns its number.
    pub fn apply(&mut self, write: &Write) -> u64 {
        let before = match write {
            Write::Put(name, stored) => {
                self.revision = self.revision.max(stored.revision);
                *self.owners.entry(stored.owner).or_default() += 1;
                self.bindings.insert(name.clone(), stored.clone())
            }
            Write::Remove(name) => {
                self.revision += 1;
                self.bindings.remove(name)
            }
            Write::Tokens(last) => {
                self.tokens = *last;
                None
            }
        };
        if let Some(before) = before
            && let Some(count) = self.owners.get_mut(&before.owner)
        {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&before.owner);
            }
        }
        self.revision
    }

    /// Takes back a batch of changes that could not be stored.
    pub fn restore(&mut self, revision: u64, before: Vec<(Name, Option<Stored>)>) {
        for (name, stored) in before.into_iter().rev() {
            match stored {
                Some(stored) => self.apply(&Write::Put(name, stored)),
                None => self.apply(&Write::Remove(name)),
            };
        }
        self.revision = revision;
    }
}

/// A stored binding as it is told to callers.
#[must_use]
pub fn told(name: &Name, stored: &Stored, verified: bool) -> naming::Binding {
    naming::Binding::new(name.clone(), stored.object.clone(), stored.revision, stored.tags.clone(), verified)
}
