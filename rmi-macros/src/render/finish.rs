//! The last step, behind `async_trait`: what it writes names `Box` as if nobody else did, and allows lints.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::token::Brace;
use syn::{
    Attribute, Block, Expr, GenericArgument, GenericParam, Item, ItemImpl, Pat, Path, PathArguments, ReturnType,
    Signature, Stmt, TraitItem, Type, parse_quote,
};

/// Lets a trait or an impl that `async_trait` wrote mean the standard `Box`, and takes its `allow`s off.
pub(crate) fn boxed(mut item: Item) -> TokenStream {
    match &mut item {
        Item::Trait(item) => {
            for member in &mut item.items {
                if let TraitItem::Fn(function) = member {
                    finish(&mut function.sig, &mut function.attrs, function.default.as_mut());
                }
            }
        }
        Item::Impl(item) => finish_all(item),
        _ => {}
    }
    quote!(#item)
}

/// Puts these bodies into an impl that `async_trait` wrote, one for each method.
pub(crate) fn bodies(bodies: Bodies, mut item: ItemImpl) -> TokenStream {
    finish_all(&mut item);
    for (function, body) in functions(&mut item).zip(bodies.0) {
        function.block = body;
    }
    quote!(#item)
}

/// The bodies of the methods of an impl.
pub(crate) struct Bodies(Vec<Block>);

impl Parse for Bodies {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut bodies = Vec::new();
        while !input.is_empty() {
            bodies.push(input.parse()?);
        }
        Ok(Self(bodies))
    }
}

fn functions(item: &mut ItemImpl) -> impl Iterator<Item = &mut syn::ImplItemFn> {
    item.items.iter_mut().filter_map(|member| match member {
        syn::ImplItem::Fn(function) => Some(function),
        _ => None,
    })
}

fn finish_all(item: &mut ItemImpl) {
    for function in functions(item) {
        finish(&mut function.sig, &mut function.attrs, Some(&mut function.block));
    }
}

/// A function that `async_trait` wrote has its lifetime.
fn finish(sig: &mut Signature, attributes: &mut Vec<Attribute>, body: Option<&mut Block>) {
    let is_its = |parameter: &GenericParam| matches!(parameter, GenericParam::Lifetime(own) if own.lifetime.ident == "async_trait");
    if !sig.generics.params.iter().any(is_its) {
        return;
    }
    // Its own is the last one.
    if attributes.last().is_some_and(|attribute| attribute.path().is_ident("allow")) {
        attributes.pop();
    }
    if let Some(path) = pinned(&mut sig.output) {
        name_box(path);
    }
    if let Some(body) = body {
        finish_body(body);
    }
}

/// The `Box<…>` of `Pin<Box<…>>`.
fn pinned(output: &mut ReturnType) -> Option<&mut Path> {
    let ReturnType::Type(_, ty) = output else { return None };
    let Type::Path(pin) = &mut **ty else { return None };
    let PathArguments::AngleBracketed(arguments) = &mut pin.path.segments.last_mut()?.arguments else { return None };
    match arguments.args.first_mut()? {
        GenericArgument::Type(Type::Path(boxed)) => Some(&mut boxed.path),
        _ => None,
    }
}

/// `Box…` becomes `::std::boxed::Box…`.
fn name_box(path: &mut Path) {
    if path.leading_colon.is_none() && path.segments.first().is_some_and(|first| first.ident == "Box") {
        let rest = std::mem::take(&mut path.segments);
        let mut whole: Path = parse_quote!(::std::boxed);
        whole.segments.extend(rest);
        *path = whole;
    }
}

/// The body is `Box::pin(async move { … let __ret: R = { … }; #[allow(unreachable_code)] __ret })`.
fn finish_body(body: &mut Block) {
    let [Stmt::Expr(Expr::Call(call), _)] = &mut body.stmts[..] else { return };
    if let Expr::Path(function) = &mut *call.func {
        name_box(&mut function.path);
    }
    let Some(Expr::Async(future)) = call.args.first_mut() else { return };
    return_at_once(&mut future.block);
    for statement in &mut future.block.stmts {
        take_allow(statement);
        use_binding(statement);
    }
}

/// Takes `allow` off the `return` by which `async_trait` tells the compiler the type.
fn take_allow(statement: &mut Stmt) {
    let Stmt::Expr(Expr::If(guard), _) = statement else { return };
    for statement in &mut guard.then_branch.stmts {
        if let Stmt::Expr(Expr::Return(told), _) = statement {
            told.attrs.clear();
        }
    }
}

/// `let _x = x;` becomes `let (_x,) = (x,);`, of which clippy does not say that it has no effect.
fn use_binding(statement: &mut Stmt) {
    let Stmt::Local(local) = statement else { return };
    if let (Pat::Ident(name), Some(init)) = (&local.pat, &mut local.init)
        && name.ident.to_string().starts_with('_')
    {
        let value = &init.expr;
        init.expr = parse_quote!((#value,));
        local.pat = parse_quote!((#name,));
    }
}

/// `let __ret: R = { … }; __ret` becomes `{ … }`, which needs no `allow` when it never ends.
fn return_at_once(block: &mut Block) {
    let [.., Stmt::Local(local), Stmt::Expr(Expr::Path(_), None)] = &mut block.stmts[..] else { return };
    let Some(mut init) = local.init.take() else { return };
    if let Expr::Block(body) = &mut *init.expr {
        // They look like the user's, inside of ours, and the compiler would say that nobody needs them.
        let braces = body.block.brace_token.span.join();
        body.block.brace_token = Brace(Span::mixed_site().located_at(braces));
    }
    block.stmts.truncate(block.stmts.len() - 2);
    block.stmts.push(Stmt::Expr(*init.expr, None));
}
