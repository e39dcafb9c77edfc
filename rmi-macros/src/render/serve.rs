//! The servant's side: `impl Interface for dyn Account`.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, parse_quote};

use super::{argument_names, impl_generics, is_generic, local, method_info, method_static, object};
use crate::model::{Interface, Method};
use crate::shape::{Returns, Shape};

pub(super) fn render(interface: &Interface) -> TokenStream {
    let krate = &interface.krate;
    let generics = impl_generics(interface);
    let (parameters, _, conditions) = generics.split_for_impl();
    let object = object(interface);
    let arms = interface.methods.iter().enumerate().map(|(at, method)| arm(interface, at, method, &object));
    let parents = &interface.parents;
    let descriptor = descriptor(interface);
    let accepts = accepts(interface, &object);
    quote! {
        impl #parameters #krate::private::Interface for #object #conditions {
            fn descriptor() -> &'static #krate::private::Descriptor {
                #descriptor
            }

            fn dispatch(
                servant: #krate::private::Arc<Self>,
                call: #krate::private::Incoming,
            ) -> #krate::private::Dispatched {
                #(#arms)*
                #(
                    let call = match <dyn #parents as #krate::private::Interface>::dispatch(servant.clone(), call) {
                        #krate::private::Dispatched::Unknown(call) => call,
                        served => return served,
                    };
                )*
                #krate::private::Dispatched::Unknown(call)
            }

            fn cast(
                servant: #krate::private::Arc<Self>,
                target: #krate::private::TypeId,
            ) -> #krate::private::Option<#krate::private::Box<dyn #krate::private::Any>> {
                if target == #krate::private::TypeId::of::<Self>() {
                    return #krate::private::Some(#krate::private::Box::new(servant));
                }
                #(
                    let found = <dyn #parents as #krate::private::Interface>::cast(servant.clone(), target);
                    if found.is_some() {
                        return found;
                    }
                )*
                #krate::private::None
            }
        }
        #accepts
    }
}

