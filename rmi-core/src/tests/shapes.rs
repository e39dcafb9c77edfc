//! The structs and enums of the framework's interfaces beside the tables that the page has of them.

use std::cell::Cell;

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde::forward_to_deserialize_any;

use super::page;
use crate::naming::{
    Binding, Change, Claim, Event, Lease, NameError, NamingError, Page, Position, Renewed, TagsError, Watch,
};
use crate::sync::{Grant, SyncError};

/// Hears which fields or variants a type asks for, and gives none.
struct Listener<'l>(&'l Cell<&'static [&'static str]>);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("heard"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(fields);
        Err(Error::custom("heard"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(variants);
        Err(Error::custom("heard"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

/// The names of the fields or variants of a type, in their order.
fn names<T: DeserializeOwned>() -> Vec<String> {
    let heard = Cell::new(&[][..]);
    assert!(T::deserialize(Listener(&heard)).is_err());
    heard.get().iter().map(|&name| name.to_owned()).collect()
}

/// The names in the row of the page that begins with this one: those in backticks, outside of all brackets, that are no types.
fn described(name: &str) -> Vec<String> {
    let page = page();
    let head = format!("| `{name}` | ");
    let row = page.lines().find_map(|line| line.strip_prefix(&head)).unwrap_or_else(|| panic!("no row of {name}"));
    let (mut names, mut depth, mut after_colon) = (Vec::new(), 0, false);
    for (at, part) in row.trim_end_matches(" |").split('`').enumerate() {
        if at % 2 == 1 {
            if depth == 0 && !after_colon {
                names.push(part.to_owned());
            }
            continue;
        }
        depth += part.matches(['(', '{']).count();
        depth -= part.matches([')', '}']).count();
        after_colon = part == ": ";
    }
    names
}

#[test]
fn the_tables_of_structs_have_the_fields_of_the_code() {
    assert_eq!(described("Lease"), names::<Lease>());
    assert_eq!(described("Claim"), names::<Claim>());
    assert_eq!(described("Renewed"), names::<Renewed>());
    assert_eq!(described("Binding"), names::<Binding>());
    assert_eq!(described("Page"), names::<Page>());
    assert_eq!(described("Position"), names::<Position>());
    assert_eq!(described("Watch"), names::<Watch>());
    assert_eq!(described("Event"), names::<Event>());
    assert_eq!(described("Grant"), names::<Grant>());
}

#[test]
fn the_tables_of_enums_have_the_variants_of_the_code() {
    assert_eq!(described("Change"), names::<Change>());
    assert_eq!(described("NamingError"), names::<NamingError>());
    assert_eq!(described("SyncError"), names::<SyncError>());
    assert_eq!(described("NameError"), names::<NameError>());
    assert_eq!(described("TagsError"), names::<TagsError>());
}
