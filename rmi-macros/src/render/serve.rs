//! The servant's side: `impl Interface for dyn Account`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{GenericParam, Path, Type, parse_quote};

use super::names::{argument, argument_text, impl_generics, is_generic, method_info, method_static, object, promises};
use crate::model::{Interface, Method};
use crate::shape::{Argument, lent};

pub(super) fn render(interface: &Interface) -> TokenStream {
    let krate = &interface.krate;
    let generics = impl_generics(interface);
    let (parameters, _, conditions) = generics.split_for_impl();
    let object = object(interface);
    let arms = interface.methods.iter().enumerate().map(|(at, method)| arm(interface, at, method, &object));
    let parents = &interface.parents;
    let (checks, descriptor) = (checks(interface), descriptor(interface));
    let accepts = accepts(interface, &object);
    quote! {
        impl #parameters #krate::private::Interface for #object #conditions {
            fn descriptor() -> &'static #krate::private::Descriptor {
                #checks
                #descriptor
            }

            fn dispatch(
                __rmi_servant: #krate::private::Arc<Self>,
                __rmi_call: #krate::private::Incoming,
            ) -> #krate::private::Dispatched {
                #(#arms)*
                #(
                    let __rmi_call = match (&&#krate::private::Super::<dyn #parents>::NEW)
                        .__rmi_dispatch(<#krate::private::Arc<Self> as #krate::private::Clone>::clone(&__rmi_servant), __rmi_call)
                    {
                        #krate::private::Dispatched::Unknown(__rmi_call) => __rmi_call,
                        __rmi_served => return __rmi_served,
                    };
                )*
                #krate::private::Dispatched::Unknown(__rmi_call)
            }

            fn cast(
                __rmi_servant: #krate::private::Arc<Self>,
                __rmi_target: #krate::private::TypeId,
            ) -> #krate::private::Option<#krate::private::Box<dyn #krate::private::Any>> {
                if __rmi_target == #krate::private::TypeId::of::<Self>() {
                    return #krate::private::Some(#krate::private::Box::new(__rmi_servant));
                }
                #(
                    if let #krate::private::Some(__rmi_found) = (&&#krate::private::Super::<dyn #parents>::NEW)
                        .__rmi_cast(<#krate::private::Arc<Self> as #krate::private::Clone>::clone(&__rmi_servant), __rmi_target)
                    {
                        return #krate::private::Some(__rmi_found);
                    }
                )*
                #krate::private::None
            }
        }
        #accepts
    }
}

