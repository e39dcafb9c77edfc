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
/// or borrowed (`&str`, `&[u8]`, `&T`, `Option<&str>`). `Vec<u8>`, `Box<[u8]>`, `&[u8]` and `Bytes`, and options of them,
/// travel as byte strings. An argument at the end that is an `Option`, or marked `#[serde(default)]`, may be missing in calls
/// of older callers, and one that an older servant does not know is passed over. One that is removed, or put in front of
/// others, is read as another.
///
/// The name of a type does not matter: an alias and what comes through a `macro_rules!` are what they stand for, and a
/// `Bytes` or an `Option` of the program's own is as any other type.
///
/// Supertraits are remote themselves, or `Send`, `Sync`, `Unpin`, `UnwindSafe`, `RefUnwindSafe`. Parameters of a generic trait
/// may have bounds. Its arguments are part of the name on the wire: `Store<u64>` and `Store<String>` are two interfaces. An
/// argument counts by what its bounds tell: a type with serde's traits by the shape of its values, an interface
/// (`T: ?Sized + Interface`) by its name, any other not at all. Types of other crates that read themselves from a text, such as
/// `url::Url`, all count as `string`: put one into a newtype of your own where it must not be taken for another.
///
/// | on the trait | |
/// |---|---|
/// | `name = "bank.Account"` | the name on the wire; the trait's own name, without its module, if not given. Two traits of one name in a program are told apart inside of it; the second one that is sent is refused with `Misuse` |
/// | `crate = "path"` | where `rmi-core` is, if not at `::rmi_core` |
/// | `compact` | structs travel by position, not by the names of their fields: smaller, and fields cannot come, go or change places. Not for types that skip fields in one direction only, nor for untagged or adjacently tagged enums of structs: one can be read as another |
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
///
/// # What the compiler says
///
/// A type that cannot travel is told once, at the argument or the result. Some mistakes have messages of the compiler's own:
///
/// | it says | because |
/// |---|---|
/// | E0195, lifetime parameters do not match the trait declaration | the impl has no `#[remote]`, or the trait has none |
/// | E0038, the trait is not dyn compatible | the trait has no `#[remote]` |
/// | E0053, incompatible type for trait | the impl has no `#[remote]`, or the method another type than in the trait |
/// | future cannot be sent between threads safely | the method keeps a value across an `await` that is not `Send`, such as an `Rc` or the guard of a lock |
/// | `Cell<u8>` cannot be shared between threads safely | many callers may call a servant at once: its state is behind a lock or atomic |
/// | the trait is not implemented for `Proxy` | a supertrait is not remote |
/// | the trait is not implemented for `Arc<Vault>` | `Proxy::new` takes the servant itself; for an `Arc` there is `Proxy::from_arc` |
/// | `T` cannot travel, and a suggestion to restrict it | a parameter of the trait that is sent needs `T: Serialize + DeserializeOwned + Send + 'static` |
///
/// The lints of the program hold for what is written here; what is generated breaks none, and allows none.
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

/// Repeats what its attribute has. For the code that `#[remote]` writes, and nothing else.
#[doc(hidden)]
#[proc_macro_derive(Repeat, attributes(__rmi))]
pub fn repeat(item: TokenStream) -> TokenStream {
    render::repeat(&parse_macro_input!(item as syn::DeriveInput)).into()
}
