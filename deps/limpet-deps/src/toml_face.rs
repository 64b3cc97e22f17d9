// SPDX-License-Identifier: Apache-2.0
//! The face of crate `toml`: a document as JSON text, with the place of each member in the source.

use crate::guard::guard;
use std::slice;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// DEPS_TOML_BYTES_MAX of limpet_deps.h.
const BYTES_MAX: usize = 4 << 20;

/// Mirrors `struct deps_toml` of limpet_deps.h, which documents the fields.
#[repr(C)]
pub struct DepsToml {
    text: *mut u8,
    text_len: u32,
    places: *mut u32,
    places_len: u32,
    error_at: u32,
}

fn give<T>(values: Vec<T>) -> (*mut T, u32) {
    let boxed = values.into_boxed_slice();
    let len = boxed.len() as u32;
    (Box::into_raw(boxed) as *mut T, len)
}

fn quote(s: &str, out: &mut String) {
    out.push('"');
    for c in s.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// JSON has no other radix than ten, and no infinities.
fn number(digits: &str, radix: u32) -> String {
    match i64::from_str_radix(digits, radix) {
        Ok(n) => n.to_string(),
        Err(_) => "null".to_string(),
    }
}

fn value(v: &DeValue<'_>, out: &mut String, places: &mut Vec<u32>) {
    match v {
        DeValue::String(s) => quote(s, out),
        DeValue::Integer(i) => out.push_str(&number(i.as_str(), i.radix())),
        DeValue::Float(f) => match f.as_str().parse::<f64>() {
            Ok(f) if f.is_finite() => out.push_str(&format!("{f:?}")),
            _ => out.push_str("null"),
        },
        DeValue::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
        DeValue::Datetime(d) => quote(&d.to_string(), out),
        DeValue::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { "," } else { "" });
                value(item.get_ref(), out, places);
            }
            out.push(']');
        }
        DeValue::Table(t) => table(t, out, places),
    }
}

/// In the order of the source.
fn table(t: &DeTable<'_>, out: &mut String, places: &mut Vec<u32>) {
    let mut members: Vec<(&Spanned<_>, &Spanned<DeValue<'_>>)> = t.iter().collect();
    members.sort_by_key(|(key, _)| key.span().start);
    out.push('{');
    for (i, (key, v)) in members.into_iter().enumerate() {
        out.push_str(if i > 0 { "," } else { "" });
        places.push(key.span().start as u32);
        quote(key.get_ref(), out);
        out.push(':');
        value(v.get_ref(), out, places);
    }
    out.push('}');
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_toml_to_json(input: *const u8, len: usize, ret: *mut DepsToml) -> bool {
    let parsed = guard(|| {
        let bytes = match len {
            0 => &[][..],
            1..=BYTES_MAX => unsafe { slice::from_raw_parts(input, len) },
            _ => return Err(("it is too large".to_string(), 0)),
        };
        let text = std::str::from_utf8(bytes).map_err(|e| ("it is not UTF-8 text".to_string(), e.valid_up_to()))?;
        let doc = DeTable::parse(text).map_err(|e| (e.message().to_string(), e.span().map_or(0, |s| s.start)))?;
        let (mut out, mut places) = (String::new(), Vec::new());
        table(doc.get_ref(), &mut out, &mut places);
        Ok((out, places))
    });
    let (is_good, text, places, at) = match parsed {
        Some(Ok((text, places))) => (true, text, places, 0),
        Some(Err((message, at))) => (false, message, Vec::new(), at),
        None => (false, "the parser failed on it".to_string(), Vec::new(), 0),
    };
    let (text, text_len) = give(text.into_bytes());
    let (places, places_len) = give(places);
    unsafe { ret.write(DepsToml { text, text_len, places, places_len, error_at: at as u32 }) };
    is_good
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_toml_done(toml: *mut DepsToml) {
    let toml = unsafe { &mut *toml };
    if !toml.text.is_null() {
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(toml.text, toml.text_len as usize)) });
        drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(toml.places, toml.places_len as usize)) });
        toml.text = std::ptr::null_mut();
    }
}
