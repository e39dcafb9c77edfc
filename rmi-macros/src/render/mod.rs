//! From the model to code.

mod proxy;
mod serve;

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Generics, ItemImpl, WherePredicate, parse_quote};

use crate::messages;
use crate::model::{Errors, Interface, Method, first_token};
use crate::parse;
use crate::shape::promises_object;

/// The trait, and what makes it remote; with mistakes, their messages and the plain trait.
pub(crate) fn interface(interface: &Interface, errors: Errors) -> TokenStream {
    let plain = plain_trait(interface);
    if let Some(errors) = errors.into_tokens() {
        return quote! { #errors #plain };
    }
    let (methods, places) = (statics(interface), places(interface));
    let proxy = proxy::render(interface);
    let serve = serve::render(interface);
    quote! {
        #plain
        #[allow(deprecated, clippy::all, clippy::pedantic, unused_qualifications)]
        const _: () = {
            #methods
            #places
            #proxy
            #serve
        };
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
    let check = quote_spanned! { path.span() => #krate::private::is_remote::<dyn #path>() };
    quote! {
        #[#krate::private::async_trait]
        #item
        const _: () = {
            #[allow(dead_code, clippy::all, reason = "it is there to be compiled: the compiler says what is wrong with it")]
            fn check #generics () #conditions { #check }
        };
    }
}

/// Whether every instance of the trait has descriptions of its own.
fn is_generic(interface: &Interface) -> bool {
    !interface.item.generics.params.is_empty()
}

/// The description of the method, as it is in the descriptor.
fn method_info(interface: &Interface, at: usize) -> TokenStream {
    let (krate, name) = (&interface.krate, method_static(at));
    if !is_generic(interface) {
        return quote!(&#name);
    }
    let (place, object) = (method_place(at), object(interface));
    quote!(#krate::private::generic::method::<#object>(MethodPlace::#place as usize))
}

/// `dyn Account`, the interface as a type.
fn object(interface: &Interface) -> TokenStream {
    let (ident, (_, arguments, _)) = (&interface.item.ident, interface.item.generics.split_for_impl());
    quote!(dyn #ident #arguments)
}

/// The places of the methods in the descriptor of a generic interface: conditions leave some out.
fn places(interface: &Interface) -> Option<TokenStream> {
    let places = interface.methods.iter().enumerate().map(|(at, method)| {
        let (place, cfgs) = (method_place(at), &method.cfgs);
        quote!(#(#cfgs)* #place)
    });
    is_generic(interface).then(|| quote!(enum MethodPlace { #(#places),* }))
}

fn method_place(at: usize) -> Ident {
    format_ident!("Method{at}")
}

/// The descriptions of the methods, one static each; those of a generic trait are what its instances' are made of.
fn statics(interface: &Interface) -> TokenStream {
    let (krate, interface_name) = (&interface.krate, &interface.name);
    let each = interface.methods.iter().enumerate().map(|(at, method)| {
        let (name, cfgs) = (method_static(at), &method.cfgs);
        let wire = method.names().next().map(|(name, _)| name);
        let arguments = method.arguments.iter().map(|argument| argument.ident.to_string());
        let options = &method.options;
        let (idempotent, oneway, spawn) = (options.idempotent, options.oneway, options.spawn);
        let unreliable = options.unreliable.is_some();
        let promises = method.return_type().is_some_and(promises_object);
        let timeout = match options.timeout_ms {
            Some(time) => quote!(#krate::private::Some(#krate::private::Duration::from_millis(#time))),
            None => quote!(#krate::private::None),
        };
        quote! {
            #(#cfgs)*
            static #name: #krate::private::Method = {
                let mut method = #krate::private::Method::new(#interface_name, #wire, &[#(#arguments),*]);
                method.idempotent = #idempotent;
                method.oneway = #oneway;
                method.unreliable = #unreliable;
                method.spawn = #spawn;
                method.promises = #promises;
                method.timeout = #timeout;
                method
            };
        }
    });
    quote!(#(#each)*)
}

fn method_static(at: usize) -> Ident {
    format_ident!("METHOD_{at}")
}

/// A name that no argument of the user's can have.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The trait's generics for our impls: what is in a `dyn` that lives anywhere must itself live anywhere.
fn impl_generics(interface: &Interface) -> Generics {
    let mut generics = interface.item.generics.clone();
    let bounds: Vec<WherePredicate> = generics
        .params
        .iter()
        .filter_map(|parameter| match parameter {
            GenericParam::Type(parameter) => {
                let ident = &parameter.ident;
                Some(parse_quote!(#ident: 'static))
            }
            _ => None,
        })
        .collect();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            (parameter.eq_token, parameter.default) = (None, None);
        }
    }
    if !bounds.is_empty() {
        generics.make_where_clause().predicates.extend(bounds);
    }
    generics
}

fn argument_names(method: &Method) -> impl Iterator<Item = String> {
    use syn::ext::IdentExt;
    method.arguments.iter().map(|argument| argument.ident.unraw().to_string())
}
