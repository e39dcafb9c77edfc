//! From tokens to the model.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, ItemTrait, LitStr, Pat, Path, TraitBoundModifier, TraitItem, TraitItemFn, TypeParamBound};

use crate::messages;
use crate::model::{Errors, Interface, Method, MethodOptions};
use crate::shape::Argument;

const ON_TRAIT: &[&str] = &["name", "crate", "compact"];
const ON_IMPL: &[&str] = &["crate"];
const ON_METHOD: &[&str] = &["rename", "alias", "idempotent", "oneway", "unreliable", "timeout", "spawn"];

pub(crate) fn interface(attributes: TokenStream, mut item: ItemTrait, errors: &mut Errors) -> Interface {
    let mut name = item.ident.unraw().to_string();
    let (mut krate, mut compact) = (default_crate(), false);
    let parser = syn::meta::parser(|meta| {
        if meta.path.is_ident("name") {
            name = wire_name(&meta)?.0;
        } else if meta.path.is_ident("crate") {
            krate = crate_path(&meta)?;
        } else if meta.path.is_ident("compact") {
            compact = true;
        } else {
            return Err(unknown(&meta, ON_TRAIT));
        }
        Ok(())
    });
    if let Err(error) = parser.parse2(attributes) {
        errors.push(error);
    }
    let mut methods = Vec::new();
    for member in &mut item.items {
        match member {
            TraitItem::Fn(function) => methods.push(method(function, errors)),
            other => errors.add(other, messages::ASSOCIATED),
        }
    }
    let parents = item.supertraits.iter().filter_map(parent).cloned().collect();
    Interface { item, name, krate, parents, compact, methods }
}

/// The path given by `crate = "…"` on an impl.
pub(crate) fn servant(attributes: TokenStream) -> syn::Result<Path> {
    let mut krate = default_crate();
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("crate") {
            return Err(unknown(&meta, ON_IMPL));
        }
        krate = crate_path(&meta)?;
        Ok(())
    });
    parser.parse2(attributes)?;
    Ok(krate)
}

fn default_crate() -> Path {
    syn::parse_quote!(::rmi_core)
}

fn crate_path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    meta.value()?.parse::<LitStr>()?.parse_with(Path::parse_mod_style)
}

fn unknown(meta: &ParseNestedMeta<'_>, known: &[&str]) -> syn::Error {
    let name = meta.path.get_ident().map_or_else(String::new, ToString::to_string);
    syn::Error::new_spanned(&meta.path, messages::unknown_attribute(&name, known))
}

fn wire_name(meta: &ParseNestedMeta<'_>) -> syn::Result<(String, proc_macro2::Span)> {
    let literal: LitStr = meta.value()?.parse()?;
    let name = literal.value();
    if name.is_empty() || name.len() > 255 {
        return Err(syn::Error::new_spanned(literal, messages::EMPTY_NAME));
    }
    Ok((name, literal.span()))
}

fn parent(bound: &TypeParamBound) -> Option<&Path> {
    match bound {
        TypeParamBound::Trait(bound) if matches!(bound.modifier, TraitBoundModifier::None) => Some(&bound.path),
        _ => None,
    }
}

fn method(function: &mut TraitItemFn, errors: &mut Errors) -> Method {
    let options = options(&mut function.attrs, errors);
    let cfgs = function.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect();
    let mut arguments = Vec::new();
    for input in &mut function.sig.inputs {
        let FnArg::Typed(input) = input else { continue };
        let defaulted = take_default(&mut input.attrs);
        match &*input.pat {
            Pat::Ident(name) if name.by_ref.is_none() && name.subpat.is_none() => {
                arguments.push(Argument::new(name.ident.clone(), (*input.ty).clone(), defaulted));
            }
            pattern => errors.add(pattern, messages::PATTERN),
        }
    }
    let (sig, output) = (function.sig.clone(), function.sig.output.clone());
    Method { ident: sig.ident.clone(), cfgs, sig, arguments, output, options }
}

/// Takes `#[serde(default)]` off an argument; says whether it was there.
fn take_default(attributes: &mut Vec<Attribute>) -> bool {
    let is_default = |attribute: &Attribute| {
        attribute.path().is_ident("serde")
            && attribute.parse_args::<syn::Ident>().is_ok_and(|argument| argument == "default")
    };
    let found = attributes.iter().any(is_default);
    attributes.retain(|attribute| !is_default(attribute));
    found
}

/// Takes `#[remote(…)]` off a method.
fn options(attributes: &mut Vec<Attribute>, errors: &mut Errors) -> MethodOptions {
    let mut options = MethodOptions::default();
    attributes.retain(|attribute| {
        if !attribute.path().is_ident("remote") {
            return true;
        }
        if let Err(error) = attribute.parse_nested_meta(|meta| option(&mut options, &meta)) {
            errors.push(error);
        }
        false
    });
    options
}

fn option(options: &mut MethodOptions, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
    let name = meta.path.get_ident().map_or_else(String::new, ToString::to_string);
    match name.as_str() {
        "rename" => options.rename = Some(wire_name(meta)?),
        "alias" => options.aliases.push(wire_name(meta)?),
        "idempotent" => options.idempotent = true,
        "oneway" => options.oneway = true,
        "unreliable" => options.unreliable = Some(meta.path.span()),
        "spawn" => options.spawn = true,
        "timeout" => {
            let literal: LitStr = meta.value()?.parse()?;
            let time = milliseconds(&literal.value());
            let time = time.ok_or_else(|| syn::Error::new_spanned(&literal, messages::BAD_TIMEOUT))?;
            options.timeout_ms = Some(time);
        }
        _ => return Err(unknown(meta, ON_METHOD)),
    }
    Ok(())
}

fn milliseconds(text: &str) -> Option<u64> {
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let factor = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor).filter(|time| *time > 0)
}
