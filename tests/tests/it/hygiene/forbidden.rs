//! Traits and impls in a module that forbids every lint that can be about their code.
#![forbid(
    unused,
    nonstandard_style,
    rust_2018_idioms,
    refining_impl_trait,
    let_underscore,
    dead_code,
    deprecated,
    unreachable_code,
    unused_qualifications,
    unused_results,
    unused_lifetimes,
    unused_import_braces,
    unused_imports,
    unused_variables,
    unused_mut,
    unused_parens,
    unused_braces,
    single_use_lifetimes,
    explicit_outlives_requirements,
    elided_lifetimes_in_paths,
    trivial_casts,
    trivial_numeric_casts,
    missing_docs,
    missing_copy_implementations,
    missing_debug_implementations,
    unreachable_pub,
    unnameable_types,
    unsafe_code,
    absolute_paths_not_starting_with_crate,
    redundant_lifetimes,
    redundant_imports,
    let_underscore_drop,
    impl_trait_redundant_captures,
    keyword_idents_2024,
    meta_variable_misuse,
    unit_bindings,
    variant_size_differences,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    private_bounds,
    private_interfaces,
    mismatched_lifetime_syntaxes,
    clippy::all,
    clippy::pedantic,
    clippy::use_self,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason
)]

use rmi_core::{Proxy, RemoteError, remote};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A branch.
#[remote(name = "hygiene.Branch")]
pub(super) trait Branch: Send {
    /// Opens.
    async fn open(&self, name: &str, _unused: &[u8], note: Option<&str>) -> Result<u32, RemoteError>;

    /// Ends early.
    #[remote(idempotent)]
    async fn early(&self, end: bool) -> Result<Option<Vec<u8>>, RemoteError> {
        if end {
            return Ok(None);
        }
        Ok(Some(vec![1]))
    }

    /// Has its body in one line, where the compiler looks for braces that nobody needs.
    #[rustfmt::skip]
    async fn short(&self) -> Result<u32, RemoteError> { Ok(2) }

    /// Has none here.
    async fn given(&self) -> Result<u32, RemoteError>;

    /// Opens as it did.
    #[deprecated(note = "open")]
    async fn open_old(&self) -> Result<u32, RemoteError>;

    /// Never ends well.
    #[remote(oneway)]
    async fn never(&self) -> Result<(), RemoteError>;
}

/// A shelf.
#[remote(name = "hygiene.ForbiddenShelf")]
pub(super) trait Shelf<T: Serialize + DeserializeOwned + Send + Sync, const N: usize>: Branch {
    /// Puts.
    async fn put(&self, value: T, many: Option<&T>) -> Result<Proxy<dyn Branch>, RemoteError>;
}

/// A desk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Desk;

#[remote]
impl Branch for Desk {
    async fn open(&self, name: &str, _unused: &[u8], note: Option<&str>) -> Result<u32, RemoteError> {
        let length = name.len() + note.map_or(0, str::len);
        Ok(u32::try_from(length).unwrap_or(u32::MAX))
    }

    #[rustfmt::skip]
    async fn given(&self) -> Result<u32, RemoteError> { Ok(3) }

    async fn open_old(&self) -> Result<u32, RemoteError> {
        Ok(1)
    }

    async fn never(&self) -> Result<(), RemoteError> {
        loop {
            tokio::task::yield_now().await;
        }
    }
}

#[remote]
impl Shelf<u8, 2> for Desk {
    async fn put(&self, value: u8, many: Option<&u8>) -> Result<Proxy<dyn Branch>, RemoteError> {
        if value == 0 && many.is_none() {
            unreachable!("it is not called so")
        }
        return Ok(Proxy::new(*self));
    }
}
