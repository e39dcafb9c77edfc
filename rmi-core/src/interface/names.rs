//! The owners of names on the wire: in one program, a name belongs to the interface type that brought it there first.
//!
//! On the wire an interface is its name. Two traits of one name would be taken for each other there, so the second one of a
//! program stays off it: it is neither sent nor is a reference typed as it. In the program itself types tell them apart.
//! Decision 0018.

use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, PoisonError, RwLock};

use crate::error::{ErrorKind, Executed, RemoteError};
use crate::id::InterfaceId;
use crate::interface::Descriptor;

/// The Rust type of an interface, `dyn Trait`.
#[derive(Clone, Copy)]
pub struct InterfaceType {
    id: TypeId,
    name: fn() -> &'static str,
}

impl InterfaceType {
    /// The type `T`.
    #[must_use]
    pub const fn of<T: ?Sized + 'static>() -> Self {
        Self { id: TypeId::of::<T>(), name: type_name::<T> }
    }

    /// The path of the trait, such as `billing::Service`: for texts. It is another one with another compiler.
    #[must_use]
    pub fn path(&self) -> &'static str {
        let name = (self.name)();
        name.strip_prefix("dyn ").unwrap_or(name)
    }
}

impl PartialEq for InterfaceType {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for InterfaceType {}

impl fmt::Debug for InterfaceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path())
    }
}

/// Two interface types with one name on the wire, or with names of one id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` and `{}` are both called {} on the wire; {}", refused.of.path(), holder.of.path(), self.name(), self.way_out())]
pub(crate) struct SameName {
    refused: Named,
    holder: Named,
}

/// An interface type and its name on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    name: &'static str,
    of: InterfaceType,
}

impl Named {
    /// `None` for a descriptor that was written by hand, which stands for whatever type has the name.
    fn by(descriptor: &Descriptor) -> Option<Self> {
        Some(Self { name: descriptor.name, of: descriptor.of? })
    }

    /// The path of the trait, without the arguments of an instance.
    fn trait_path(&self) -> &'static str {
        self.of.path().split('<').next().unwrap_or_default()
    }

    /// A name that says more: `billing.Service`.
    fn longer(&self) -> String {
        let path = self.trait_path();
        let short: Vec<_> = path.rsplitn(3, "::").take(2).collect();
        let short = short.into_iter().rev().collect::<Vec<_>>().join(".");
        if short == self.name { path.replace("::", ".") } else { short }
    }
}

impl SameName {
    /// The conflict of two descriptors of one id, if they are of two types.
    pub(crate) fn between(refused: &Descriptor, holder: &Descriptor) -> Option<Self> {
        conflict(Named::by(refused)?, Named::by(holder)?)
    }

    fn name(&self) -> String {
        match (self.refused.name, self.holder.name) {
            (one, other) if one == other => format!("\"{one}\""),
            (one, other) => format!("\"{one}\" or, with the same hash, \"{other}\""),
        }
    }

    fn way_out(&self) -> String {
        let (refused, holder) = (self.refused.trait_path(), self.holder.trait_path());
        if refused == holder && refused != self.refused.of.path() {
            // Two instances of one trait, whose name has the names of the arguments.
            return "put one of the type arguments into a newtype of the program's own, which serde names, or give it another \
                    name with #[serde(rename = \"…\")] if it has one there"
                .to_owned();
        }
        format!("give one of them another name: #[remote(name = \"{}\")]", self.holder.longer())
    }

    pub(crate) fn error(&self, kind: ErrorKind) -> RemoteError {
        RemoteError::new(kind, Executed::No, self.to_string())
    }
}

fn conflict(refused: Named, holder: Named) -> Option<SameName> {
    (refused.of != holder.of).then_some(SameName { refused, holder })
}

/// The names of this program's interface types. It grows with the types that the program has, not with what peers send.
#[derive(Default)]
struct Names(HashMap<InterfaceId, Named>);

impl Names {
    /// Says whether nothing is left to be taken. A type takes the names of all that it extends together with its own, so that its
    /// own tells.
    fn has(&self, descriptor: &Descriptor) -> bool {
        match descriptor.of {
            Some(of) => self.0.get(&descriptor.id).is_some_and(|named| named.of == of),
            None => descriptor.parents.iter().all(|parent| self.has(parent())),
        }
    }

    /// Takes the names of these interfaces and of all that they extend, or none.
    fn take(&mut self, interfaces: impl Iterator<Item = &'static Descriptor>) -> Result<(), SameName> {
        let mut taken: Vec<(InterfaceId, Named)> = Vec::new();
        let typed = |one: &'static Descriptor| Some((one.id, Named::by(one)?));
        for (id, named) in interfaces.flat_map(Descriptor::family).filter_map(typed) {
            let sister = taken.iter().find(|(other, _)| *other == id).map(|(_, named)| named);
            if let Some(same) = sister.or(self.0.get(&id)).and_then(|holder| conflict(named, *holder)) {
                return Err(same);
            }
            taken.push((id, named));
        }
        self.0.extend(taken);
        Ok(())
    }
}

static NAMES: LazyLock<RwLock<Names>> = LazyLock::new(RwLock::default);