/// What `descriptor` returns: one static, or what is made of the arguments of a generic trait.
fn descriptor(interface: &Interface) -> TokenStream {
    let (krate, name, object) = (&interface.krate, &interface.name, object(interface));
    let methods = interface.methods.iter().enumerate().map(|(at, method)| {
        let (cfgs, info) = (&method.cfgs, method_static(at));
        quote!(#(#cfgs)* &#info)
    });
    let parents = interface.parents.iter().map(|parent| {
        quote_spanned! { parent.span() => <dyn #parent as #krate::private::Interface>::descriptor }
    });
    let (methods, parents) = (quote!(&[#(#methods),*]), quote!(&[#(#parents),*]));
    if !is_generic(interface) {
        return quote! {
            static DESCRIPTOR: #krate::private::Descriptor = #krate::private::Descriptor {
                name: #name,
                id: #krate::private::InterfaceId::of(#name),
                methods: #methods,
                parents: #parents,
                of: #krate::private::Some(#krate::private::InterfaceType::of::<#object>()),
            };
            &DESCRIPTOR
        };
    }
    let arguments = interface.item.generics.params.iter().map(|parameter| type_argument(krate, parameter));
    quote! {
        use #krate::private::generic::{ByInterface as _, ByNothing as _, ByShape as _};
        let generic = #krate::private::Generic {
            name: #name,
            methods: #methods,
            parents: #parents,
            arguments: || [#(#arguments),*].into(),
        };
        generic.descriptor::<Self>()
    }
}

/// The name of an argument of a generic trait.
fn type_argument(krate: &syn::Path, parameter: &GenericParam) -> TokenStream {
    match parameter {
        GenericParam::Type(parameter) => {
            let ident = &parameter.ident;
            quote!((&&&#krate::private::Argument::<#ident>::NEW).__rmi_name())
        }
        GenericParam::Const(parameter) => {
            let ident = &parameter.ident;
            quote!(#krate::private::generic::value(#ident))
        }
        GenericParam::Lifetime(_) => TokenStream::new(),
    }
}

/// `impl<S: Account> Accepts<S> for dyn Account`.
fn accepts(interface: &Interface, object: &TokenStream) -> TokenStream {
    let (krate, ident) = (&interface.krate, &interface.item.ident);
    let (_, arguments, _) = interface.item.generics.split_for_impl();
    let servant = local("Servant");
    let mut generics = impl_generics(interface);
    let parameter: GenericParam = parse_quote!(#servant: #ident #arguments);
    generics.params.push(parameter);
    let (parameters, _, conditions) = generics.split_for_impl();
    quote! {
        impl #parameters #krate::private::Accepts<#servant> for #object #conditions {
            fn accept(servant: #krate::private::Arc<#servant>) -> #krate::private::Arc<Self> {
                servant
            }
        }
    }
}

fn arm(interface: &Interface, at: usize, method: &Method, object: &TokenStream) -> TokenStream {
    let (krate, ident, cfgs) = (&interface.krate, &method.ident, &method.cfgs);
    let info = method_info(interface, at);
    let trait_ident = &interface.item.ident;
    let (_, generic_arguments, _) = interface.item.generics.split_for_impl();
    let (servant, call, arguments) = (local("servant"), quote!(call), local("arguments"));
    let aliases = method
        .names()
        .skip(1)
        .map(|(alias, _)| quote!(|| #call.method == #krate::private::MethodId::named((#info).id.interface, #alias)));
    let takes = method.arguments.iter().zip(argument_names(method)).map(|(argument, text)| {
        let (local_name, take) = (&argument.ident, take(krate, &arguments, &text, argument));
        quote!(let #local_name = #take;)
    });
    let gives = method.arguments.iter().map(give);
    let invoke = quote!(<#object as #trait_ident #generic_arguments>::#ident(&*#servant, #(#gives),*).await);
    let invoke = match method.returns {
        Returns::Value => invoke,
        Returns::Blob => quote!(#invoke.map(#krate::private::Blob)),
    };
    let returns = method.return_type().map_or_else(proc_macro2::Span::call_site, Spanned::span);
    let serve = quote_spanned!(returns => #call.serve);
    quote! {
        #(#cfgs)*
        if #call.method == (#info).id #(#aliases)* {
            let #servant = servant;
            return #serve(#info, move |#arguments| {
                #(#takes)*
                #krate::private::Ok(async move { #invoke })
            });
        }
    }
}

/// Takes an argument out of the call.
fn take(krate: &syn::Path, arguments: &syn::Ident, text: &str, argument: &crate::shape::Argument) -> TokenStream {
    let owned = |ty: TokenStream| match argument.optional {
        true => quote!(#arguments.take_or_default::<#ty>(#text)?),
        false => quote!(#arguments.take::<#ty>(#text)?),
    };
    match &argument.shape {
        Shape::Owned => {
            let ty = &argument.ty;
            owned(quote!(#ty))
        }
        Shape::Borrowed(ty) => owned(quote!(#ty)),
        Shape::OptionBorrowed(ty) => owned(quote!(#krate::private::Option<#ty>)),
        Shape::Slice | Shape::Bytes => quote!(#arguments.take_bytes(#text)?),
        Shape::Vector => quote!(::std::vec::Vec::<u8>::from(#arguments.take_bytes(#text)?)),
        Shape::OptionSlice | Shape::OptionBytes => quote!(#arguments.take_optional_bytes(#text)?),
        Shape::OptionVector => quote!(#arguments.take_optional_bytes(#text)?.map(::std::vec::Vec::<u8>::from)),
    }
}

/// What the servant's method gets.
fn give(argument: &crate::shape::Argument) -> TokenStream {
    let name = &argument.ident;
    match &argument.shape {
        Shape::Owned | Shape::Vector | Shape::Bytes | Shape::OptionVector | Shape::OptionBytes => quote!(#name),
        Shape::Borrowed(_) | Shape::Slice => quote!(&#name),
        // A string is lent as `&str`, anything else as it is.
        Shape::OptionBorrowed(ty) if is_dereferenced(ty) => quote!(#name.as_deref()),
        Shape::OptionBorrowed(_) => quote!(#name.as_ref()),
        Shape::OptionSlice => quote!(#name.as_deref()),
    }
}

fn is_dereferenced(ty: &syn::Type) -> bool {
    let syn::Type::Path(path) = ty else { return false };
    let standard = path.path.leading_colon.is_some();
    standard && path.path.segments.last().is_some_and(|last| last.ident == "String" || last.ident == "Vec")
}
