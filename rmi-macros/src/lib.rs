//! The `#[remote]` attribute of `rmi-core`, which re-exports it and documents its use.
//!
//! The way of an item: `parse` reads it into the `model`, `check` finds what cannot work, `render` writes the
//! code. Every message stands in `messages`.

mod check;
mod messages;
mod model;
mod parse;
mod render;
mod shape;

use proc_macro::TokenStream;
use syn::{Item, ItemImpl, parse_macro_input};

/// Makes a trait a remote interface, and an `impl` of it one whose bodies are plain `async fn`.
///
/// # On a trait
///
/// Every method is an `async fn` with `&self` that returns a `Result` whose error can carry a
/// [`RemoteError`](https://docs.rs/rmi-core): it is `Serialize + DeserializeOwned + From<RemoteError>`. Arguments are owned
/// or borrowed (`&str`, `&[u8]`, `&T`, `Option<&str>`). `Vec<u8>`, `&[u8]` and `Bytes` travel as byte strings. An argument
/// at the end that is an `Option`, or marked `#[serde(default)]`, may be missing in calls of older callers, and one that an
/// older servant does not know is passed over. One that is removed, or put in front of others, is read as another.
///
/// Supertraits must be remote themselves. Generic parameters may have bounds; they are not part of the name on the wire.
///
/// | on the trait | |
/// |---|---|
/// | `name = "bank.Account"` | the name on the wire; the trait's own name, without its module, if not given. Two traits of one name in a program are told apart inside of it; the second one that is sent is refused with `Misuse` |
/// | `crate = "path"` | where `rmi-core` is, if not at `::rmi_core` |
///
/// | on a method | |
/// |---|---|
/// | `rename = "…"` | the name on the wire |
/// | `alias = "…"` | a name that older callers use |
/// | `idempotent` | may run more than once: a call whose fate is unknown is made again |
/// | `oneway` | nobody waits for the result, which is `Result<(), E>` |
/// | `unreliable` | with `oneway`: may be lost, late or out of order; travels in a datagram where the channel has them |
/// | `timeout = "2s"` | the deadline of a call that sets none; `ms`, `s`, `m` or `h` |
/// | `spawn` | runs in a task of its own from the start: for methods that compute for long |
///
/// # On an impl
///
/// Lets the methods be written as `async fn`. Arguments: `crate = "path"`.
#[proc_macro_attribute]
pub fn remote(attributes: TokenStream, item: TokenStream) -> TokenStream {
    let item = parse_macro_input!(item as Item);
    let attributes = attributes.into();
    match item {
        Item::Trait(item) => {
            let mut errors = model::Errors::default();
            let interface = parse::interface(attributes, item, &mut errors);
            check::interface(&interface, &mut errors);
            render::interface(&interface, errors)
        }
        Item::Impl(item) => render::servant(attributes, item),
        other => {
            let error = syn::Error::new(model::first_token(&other), messages::NEITHER_TRAIT_NOR_IMPL);
            let error = error.to_compile_error();
            quote::quote! { #error #other }
        }
    }
    .into()
}

/// Finishes what `async_trait` wrote. For the code that `#[remote]` writes, and nothing else.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn boxed(_: TokenStream, item: TokenStream) -> TokenStream {
    render::boxed(parse_macro_input!(item as Item)).into()
}

/// Gives an impl that `async_trait` wrote these bodies. For the code that `#[remote]` writes, and nothing else.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn bodies(bodies: TokenStream, item: TokenStream) -> TokenStream {
    let bodies = parse_macro_input!(bodies as render::Bodies);
    render::bodies(bodies, parse_macro_input!(item as ItemImpl)).into()
}
