//! The interfaces of the framework beside the tables that the page has of them.

use std::collections::BTreeMap;

use super::page;
use crate::call::further::INTERFACES;
use crate::error::RemoteError;
use crate::id::{InterfaceId, MethodId};
use crate::interface::{Descriptor, Interface, Method};
use crate::naming::Naming;
use crate::remote;
use crate::streaming;
use crate::sync::{Permit, Semaphore, Semaphores};

/// A method as the page and the code both have it: its name, the names of its arguments, and what is special about it.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    method: String,
    arguments: Vec<String>,
    attributes: String,
}

impl Row {
    fn of(method: &Method) -> Self {
        let attributes =
            [("idempotent", method.idempotent), ("oneway", method.oneway), ("unreliable", method.unreliable)];
        let attributes: Vec<_> = attributes.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
        Self {
            method: method.name.to_owned(),
            arguments: method.arguments.iter().map(|&name| name.to_owned()).collect(),
            attributes: attributes.join(", "),
        }
    }

    /// `` | `bind` | `token`: `token`, `name`: `name` | `u64` | idempotent | ``
    fn read(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.strip_prefix("| `")?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [method, arguments, _, attributes] = cells[..] else { return None };
        let arguments = arguments.split(", ").filter(|argument| !argument.is_empty());
        let name = |argument: &str| argument.split(':').next().unwrap_or_default().trim_matches('`').to_owned();
        Some(Self {
            method: method.trim_matches('`').to_owned(),
            arguments: arguments.map(name).collect(),
            attributes: attributes.to_owned(),
        })
    }
}

fn described() -> BTreeMap<String, Vec<Row>> {
    let page = page();
    let sections = page.split("\n### ").filter(|section| section.starts_with("`rmi."));
    let section = |text: &str| {
        let name = text.lines().next().unwrap_or_default().trim_matches('`').to_owned();
        (name, text.lines().filter_map(Row::read).collect())
    };
    sections.map(section).collect()
}

#[test]
fn the_tables_of_interfaces_are_those_of_the_code() {
    let [source, sink] = streaming::interfaces();
    let others: [&Descriptor; 4] = [
        <dyn Naming>::descriptor(),
        <dyn Semaphores>::descriptor(),
        <dyn Semaphore>::descriptor(),
        <dyn Permit>::descriptor(),
    ];
    let rows = |descriptor: &Descriptor| descriptor.methods.iter().map(|method| Row::of(method)).collect();
    let all = others.into_iter().chain([source, sink]);
    let mut expected: BTreeMap<_, Vec<Row>> = all.map(|one| (one.name.to_owned(), rows(one))).collect();
    expected.insert("rmi.Object".to_owned(), vec![Row::of(&INTERFACES)]);
    assert_eq!(described(), expected);
}

#[remote]
#[allow(non_camel_case_types, reason = "a keyword has no capitals")]
trait r#try: Permit {
    async fn r#match(&self) -> Result<(), RemoteError>;

    #[remote(rename = "again", alias = "repeat")]
    async fn retry(&self) -> Result<(), RemoteError>;
}

#[test]
fn names_on_the_wire_are_without_path_and_r_and_parents() {
    let found = <dyn r#try>::descriptor();
    assert_eq!((found.name, found.id), ("try", InterfaceId::of("try")));
    let ids: Vec<_> = found.methods.iter().map(|method| method.id).collect();
    assert_eq!(ids, [MethodId::of("try", "match"), MethodId::of("try", "again")]);
    let inherited = MethodId::of("rmi.Permit", "check");
    assert_eq!(found.method(inherited).map(|method| method.id), Some(inherited));
}

#[test]
fn the_ids_of_names_on_the_page_are_their_hashes() {
    let page = page();
    let (_, table) = page.split_once("| name | id |\n|---|---|\n").unwrap();
    let rows = table.lines().map_while(|line| line.strip_prefix("| ")?.strip_suffix("` |")?.split_once(" | `"));
    let ids: Vec<_> = rows
        .map(|(name, id)| {
            let name = if name == "(empty)" { "" } else { name.trim_matches('`') };
            assert_eq!(format!("{:?}", InterfaceId::of(name)), id, "{name}");
        })
        .collect();
    assert!(ids.len() >= 5);
}
