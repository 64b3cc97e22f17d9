// SPDX-License-Identifier: Apache-2.0
//! Published crates with a C face. No logic of ours belongs here: a function converts its
//! arguments, calls one crate, converts the result. The C declarations are in `limpet_deps.h`.

pub use wasmtime_c_api::*;

use std::slice;
use url::{Position, Url, quirks};

/// Mirrors `struct deps_url` of limpet_deps.h, which documents the fields.
#[repr(C)]
pub struct DepsUrl {
    href: *mut u8,
    href_len: u32,
    scheme_end: u32,
    username_start: u32,
    username_end: u32,
    password_start: u32,
    password_end: u32,
    host_start: u32,
    host_end: u32,
    port: i32,
    path_start: u32,
    path_end: u32,
    query_start: i32,
    fragment_start: i32,
    origin: *mut u8,
    origin_len: u32,
}

unsafe fn text<'a>(ptr: *const u8, len: usize) -> Option<&'a str> {
    if len == 0 {
        return Some("");
    }
    std::str::from_utf8(unsafe { slice::from_raw_parts(ptr, len) }).ok()
}

fn give(s: String) -> (*mut u8, u32) {
    let bytes = s.into_bytes().into_boxed_slice();
    let len = bytes.len() as u32;
    (Box::into_raw(bytes) as *mut u8, len)
}

fn fill(url: Url, ret: &mut DepsUrl) {
    let at = |p: Position| url[..p].len() as u32;
    ret.scheme_end = at(Position::AfterScheme);
    ret.username_start = at(Position::BeforeUsername);
    ret.username_end = at(Position::AfterUsername);
    ret.password_start = at(Position::BeforePassword);
    ret.password_end = at(Position::AfterPassword);
    ret.host_start = at(Position::BeforeHost);
    ret.host_end = at(Position::AfterHost);
    ret.port = url.port().map_or(-1, i32::from);
    ret.path_start = at(Position::BeforePath);
    ret.path_end = at(Position::AfterPath);
    ret.query_start = if url.query().is_some() { at(Position::BeforeQuery) as i32 } else { -1 };
    ret.fragment_start = if url.fragment().is_some() { at(Position::BeforeFragment) as i32 } else { -1 };
    (ret.origin, ret.origin_len) = give(quirks::origin(&url));
    (ret.href, ret.href_len) = give(url.into());
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_url_parse(
    input: *const u8, input_len: usize, base: *const u8, base_len: usize, ret: *mut DepsUrl,
) -> bool {
    let (Some(input), Some(base)) = (unsafe { text(input, input_len) }, unsafe { text(base, base_len) }) else {
        return false;
    };
    let base = if base.is_empty() { Ok(None) } else { Url::parse(base).map(Some) };
    match base.and_then(|base| Url::options().base_url(base.as_ref()).parse(input)) {
        Ok(url) => { fill(url, unsafe { &mut *ret }); true }
        Err(_) => false,
    }
}

/// `part` is `enum deps_url_part` of limpet_deps.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_url_set(
    href: *const u8, href_len: usize, part: u32, value: *const u8, value_len: usize, ret: *mut DepsUrl,
) -> bool {
    let (Some(href), Some(value)) = (unsafe { text(href, href_len) }, unsafe { text(value, value_len) }) else {
        return false;
    };
    let Ok(mut url) = Url::parse(href) else { return false };
    let done = match part {
        0 => quirks::set_protocol(&mut url, value).is_ok(),
        1 => quirks::set_username(&mut url, value).is_ok(),
        2 => quirks::set_password(&mut url, value).is_ok(),
        3 => quirks::set_host(&mut url, value).is_ok(),
        4 => quirks::set_hostname(&mut url, value).is_ok(),
        5 => quirks::set_port(&mut url, value).is_ok(),
        6 => { quirks::set_pathname(&mut url, value); true }
        7 => { quirks::set_search(&mut url, value); true }
        8 => { quirks::set_hash(&mut url, value); true }
        _ => false,
    };
    if done {
        fill(url, unsafe { &mut *ret });
    }
    done
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_url_done(url: *mut DepsUrl) {
    let url = unsafe { &mut *url };
    for (ptr, len) in [(&mut url.href, url.href_len), (&mut url.origin, url.origin_len)] {
        if !ptr.is_null() {
            drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(*ptr, len as usize)) });
            *ptr = std::ptr::null_mut();
        }
    }
}
