//! The caller's side: `impl Account for Proxy<T>`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{GenericParam, WherePredicate, parse_quote};

use super::names::{argument, argument_text, impl_generics, method_info};
use crate::model::{Interface, Method};

/// `async_trait` writes the signatures, and `bodies` puts the bodies in, which encode the arguments before there is a future:
/// so it holds none of them.
pub(super) fn render(interface: &Interface) -> TokenStream {
    let (krate, ident) = (&interface.krate, &interface.item.ident);
    let (_, arguments, _) = interface.item.generics.split_for_impl();
    let mut generics = impl_generics(interface);
    let parameter: GenericParam =
        parse_quote!(__RmiServant: ?::core::marker::Sized + #krate::private::Interface + #ident #arguments);
    generics.params.push(parameter);
    // It holds for every remote supertrait. For another it says nothing here: that is refused elsewhere.
    let parents = interface.parents.iter();
    let conditions =
        parents.map(|parent| -> WherePredicate { parse_quote!(#krate::private::Proxy<__RmiServant>: #parent) });
    generics.make_where_clause().predicates.extend(conditions);
    let (parameters, _, conditions) = generics.split_for_impl();
    let signatures = interface.methods.iter().map(signature);
    let bodies = interface.methods.iter().enumerate().map(|(at, method)| body(interface, at, method));
    quote! {
        #[#krate::private::async_trait]
        #[#krate::private::bodies(#({ #bodies })*)]
        impl #parameters #ident #arguments for #krate::private::Proxy<__RmiServant> #conditions {
            #(#signatures)*
        }
    }
}

fn signature(method: &Method) -> TokenStream {
    let (ident, cfgs, output) = (&method.ident, &method.cfgs, &method.output);
    let names = (0..method.arguments.len()).map(argument);
    let types = method.arguments.iter().map(|argument| &argument.ty);
    quote!(#(#cfgs)* async fn #ident(&self, #(#names: #types),*) #output {})
}

fn body(interface: &Interface, at: usize, method: &Method) -> TokenStream {
    let (krate, trait_ident, ident) = (&interface.krate, &interface.item.ident, &method.ident);
    let (_, arguments, _) = interface.item.generics.split_for_impl();
    let (info, returns) = (method_info(interface, at), method.return_type());
    let count = u16::try_from(method.arguments.len()).unwrap_or(u16::MAX);
    let names: Vec<_> = (0..method.arguments.len()).map(argument).collect();
    let texts = method.arguments.iter().map(argument_text);
    let room = if interface.compact { quote!(compact) } else { quote!(new) };
    // An argument list that is empty changes nothing.
    let mutable = (!names.is_empty()).then(|| quote!(mut));
    quote! {
        if let #krate::private::Some(__rmi_servant) = #krate::private::local(self) {
            let __rmi_future = <__RmiServant as #trait_ident #arguments>::#ident(__rmi_servant, #(#names),*);
            return (&&#krate::private::Returning::<#returns>::NEW).__rmi_call_local(self, #info, __rmi_future);
        }
        let #mutable __rmi_outgoing = #krate::private::Outgoing::#room(#count);
        #((&&&#krate::private::Given(&#names)).__rmi_push(&mut __rmi_outgoing, #texts);)*
        (&&&#krate::private::Returning::<#returns>::NEW).__rmi_call(self, #info, __rmi_outgoing)
    }
}
