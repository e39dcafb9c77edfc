//! The bindings and their stores against a map that anybody can check by eye.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rmi_core::naming::{Name, NamingError, Prefix, Tags, Token};
use rmi_core::{NodeId, ObjectId, ObjectRef};
use rmi_registry::state::{State, Want, Wish};
use rmi_registry::store::{Durable, Store, Write};

fn object() -> ObjectRef {
    ObjectRef::new(NodeId::random(), ObjectId::random(), vec!["X".into()], vec!["tcp://127.0.0.1:1".parse().unwrap()])
}

#[derive(Debug, Clone)]
enum Step {
    Bind(u8, u8),
    Rebind(u8, u8),
    Unbind(u8),
    End(u8),
    Tokens(u8),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6u8, 0..3u8).prop_map(|(name, owner)| Step::Bind(name, owner)),
        2 => (0..6u8, 0..3u8).prop_map(|(name, owner)| Step::Rebind(name, owner)),
        2 => (0..6u8).prop_map(Step::Unbind),
        1 => (0..3u8).prop_map(Step::End),
        1 => (1..9u8).prop_map(Step::Tokens),
        1 => Just(Step::Reopen),
    ]
}

fn name(number: u8) -> Name {
    format!("n/{number}").parse().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn a_store_holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..30)) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names.redb");
        let owners = [Token::random(), Token::random(), Token::random()];
        let mut store = Durable::open(&path).unwrap();
        let mut state = State::new(store.load().unwrap());
        let mut model: BTreeMap<Name, (u64, usize)> = BTreeMap::new();
        let (mut last, mut tokens) = (0, 0);
        for step in steps {
            let want = |number: u8, owner: u8| Want {
                owner: owners[usize::from(owner)],
                name: name(number),
                object: object(),
                tags: Tags::new(),
            };
            let wish = match &step {
                Step::Bind(number, owner) => Wish::Bind(want(*number, *owner)),
                Step::Rebind(number, owner) => Wish::Rebind(want(*number, *owner), None),
                Step::Unbind(number) => Wish::Unbind(name(*number), None),
                Step::End(owner) => Wish::End(vec![owners[usize::from(*owner)]]),
                Step::Tokens(count) => {
                    tokens += u64::from(*count);
                    Wish::Tokens(u64::from(*count))
                }
                Step::Reopen => {
                    drop(store);
                    store = Durable::open(&path).unwrap();
                    state = State::new(store.load().unwrap());
                    prop_assert_eq!((state.revision(), state.tokens()), (last, tokens));
                    continue;
                }
            };
            match state.decide(&wish) {
                Ok(writes) => {
                    for write in &writes {
                        let revision = state.apply(write);
                        prop_assert!(revision > last || matches!(write, Write::Tokens(_)));
                        last = revision;
                        match write {
                            Write::Put(name, stored) => {
                                prop_assert_eq!(stored.revision, revision);
                                let owner = owners.iter().position(|owner| *owner == stored.owner).unwrap();
                                prop_assert!(!matches!(step, Step::Bind(..)) || !model.contains_key(name));
                                model.insert(name.clone(), (revision, owner));
                            }
                            Write::Remove(name) => prop_assert!(model.remove(name).is_some()),
                            Write::Tokens(reserved) => prop_assert_eq!((*reserved, revision), (tokens, state.revision())),
                        }
                    }
                    if let Step::End(owner) = step {
                        prop_assert!(model.values().all(|(_, known)| *known != usize::from(owner)));
                    }
                    store.apply(state.revision(), &writes).unwrap();
                }
                Err(NamingError::AlreadyBound { name, revision }) => prop_assert_eq!(model[&name].0, revision),
                Err(NamingError::NotBound(name)) => prop_assert!(!model.contains_key(&name)),
                Err(other) => prop_assert!(false, "{}", other),
            }
            let held: Vec<(Name, u64)> =
                state.list(&Prefix::default(), None).map(|(name, stored)| (name.clone(), stored.revision)).collect();
            let expected: Vec<(Name, u64)> = model.iter().map(|(name, (revision, _))| (name.clone(), *revision)).collect();
            prop_assert_eq!(held, expected);
        }
    }
}

#[test]
fn a_file_of_another_kind_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("not-a-registry");
    std::fs::write(&path, "something else entirely").unwrap();
    let error = Durable::open(&path).err().unwrap().to_string();
    assert!(error.contains("not-a-registry"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "something else entirely");
}

#[test]
fn two_registries_cannot_share_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("names.redb");
    let _first = Durable::open(&path).unwrap();
    assert!(Durable::open(&path).is_err());
}

#[test]
fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deep/names.redb");
    let _store = Durable::open(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}
