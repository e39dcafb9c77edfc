//! The names of the written code, and the descriptions of the methods.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{Attribute, GenericParam, Generics, Lifetime, Path, TypeParamBound};

use crate::model::{Interface, Method};

/// Brings the traits into scope by which types decide, and none of their names.
pub(super) fn traits(krate: &Path) -> TokenStream {
    quote! {
        use #krate::private::{
            Call as _, CallBytes as _, CallLocal as _, CallLocalNothing as _, CallNothing as _, Lend as _, LendBytes as _,
            LendNothing as _, LendOrDefault as _, NoParent as _, NoPromise as _, Parent as _, Push as _, PushBytes as _,
            PushNothing as _, Serve as _, ServeBytes as _, ServeNothing as _, Take as _, TakeBytes as _, TakeNothing as _,
            TakeOption as _, TakeOrDefault as _,
        };
        use #krate::private::generic::{ByInterface as _, ByNothing as _, ByShape as _};
    }
}

/// Allows what these attributes allow, or expect to be there: that is said of the item, and allowed in what is written for it.
pub(super) fn allowed(attributes: &[Attribute]) -> impl Iterator<Item = TokenStream> {
    let said = |attribute: &Attribute| attribute.path().is_ident("allow") || attribute.path().is_ident("expect");
    let lists =
        attributes.iter().filter(move |attribute| said(attribute)).filter_map(|one| one.meta.require_list().ok());
    lists.map(|list| {
        let lints = &list.tokens;
        quote!(#[allow(#lints)])
    })
}

/// Says whether every instance of the trait has descriptions of its own.
pub(super) fn is_generic(interface: &Interface) -> bool {
    !interface.item.generics.params.is_empty()
}

/// `dyn Account`, the interface as a type.
pub(super) fn object(interface: &Interface) -> TokenStream {
    let (ident, (_, arguments, _)) = (&interface.item.ident, interface.item.generics.split_for_impl());
    quote!(dyn #ident #arguments)
}

/// The description of the method, as it is in the descriptor.
pub(super) fn method_info(interface: &Interface, at: usize) -> TokenStream {
    let (krate, name) = (&interface.krate, method_static(at));
    if !is_generic(interface) {
        return quote!(&#name);
    }
    let (place, object) = (method_place(at), object(interface));
    quote!(#krate::private::generic::method::<#object>(__RmiPlace::#place as ::core::primitive::usize))
}

/// The places of the methods in the descriptor of a generic interface: conditions leave some out.
pub(super) fn places(interface: &Interface) -> Option<TokenStream> {
    let places = interface.methods.iter().enumerate().map(|(at, method)| {
        let (place, cfgs) = (method_place(at), &method.cfgs);
        quote!(#(#cfgs)* #place)
    });
    is_generic(interface).then(|| quote!(enum __RmiPlace { #(#places),* }))
}

fn method_place(at: usize) -> Ident {
    format_ident!("Method{at}")
}

pub(super) fn method_static(at: usize) -> Ident {
    format_ident!("__RMI_METHOD_{at}")
}

/// The name of an argument where nothing of the user's is in the way.
pub(super) fn argument(at: usize) -> Ident {
    format_ident!("__rmi_{at}")
}

/// The name of an argument in the interface's description.
pub(super) fn argument_text(argument: &crate::shape::Argument) -> String {
    use syn::ext::IdentExt;
    argument.ident.unraw().to_string()
}

/// The descriptions of the methods, one static each; those of a generic trait are what its instances' are made of.
pub(super) fn statics(interface: &Interface) -> TokenStream {
    let each = interface.methods.iter().enumerate().map(|(at, method)| {
        let (name, cfgs, krate) = (method_static(at), &method.cfgs, &interface.krate);
        let description = description(interface, method);
        quote!(#(#cfgs)* static #name: #krate::private::Method = #description;)
    });
    quote!(#(#each)*)
}

fn description(interface: &Interface, method: &Method) -> TokenStream {
    let (krate, interface_name, options) = (&interface.krate, &interface.name, &method.options);
    let wire = method.names().next().map(|(name, _)| name);
    let arguments = method.arguments.iter().map(argument_text);
    let (idempotent, oneway, spawn, compact) = (options.idempotent, options.oneway, options.spawn, interface.compact);
    let unreliable = options.unreliable.is_some();
    // That of an instance depends on its arguments.
    let promises = if is_generic(interface) { quote!(false) } else { promises(krate, method) };
    let timeout = match options.timeout_ms {
        Some(time) => quote!(#krate::private::Some(#krate::private::Duration::from_millis(#time))),
        None => quote!(#krate::private::None),
    };
    quote! {
        #krate::private::Method {
            idempotent: #idempotent,
            oneway: #oneway,
            unreliable: #unreliable,
            spawn: #spawn,
            compact: #compact,
            promises: #promises,
            timeout: #timeout,
            ..#krate::private::Method::new(#interface_name, #wire, &[#(#arguments),*])
        }
    }
}

/// Says whether the method returns an object that can be promised.
pub(super) fn promises(krate: &Path, method: &Method) -> TokenStream {
    let returns = method.return_type();
    quote!(<#krate::private::Returning<#returns>>::__RMI_PROMISES)
}

/// The trait's generics for our impls: what is in a `dyn` that lives anywhere must itself live anywhere.
pub(super) fn impl_generics(interface: &Interface) -> Generics {
    let mut generics = interface.item.generics.clone();
    for parameter in &mut generics.params {
        if let GenericParam::Type(parameter) = parameter {
            (parameter.eq_token, parameter.default) = (None, None);
            parameter.colon_token.get_or_insert_default();
            let place = Span::call_site().located_at(parameter.ident.span());
            parameter.bounds.push(TypeParamBound::Lifetime(Lifetime::new("'static", place)));
        }
    }
    generics
}