/// Takes the names of these interfaces, and of all that they extend, for their types; or says which of them is another's.
///
/// For what is about to meet the wire, and at no other time: an attempt that fails for another reason takes no names, nor do
/// calls inside of the program.
pub(crate) fn take(interfaces: impl Iterator<Item = &'static Descriptor> + Clone) -> Result<(), SameName> {
    let all_taken = {
        let names = NAMES.read().unwrap_or_else(PoisonError::into_inner);
        interfaces.clone().all(|interface| names.has(interface))
    };
    if all_taken { Ok(()) } else { NAMES.write().unwrap_or_else(PoisonError::into_inner).take(interfaces) }
}

#[cfg(test)]
mod tests {
    use super::*;

    trait Service {}
    trait Ledger {}

    mod billing {
        pub(super) trait Service {}
    }

    static BASE: Descriptor = Descriptor { of: Some(InterfaceType::of::<dyn Service>()), ..Descriptor::new("Service") };
    static OTHER: Descriptor =
        Descriptor { of: Some(InterfaceType::of::<dyn billing::Service>()), ..Descriptor::new("Service") };
    static BY_HAND: Descriptor = Descriptor::new("Service");

    const LEDGER: Descriptor = Descriptor { of: Some(InterfaceType::of::<dyn Ledger>()), ..Descriptor::new("Ledger") };

    #[test]
    fn the_second_type_of_a_name_is_told_of_the_first() {
        let mut names = Names::default();
        assert!(!names.has(&BASE));
        names.take([&BASE].into_iter()).unwrap();
        names.take([&BASE].into_iter()).unwrap();
        assert!(names.has(&BASE) && !names.has(&OTHER));
        let here = module_path!();
        let text = format!(
            "`{here}::billing::Service` and `{here}::Service` are both called \"Service\" on the wire; \
             give one of them another name: #[remote(name = \"tests.Service\")]"
        );
        assert_eq!(names.take([&OTHER].into_iter()).unwrap_err().to_string(), text);
    }

    #[test]
    fn a_descriptor_that_was_written_by_hand_stands_for_any_type() {
        let mut names = Names::default();
        names.take([&BY_HAND].into_iter()).unwrap();
        assert!(names.has(&BY_HAND) && !names.has(&OTHER), "nothing was taken");
        names.take([&OTHER].into_iter()).unwrap();
        names.take([&BY_HAND].into_iter()).unwrap();
        assert_eq!(SameName::between(&BY_HAND, &OTHER), None);
    }

    #[test]
    fn a_type_that_extends_another_takes_its_name_with_its_own_or_none() {
        static DERIVED: Descriptor = Descriptor { parents: &[|| &BASE], ..LEDGER };
        static FORKED: Descriptor = Descriptor { parents: &[|| &BASE, || &OTHER], ..LEDGER };
        let mut names = Names::default();
        names.take([&OTHER].into_iter()).unwrap();
        assert!(names.take([&DERIVED].into_iter()).is_err());
        assert!(!names.has(&DERIVED));
        let mut names = Names::default();
        assert!(names.take([&FORKED].into_iter()).is_err(), "two of one name among its parents");
        names.take([&DERIVED].into_iter()).unwrap();
        assert!(names.has(&BASE));
    }

    #[test]
    fn a_longer_name_is_made_of_the_path() {
        let longer = |name, of| Named { name, of }.longer();
        assert_eq!(longer("Service", InterfaceType::of::<dyn billing::Service>()), "billing.Service");
        assert_eq!(longer("List<u8>", InterfaceType::of::<dyn Iterator<Item = u8>>()), "iterator.Iterator");
        let whole = format!("{}.billing.Service", module_path!().replace("::", "."));
        assert_eq!(longer("billing.Service", InterfaceType::of::<dyn billing::Service>()), whole);
    }

    #[test]
    fn instances_of_one_trait_are_told_about_their_arguments() {
        let first = InterfaceType::of::<dyn Iterator<Item = u8>>();
        let second = InterfaceType::of::<dyn Iterator<Item = u16>>();
        let named = |of| Named { name: "List<_>", of };
        let text = conflict(named(first), named(second)).unwrap().to_string();
        assert!(
            text.ends_with(
                "which serde names, or give it another name with #[serde(rename = \"…\")] if it has one there"
            ),
            "{text}"
        );
    }

    #[test]
    fn names_of_one_hash_are_told_apart() {
        // FNV-1a maps both to 0x5e4daa9d.
        let (first, second) = ("costarring", "liquid");
        assert_eq!(InterfaceId::of(first), InterfaceId::of(second));
        static FIRST: Descriptor =
            Descriptor { of: Some(InterfaceType::of::<dyn Service>()), ..Descriptor::new("costarring") };
        static SECOND: Descriptor =
            Descriptor { of: Some(InterfaceType::of::<dyn billing::Service>()), ..Descriptor::new("liquid") };
        let mut names = Names::default();
        names.take([&FIRST].into_iter()).unwrap();
        let text = names.take([&SECOND].into_iter()).unwrap_err().to_string();
        assert!(text.contains("both called \"liquid\" or, with the same hash, \"costarring\" on the wire"), "{text}");
    }
}
