// SPDX-License-Identifier: Apache-2.0
//! The face of crate `urlpattern`: it parses; whoever asks runs the regular expressions.

use crate::guard::guard;
use std::slice;
use urlpattern::quirks::{self, StringOrInit, UrlPatternInit};
use urlpattern::regexp::RegExp;
use urlpattern::{RegexSyntax, UrlPatternOptions};

/// DEPS_PATTERN_BYTES_MAX and DEPS_PATTERN_INPUT_MAX of limpet_deps.h.
const BYTES_MAX: usize = 64 << 10;
const INPUT_MAX: usize = 1 << 20;
const ABSENT: u32 = u32::MAX;
/// The regular expression of a protocol is the only one that is run here, against six words.
const PROTOCOL_REGEX_BYTES: usize = 256 << 10;

/// A regular expression of ECMAScript, as text.
struct Text(String);

impl RegExp for Text {
    fn syntax() -> RegexSyntax {
        RegexSyntax::EcmaScript
    }
    fn parse(pattern: &str, _flags: &str, _force_eval: bool) -> Result<Self, ()> {
        Ok(Text(pattern.to_owned()))
    }
    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let compiled = regex::RegexBuilder::new(&self.0).size_limit(PROTOCOL_REGEX_BYTES).build().ok()?;
        compiled.is_match(text).then(Vec::new)
    }
    fn pattern_string(&self) -> &str {
        &self.0
    }
}

/// Packed texts: u32 count, then for each u32 length and its bytes; length u32::MAX: there is none.
fn unpack(mut bytes: &[u8]) -> Option<Vec<Option<&str>>> {
    let number = |from: &mut &[u8]| -> Option<u32> {
        let (head, rest) = from.split_first_chunk::<4>()?;
        *from = rest;
        Some(u32::from_le_bytes(*head))
    };
    let count = number(&mut bytes)?;
    let mut texts = Vec::new();
    for _ in 0..count {
        let len = number(&mut bytes)?;
        if len == ABSENT {
            texts.push(None);
            continue;
        }
        let (text, rest) = bytes.split_at_checked(len as usize)?;
        bytes = rest;
        texts.push(Some(std::str::from_utf8(text).ok()?));
    }
    Some(texts)
}

fn pack(texts: &[&str]) -> Vec<u8> {
    let mut out = (texts.len() as u32).to_le_bytes().to_vec();
    for text in texts {
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// Two texts: a string and its base; nine: the members of a URLPatternInit.
fn input<'a>(texts: &[Option<&'a str>]) -> Option<(StringOrInit<'a>, Option<&'a str>)> {
    match texts {
        [Some(text), base] => Some((StringOrInit::String((*text).into()), *base)),
        [protocol, username, password, hostname, port, pathname, search, hash, base_url] => {
            let own = |text: &Option<&str>| text.map(str::to_owned);
            let init = UrlPatternInit {
                protocol: own(protocol),
                username: own(username),
                password: own(password),
                hostname: own(hostname),
                port: own(port),
                pathname: own(pathname),
                search: own(search),
                hash: own(hash),
                base_url: own(base_url),
            };
            Some((StringOrInit::Init(init), None))
        }
        _ => None,
    }
}

fn pattern(texts: &[Option<&str>], ignore_case: bool) -> Result<Vec<u8>, String> {
    let (input, base) = input(texts).ok_or("a pattern is a text or an object with its parts")?;
    let init = match input {
        StringOrInit::String(text) => {
            let base = base.map(url::Url::parse).transpose().map_err(|e| e.to_string())?;
            urlpattern::UrlPatternInit::parse_constructor_string::<Text>(&text, base)
        }
        init => quirks::process_construct_pattern_input(init, base),
    };
    let options = UrlPatternOptions { regex_syntax: RegexSyntax::EcmaScript, ignore_case };
    let made = init.and_then(|init| quirks::parse_pattern::<Text>(init, options)).map_err(|e| e.to_string())?;
    let parts = [
        &made.protocol, &made.username, &made.password, &made.hostname, &made.port, &made.pathname,
        &made.search, &made.hash,
    ];
    let counts: Vec<String> = parts.iter().map(|p| p.group_name_list.len().to_string()).collect();
    let mut out = vec![if made.has_regexp_groups { "1" } else { "0" }];
    for (part, count) in parts.iter().zip(&counts) {
        out.extend([part.pattern_string.as_str(), part.regexp_string.as_str(), count.as_str()]);
        out.extend(part.group_name_list.iter().map(String::as_str));
    }
    Ok(pack(&out))
}

/// What cannot be matched is no error: empty.
fn matched(texts: &[Option<&str>]) -> Result<Vec<u8>, String> {
    let (input, base) = input(texts).ok_or("what is matched is a text or an object with its parts")?;
    let found = quirks::process_match_input(input, base).map_err(|e| e.to_string())?;
    let Some(parts) = found.and_then(|(input, _)| quirks::parse_match_input(input)) else {
        return Ok(Vec::new());
    };
    Ok(pack(&[
        &parts.protocol, &parts.username, &parts.password, &parts.hostname, &parts.port, &parts.pathname,
        &parts.search, &parts.hash,
    ]))
}

/// `what` is `enum deps_pattern_what`. Whatever comes of it, `ret` is bytes that are released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_pattern(
    what: u32, packed: *const u8, len: usize, ret: *mut *mut u8, ret_len: *mut usize,
) -> bool {
    const MATCHED: u32 = 2;
    let max = if what == MATCHED { INPUT_MAX } else { BYTES_MAX };
    let made = if len > max {
        Err("the text is too long".to_owned())
    } else {
        let packed = if len == 0 { &[][..] } else { unsafe { slice::from_raw_parts(packed, len) } };
        let made = guard(|| {
            let texts = unpack(packed).ok_or("not packed texts")?;
            if what == MATCHED { matched(&texts) } else { pattern(&texts, what == 1) }
        });
        made.unwrap_or_else(|| Err("the pattern could not be read".to_owned()))
    };
    let is_ok = made.is_ok();
    let bytes = made.unwrap_or_else(String::into_bytes).into_boxed_slice();
    unsafe { (ret_len.write(bytes.len()), ret.write(Box::into_raw(bytes) as *mut u8)) };
    is_ok
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_pattern_done(bytes: *mut u8, len: usize) {
    drop(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(bytes, len)) });
}
