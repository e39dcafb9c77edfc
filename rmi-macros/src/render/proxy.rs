//! The caller's side: `impl Account for Proxy<T>`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{GenericParam, parse_quote};

use super::{argument_names, impl_generics, local, method_info};
use crate::model::{Interface, Method};
use crate::shape::{Returns, Shape};

pub(super) fn render(interface: &Interface) -> TokenStream {
    let (krate, ident) = (&interface.krate, &interface.item.ident);
    let (_, arguments, _) = interface.item.generics.split_for_impl();
    let servant = local("Servant");
    let mut generics = impl_generics(interface);
    let parameter: GenericParam =
        parse_quote!(#servant: ?::core::marker::Sized + #krate::private::Interface + #ident #arguments);
    generics.params.push(parameter);
    let (parameters, _, conditions) = generics.split_for_impl();
    let methods = interface.methods.iter().enumerate().map(|(at, method)| {
        let servant_trait = quote!(<#servant as #ident #arguments>);
        render_method(interface, at, method, &servant_trait)
    });
    quote! {
        #[#krate::private::async_trait]
        impl #parameters #ident #arguments for #krate::private::Proxy<#servant> #conditions {
            #(#methods)*
        }
    }
}

fn render_method(interface: &Interface, at: usize, method: &Method, servant_trait: &TokenStream) -> TokenStream {
    let (krate, ident, cfgs) = (&interface.krate, &method.ident, &method.cfgs);
    let (info, output) = (method_info(interface, at), &method.output);
    let (servant, outgoing) = (local("servant"), local("outgoing"));
    let names: Vec<_> = method.arguments.iter().map(|argument| &argument.ident).collect();
    let types = method.arguments.iter().map(|argument| &argument.ty);
    let count = u16::try_from(names.len()).unwrap_or(u16::MAX);
    let pushes = method.arguments.iter().zip(argument_names(method)).map(|(argument, text)| {
        let name = &argument.ident;
        match &argument.shape {
            Shape::Owned | Shape::OptionBorrowed(_) => quote!(#outgoing.push(#text, &#name);),
            Shape::Borrowed(_) => quote!(#outgoing.push(#text, #name);),
            Shape::Slice => quote!(#outgoing.push_bytes(#text, #name);),
            Shape::Vector | Shape::Bytes => quote!(#outgoing.push_bytes(#text, &#name);),
            Shape::OptionSlice => quote!(#outgoing.push_optional_bytes(#text, #name);),
            Shape::OptionVector | Shape::OptionBytes => {
                quote!(#outgoing.push_optional_bytes(#text, #name.as_deref());)
            }
        }
    });
    let call = quote!(#krate::private::call(self, #info, #outgoing).await);
    let call = match method.returns {
        Returns::Value => call,
        Returns::Blob => quote! {
            {
                let blob: #krate::private::Result<#krate::private::Blob<_>, _> = #call;
                blob.map(|blob| blob.0)
            }
        },
    };
    quote! {
        #(#cfgs)*
        async fn #ident(&self, #(#names: #types),*) #output {
            if let #krate::private::Some(#servant) = #krate::private::local(self) {
                return #krate::private::call_local(self, #info, #servant_trait::#ident(#servant, #(#names),*)).await;
            }
            let mut #outgoing = #krate::private::Outgoing::new(#count);
            #(#pushes)*
            #call
        }
    }
}
