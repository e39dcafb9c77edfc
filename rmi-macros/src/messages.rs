//! Every message that `#[remote]` can give.

pub(crate) const NEITHER_TRAIT_NOR_IMPL: &str = "`#[remote]` goes on a trait or on an impl of a remote trait";
pub(crate) const INHERENT_IMPL: &str = "`#[remote]` goes on an impl of a remote trait: `impl Account for Vault`";
pub(crate) const NO_RESULT: &str =
    "a remote call can fail: return `Result<T, E>` with `E: From<RemoteError>` and serde's traits";
pub(crate) const MUT_SELF: &str =
    "a remote method takes `&self`: many callers may call at once; keep state behind a lock";
pub(crate) const OWNED_SELF: &str = "a remote method takes `&self`: the object stays with its node";
pub(crate) const NO_SELF: &str = "a remote method takes `&self`: it is called on an object";
pub(crate) const NOT_ASYNC: &str = "a remote method waits for another process: write `async fn`";
pub(crate) const GENERIC_METHOD: &str =
    "a remote method cannot be generic: its caller is compiled apart from it; make the trait generic instead";
pub(crate) const IMPL_TRAIT: &str = "`impl Trait` cannot travel: name a type that implements serde's traits";
pub(crate) const BORROWED_RESULT: &str = "a result that borrows cannot travel: return an owned value";
pub(crate) const CLOSURE: &str = "a closure cannot travel: pass a `Proxy` to an object with a remote interface";
pub(crate) const MUT_REFERENCE: &str =
    "an argument cannot be changed for the caller: take it by value and return the new one";
pub(crate) const STATIC_REFERENCE: &str = "an argument is borrowed for the time of the call: write `&T`";
pub(crate) const PATTERN: &str = "an argument needs a name: it is part of the interface's description";
pub(crate) const UNRELIABLE_RESULT: &str =
    "a call that somebody waits for cannot be lost: write `#[remote(oneway, unreliable)]`";
pub(crate) const ASSOCIATED: &str = "a remote trait has methods only: there may be many objects behind one proxy type";
pub(crate) const LIFETIME: &str = "a remote trait cannot borrow: objects outlive the calls that pass them around";
pub(crate) const BAD_TIMEOUT: &str = "a time is a whole number and a unit: `\"50ms\"`, `\"2s\"`, `\"1m\"` or `\"1h\"`";
pub(crate) const EMPTY_NAME: &str = "a name on the wire has 1 to 255 bytes";
pub(crate) const LONG_GENERIC_NAME: &str =
    "a name on the wire has 1 to 255 bytes, and that of a generic trait at most 240, to have room for its arguments";
pub(crate) const RESERVED_PREFIX: &str =
    "names that begin with \"rmi.\" are those of the framework's own interfaces; choose another name";
pub(crate) const RESERVED_NAME: &str = "every object has the interface \"rmi.Object\" already; choose another name";

pub(crate) fn proxy_method(name: &str) -> String {
    format!("`Proxy` has a method `{name}` of its own, which would hide this one; choose another name")
}

pub(crate) fn same_id(name: &str, other: &str) -> String {
    if name == other {
        return format!("two methods are called \"{name}\" on the wire");
    }
    format!("\"{name}\" and \"{other}\" have the same id on the wire; give one of them another name with `rename`")
}

pub(crate) fn unknown_attribute(name: &str, known: &[&str]) -> String {
    let near = known.iter().map(|known| (distance(name, known), *known)).min();
    match near {
        Some((distance, near)) if distance <= 2 => format!("`{name}` is not known; did you mean `{near}`?"),
        _ => format!("`{name}` is not known; there are {}", known.join(", ")),
    }
}

/// Counts the letters that have to change to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
