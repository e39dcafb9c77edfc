//! From the model to code.
//!
//! Names that the code brings along begin with `__rmi`; all else it names by its whole path. So it means the same whatever
//! the names around it mean. It says no `allow`, which a `forbid` around it would not let it say.

mod deprecated;
mod finish;
mod names;
mod proxy;
mod serve;

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemImpl, parse_quote};

use crate::messages;
use crate::model::{Errors, Interface, first_token};
use crate::parse;

pub(crate) use deprecated::repeat;
pub(crate) use finish::{Bodies, bodies, boxed};

/// The trait, and what makes it remote; with mistakes, their messages and the plain trait.
pub(crate) fn interface(interface: &Interface, errors: Errors) -> TokenStream {
    let plain = plain_trait(interface);
    if let Some(errors) = errors.into_tokens() {
        return quote! { #errors #plain };
    }
    let krate = &interface.krate;
    let traits = names::traits(krate);
    let (methods, places) = (names::statics(interface), names::places(interface));
    let (proxy, serve) = (proxy::render(interface), serve::render(interface));
    let code = deprecated::quiet(interface, quote!(#traits #methods #places #proxy #serve));
    quote! {
        #plain
        const _: () = { #code };
    }
}

/// The trait as it was written, with `async fn` made callable through `dyn`.
fn plain_trait(interface: &Interface) -> TokenStream {
    let krate = &interface.krate;
    let mut item = interface.item.clone();
    let markers: [syn::TypeParamBound; 3] =
        [parse_quote!(::core::marker::Send), parse_quote!(::core::marker::Sync), parse_quote!('static)];
    item.supertraits.extend(markers);
    item.colon_token.get_or_insert_with(Default::default);
    quote! {
        #[#krate::private::async_trait]
        #[#krate::private::boxed]
        #item
    }
}

/// An impl whose bodies are plain `async fn`.
pub(crate) fn servant(attributes: TokenStream, item: ItemImpl) -> TokenStream {
    let krate = match parse::servant(attributes) {
        Ok(krate) => krate,
        Err(error) => {
            let error = error.to_compile_error();
            return quote! { #error #item };
        }
    };
    let Some((None, path, _)) = &item.trait_ else {
        let error = syn::Error::new(first_token(&item), messages::INHERENT_IMPL).to_compile_error();
        return quote! { #error #item };
    };
    let (generics, _, conditions) = item.generics.split_for_impl();
    let check = quote_spanned! { path.span() => #krate::private::check::is_remote::<dyn #path>() };
    let allowed = names::allowed(&item.attrs);
    quote! {
        #[#krate::private::async_trait]
        #[#krate::private::boxed]
        #item
        #(#allowed)*
        const _: () = {
            // It is there to be compiled: the compiler says what is wrong with it.
            fn __rmi_check #generics () #conditions { #check }
        };
    }
}