/// The demands that the compiler checks. Nothing else makes them, so a mistake is told once.
fn checks(interface: &Interface) -> TokenStream {
    let krate = &interface.krate;
    let each = interface.methods.iter().map(|method| {
        let (cfgs, arguments) = (&method.cfgs, method.arguments.iter().map(|argument| check(krate, argument)));
        let result = if method.options.oneway { "oneway" } else { "result" };
        let result = method.return_type().map(|ty| check_of(krate, result, ty));
        quote!(#(#cfgs)* { #(#arguments)* #result })
    });
    quote!(let _ = || { #(#each)* };)
}

fn check(krate: &Path, argument: &Argument) -> TokenStream {
    let ty = argument.static_type();
    let by_type = match (argument.borrowed, lent(&ty)) {
        (false, _) => check_of(krate, "argument", &ty),
        (true, Some(lent)) => check_of(krate, "lent", lent),
        (true, None) => check_of(krate, "borrowed", &ty),
    };
    let default = match (argument.defaulted, argument.borrowed) {
        (false, _) => None,
        (true, false) => Some(check_of(krate, "defaulted", &ty)),
        (true, true) => Some(check_of(krate, "borrowed_or_defaulted", &ty)),
    };
    quote!(#by_type #default)
}

/// A call of the check with this name, at the place of the type.
fn check_of(krate: &Path, name: &str, ty: &Type) -> TokenStream {
    let place = Span::call_site().located_at(ty.span());
    let name = Ident::new(name, place);
    let krate = krate.to_token_stream().into_iter().map(|mut token| {
        token.set_span(place);
        token
    });
    let krate: TokenStream = krate.collect();
    quote_spanned!(place => #krate::private::check::#name::<#ty>();)
}

/// The value of `descriptor`: one static, or what is made of the arguments of a generic trait.
fn descriptor(interface: &Interface) -> TokenStream {
    let (krate, name, object) = (&interface.krate, &interface.name, object(interface));
    let parents = interface.parents.iter().map(|parent| {
        let object = quote_spanned!(parent.span() => dyn #parent);
        quote!(#krate::private::check::supertrait::<#object>())
    });
    let parents = quote!(&[#(#parents),*]);
    let methods = interface.methods.iter().enumerate().map(|(at, method)| {
        let (cfgs, info, promises) = (&method.cfgs, method_static(at), promises(krate, method));
        if is_generic(interface) { quote!(#(#cfgs)* (&#info, #promises)) } else { quote!(#(#cfgs)* &#info) }
    });
    let methods = quote!(&[#(#methods),*]);
    if is_generic(interface) {
        let arguments = interface.item.generics.params.iter().map(|parameter| type_argument(krate, parameter));
        return quote! {
            let __rmi_generic = #krate::private::Generic {
                name: #name,
                methods: #methods,
                parents: #parents,
                arguments: || <[_]>::into_vec(#krate::private::Box::new([#(#arguments),*])),
            };
            __rmi_generic.descriptor::<Self>()
        };
    }
    quote! {
        const __RMI_PARENTS: &[#krate::private::Option<fn() -> &'static #krate::private::Descriptor>] = #parents;
        static __RMI_EXTENDED: [fn() -> &'static #krate::private::Descriptor; #krate::private::parents_count(__RMI_PARENTS)] =
            #krate::private::parents(__RMI_PARENTS);
        static __RMI_DESCRIPTOR: #krate::private::Descriptor = #krate::private::Descriptor {
            methods: #methods,
            parents: &__RMI_EXTENDED,
            of: #krate::private::Some(#krate::private::InterfaceType::of::<#object>()),
            ..#krate::private::Descriptor::new(#name)
        };
        &__RMI_DESCRIPTOR
    }
}

/// The name of an argument of a generic trait.
fn type_argument(krate: &Path, parameter: &GenericParam) -> TokenStream {
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
    let mut generics = impl_generics(interface);
    let parameter: GenericParam = parse_quote!(__RmiServant: #ident #arguments);
    generics.params.push(parameter);
    let (parameters, _, conditions) = generics.split_for_impl();
    quote! {
        impl #parameters #krate::private::Accepts<__RmiServant> for #object #conditions {
            fn accept(__rmi_servant: #krate::private::Arc<__RmiServant>) -> #krate::private::Arc<Self> {
                __rmi_servant
            }
        }
    }
}

/// Takes the call if it is one of this method.
fn arm(interface: &Interface, at: usize, method: &Method, object: &TokenStream) -> TokenStream {
    let (krate, ident, cfgs) = (&interface.krate, &method.ident, &method.cfgs);
    let (trait_ident, (_, generic_arguments, _)) = (&interface.item.ident, interface.item.generics.split_for_impl());
    let (info, returns) = (method_info(interface, at), method.return_type());
    let aliases = method.names().skip(1).map(
        |(alias, _)| quote!(|| __rmi_call.method == #krate::private::MethodId::named((#info).id.interface, #alias)),
    );
    let kinds = method.arguments.iter().rev().fold(quote!(()), |others, argument| {
        let kind = kind(krate, argument);
        quote!((#kind, #others))
    });
    let names: Vec<_> = (0..method.arguments.len()).map(argument).collect();
    let takes = method.arguments.iter().map(|argument| take(krate, argument));
    let gives = method.arguments.iter().zip(&names).map(|(argument, name)| give(krate, argument, name));
    // What lends an argument is gone before the method runs, so that it takes no room in the future.
    quote! {
        #(#cfgs)*
        if __rmi_call.method == (#info).id #(#aliases)* {
            return (&&&#krate::private::Serving::<#kinds, #returns>::NEW).__rmi_serve(
                __rmi_call,
                #info,
                move |__rmi_arguments: &mut #krate::private::Arguments| -> #krate::private::Result<_, #krate::private::RemoteError> {
                    #(let #names = #takes?;)*
                    #krate::private::Ok(async move {
                        let __rmi_future = <#object as #trait_ident #generic_arguments>::#ident(&*__rmi_servant, #(#gives),*);
                        __rmi_future.await
                    })
                },
            );
        }
    }
}

/// The type that stands for the argument where types decide.
fn kind(krate: &Path, argument: &Argument) -> TokenStream {
    let ty = argument.static_type();
    if argument.borrowed { quote!(#krate::private::Lending<#ty>) } else { quote!(#krate::private::Owned<#ty>) }
}

/// Takes an argument out of the call.
fn take(krate: &Path, argument: &Argument) -> TokenStream {
    let (kind, text) = (kind(krate, argument), argument_text(argument));
    let take = if argument.defaulted { quote!(__rmi_take_or_default) } else { quote!(__rmi_take) };
    quote!((&&&&<#kind>::NEW).#take(__rmi_arguments, #text))
}

/// The argument as the servant's method gets it.
fn give(krate: &Path, argument: &Argument, name: &Ident) -> TokenStream {
    if !argument.borrowed {
        return quote!(#name);
    }
    let kind = kind(krate, argument);
    quote!((&&&<#kind>::NEW).__rmi_lend(&#name))
}
