// SPDX-License-Identifier: Apache-2.0
//! The face of crate `url`.

use crate::guard::guard;
use std::slice;
use url::{Position, Url, quirks};

/// DEPS_URL_BYTES_MAX of limpet_deps.h: whatever an input becomes (three bytes for one, and a base
/// in front), offsets into it fit into i32.
const BYTES_MAX: usize = 64 << 20;

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
    match len {
        0 => Some(""),
        1..=BYTES_MAX => std::str::from_utf8(unsafe { slice::from_raw_parts(ptr, len) }).ok(),
        _ => None,
    }
}

fn give(s: String) -> (*mut u8, u32) {
    let bytes = s.into_bytes().into_boxed_slice();
    let len = bytes.len() as u32;
    (Box::into_raw(bytes) as *mut u8, len)
}

/// Before|AfterPassword are not asked for: they read the byte behind the user name, which need not
/// be there ("foo://"), and take "me@h" for one with a password.
fn record(url: &Url) -> DepsUrl {
    let at = |p: Position| url[..p].len() as u32;
    let username_start = at(Position::BeforeUsername);
    let username_end = username_start + url.username().len() as u32;
    let password = url.password().map(|p| (username_end + 1, username_end + 1 + p.len() as u32));
    let (password_start, password_end) = password.unwrap_or((username_end, username_end));
    DepsUrl {
        scheme_end: at(Position::AfterScheme),
        username_start,
        username_end,
        password_start,
        password_end,
        host_start: at(Position::BeforeHost),
        host_end: at(Position::AfterHost),
        port: url.port().map_or(-1, i32::from),
        path_start: at(Position::BeforePath),
        path_end: at(Position::AfterPath),
        query_start: url.query().map_or(-1, |_| at(Position::BeforeQuery) as i32),
        fragment_start: url.fragment().map_or(-1, |_| at(Position::BeforeFragment) as i32),
        href: std::ptr::null_mut(),
        href_len: 0,
        origin: std::ptr::null_mut(),
        origin_len: 0,
    }
}

/// Runs `make` guarded and fills `ret` with its URL.
unsafe fn answer(ret: *mut DepsUrl, make: impl FnOnce() -> Option<Url>) -> bool {
    let made = guard(|| {
        let url = make()?;
        let (record, origin) = (record(&url), quirks::origin(&url));
        Some((record, String::from(url), origin))
    });
    let Some((mut record, href, origin)) = made.flatten() else { return false };
    (record.href, record.href_len) = give(href);
    (record.origin, record.origin_len) = give(origin);
    unsafe { ret.write(record) };
    true
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_url_parse(
    input: *const u8, input_len: usize, base: *const u8, base_len: usize, ret: *mut DepsUrl,
) -> bool {
    let (Some(input), Some(base)) = (unsafe { text(input, input_len) }, unsafe { text(base, base_len) }) else {
        return false;
    };
    let make = || {
        let base = if base.is_empty() { None } else { Some(Url::parse(base).ok()?) };
        Url::options().base_url(base.as_ref()).parse(input).ok()
    };
    unsafe { answer(ret, make) }
}

/// `part` is `enum deps_url_part` of limpet_deps.h.
fn set(url: &mut Url, part: u32, value: &str) -> Option<()> {
    match part {
        0 => quirks::set_protocol(url, value).ok(),
        1 => quirks::set_username(url, value).ok(),
        2 => quirks::set_password(url, value).ok(),
        3 => quirks::set_host(url, value).ok(),
        4 => quirks::set_hostname(url, value).ok(),
        5 => quirks::set_port(url, value).ok(),
        6 => Some(quirks::set_pathname(url, value)),
        7 => Some(quirks::set_search(url, value)),
        8 => Some(quirks::set_hash(url, value)),
        _ => None,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_url_set(
    href: *const u8, href_len: usize, part: u32, value: *const u8, value_len: usize, ret: *mut DepsUrl,
) -> bool {
    let (Some(href), Some(value)) = (unsafe { text(href, href_len) }, unsafe { text(value, value_len) }) else {
        return false;
    };
    let make = || {
        let mut url = Url::parse(href).ok()?;
        set(&mut url, part, value)?;
        // What a setter leaves is believed only if it is a URL that says the same.
        Url::parse(url.as_str()).ok().filter(|again| again.as_str() == url.as_str())
    };
    unsafe { answer(ret, make) }
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
