//! Traits that are deprecated, or have a method that is: our code calls it, and nobody is to be told.
//!
//! The compiler tells nobody about the code of a derive. So the code is an attribute of a type with a derive of ours, which
//! repeats it, and says of the deprecated names that they are its own.

use proc_macro2::{Group, Ident, Span, TokenStream, TokenTree};
use quote::quote;
use syn::{Attribute, DeriveInput, TraitItem};

use crate::model::Interface;

/// The code, in which deprecated names are used quietly.
pub(super) fn quiet(interface: &Interface, code: TokenStream) -> TokenStream {
    let names = names(interface);
    if names.is_empty() {
        return code;
    }
    let krate = &interface.krate;
    quote! {
        #[::core::prelude::v1::derive(#krate::private::Repeat)]
        #[__rmi((#(#names)*) #code)]
        struct __RmiRepeated;
    }
}

/// The names of what is deprecated.
fn names(interface: &Interface) -> Vec<&Ident> {
    let is_deprecated = |attributes: &[Attribute]| attributes.iter().any(|one| one.path().is_ident("deprecated"));
    let item = &interface.item;
    let methods = item.items.iter().filter_map(|member| match member {
        TraitItem::Fn(function) => is_deprecated(&function.attrs).then_some(&function.sig.ident),
        _ => None,
    });
    methods.chain(is_deprecated(&item.attrs).then_some(&item.ident)).collect()
}

/// The input of the derive: the names in parentheses, then the code.
pub(crate) fn repeat(input: &DeriveInput) -> TokenStream {
    let code = input.attrs.iter().find_map(|attribute| attribute.meta.require_list().ok());
    let mut code = code.map(|list| list.tokens.clone()).unwrap_or_default().into_iter();
    let names: Vec<String> = match code.next() {
        Some(TokenTree::Group(names)) => names.stream().into_iter().map(|name| name.to_string()).collect(),
        _ => Vec::new(),
    };
    own(&names, code.collect())
}

/// The code with these names as if the derive had written them: and the signs around them, for the compiler goes by the place
/// where a path begins.
fn own(names: &[String], code: TokenStream) -> TokenStream {
    let here = |span: Span| Span::call_site().located_at(span);
    let one = |token| match token {
        TokenTree::Ident(mut name) if names.contains(&name.to_string()) => {
            name.set_span(here(name.span()));
            TokenTree::Ident(name)
        }
        TokenTree::Punct(mut sign) if sign.as_char() != '\'' => {
            sign.set_span(here(sign.span()));
            TokenTree::Punct(sign)
        }
        TokenTree::Group(group) => {
            let mut inside = Group::new(group.delimiter(), own(names, group.stream()));
            inside.set_span(group.span());
            TokenTree::Group(inside)
        }
        other => other,
    };
    code.into_iter().map(one).collect()
}
