//! All that is known about an item.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, Ident, ItemTrait, Path, ReturnType, Type};

use crate::shape::Argument;

/// The mistakes in an item; all are told at once.
#[derive(Default)]
pub(crate) struct Errors(Vec<syn::Error>);

impl Errors {
    pub(crate) fn add(&mut self, at: impl ToTokens, message: impl std::fmt::Display) {
        self.0.push(syn::Error::new_spanned(at, message));
    }

    pub(crate) fn add_at(&mut self, at: Span, message: impl std::fmt::Display) {
        self.0.push(syn::Error::new(at, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        self.0.push(error);
    }

    /// The errors as code; nothing when there is none.
    pub(crate) fn into_tokens(self) -> Option<TokenStream> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.0.iter().map(syn::Error::to_compile_error).collect())
    }
}

/// The place of the first token of something.
pub(crate) fn first_token(item: &impl ToTokens) -> Span {
    item.to_token_stream().into_iter().next().as_ref().map_or_else(Span::call_site, TokenTree::span)
}

/// A trait marked `#[remote]`.
pub(crate) struct Interface {
    /// The trait as it was written, without our attributes.
    pub(crate) item: ItemTrait,
    /// The name on the wire.
    pub(crate) name: String,
    /// The path of `rmi-core`.
    pub(crate) krate: Path,
    /// The supertraits, which are remote or markers.
    pub(crate) parents: Vec<Path>,
    /// Set when structs travel by position.
    pub(crate) compact: bool,
    pub(crate) methods: Vec<Method>,
}

/// A method of a remote trait.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// The `cfg` attributes, which hold for everything written for the method.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) sig: syn::Signature,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) output: ReturnType,
    pub(crate) options: MethodOptions,
}

/// The words of `#[remote(…)]` on a method.
#[derive(Default)]
pub(crate) struct MethodOptions {
    pub(crate) rename: Option<(String, Span)>,
    pub(crate) aliases: Vec<(String, Span)>,
    pub(crate) idempotent: bool,
    pub(crate) oneway: bool,
    /// The place of the word, if it is there.
    pub(crate) unreliable: Option<Span>,
    pub(crate) spawn: bool,
    pub(crate) timeout_ms: Option<u64>,
}

impl Method {
    /// The names on the wire: the one that is sent first, then those that are understood as well.
    pub(crate) fn names(&self) -> impl Iterator<Item = (String, Span)> {
        use syn::ext::IdentExt;
        let own = || (self.ident.unraw().to_string(), self.ident.span());
        let first = self.options.rename.clone().unwrap_or_else(own);
        std::iter::once(first).chain(self.options.aliases.iter().cloned())
    }

    pub(crate) fn return_type(&self) -> Option<&Type> {
        match &self.output {
            ReturnType::Default => None,
            ReturnType::Type(_, ty) => Some(ty),
        }
    }
}
