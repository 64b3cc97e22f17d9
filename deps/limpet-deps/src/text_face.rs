// SPDX-License-Identifier: Apache-2.0
//! The face of crate `encoding_rs`: the WHATWG's Encoding standard.

use crate::guard::guard;
use encoding_rs::{CoderResult, Decoder, DecoderResult, Encoding, REPLACEMENT};
use std::slice;

/// DEPS_TEXT_PIECE_MAX of limpet_deps.h.
const PIECE_MAX: usize = 1 << 20;

pub struct DepsText {
    decoder: Decoder,
    is_fatal: bool,
}

unsafe fn bytes<'a>(ptr: *const u8, len: usize) -> &'a [u8] {
    match len {
        0 => &[],
        _ => unsafe { slice::from_raw_parts(ptr, len) },
    }
}

fn find(label: &[u8]) -> Option<&'static Encoding> {
    let found = guard(|| Encoding::for_label(label)).flatten();
    found.filter(|e| *e != REPLACEMENT)
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_text_encoding(label: *const u8, len: usize, ret_len: *mut usize) -> *const u8 {
    let Some(found) = find(unsafe { bytes(label, len) }) else { return std::ptr::null() };
    let name = found.name();
    unsafe { ret_len.write(name.len()) };
    name.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_text_new(label: *const u8, len: usize, is_fatal: bool) -> *mut DepsText {
    let Some(found) = find(unsafe { bytes(label, len) }) else { return std::ptr::null_mut() };
    match guard(|| found.new_decoder_without_bom_handling()) {
        Some(decoder) => Box::into_raw(Box::new(DepsText { decoder, is_fatal })),
        None => std::ptr::null_mut(),
    }
}

/// Mirrors `enum deps_text_status` of limpet_deps.h.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_text_run(
    text: *mut DepsText, input: *const u8, len: usize, is_last: bool, out: *mut u8, room: usize,
    ret_read: *mut usize, ret_written: *mut usize,
) -> u32 {
    const DONE: u32 = 0;
    const FULL: u32 = 1;
    const MALFORMED: u32 = 2;
    const FAILED: u32 = 3;
    if len > PIECE_MAX || room > PIECE_MAX {
        return FAILED;
    }
    let text = unsafe { &mut *text };
    let input = unsafe { bytes(input, len) };
    let out = unsafe { slice::from_raw_parts_mut(out, room) };
    let made = guard(|| {
        if text.is_fatal {
            let (result, read, written) = text.decoder.decode_to_utf8_without_replacement(input, out, is_last);
            let status = match result {
                DecoderResult::InputEmpty => DONE,
                DecoderResult::OutputFull => FULL,
                DecoderResult::Malformed(..) => MALFORMED,
            };
            return (status, read, written);
        }
        let (result, read, written, _) = text.decoder.decode_to_utf8(input, out, is_last);
        (if result == CoderResult::InputEmpty { DONE } else { FULL }, read, written)
    });
    let Some((status, read, written)) = made else { return FAILED };
    unsafe { (ret_read.write(read), ret_written.write(written)) };
    status
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_text_free(text: *mut DepsText) {
    if !text.is_null() {
        drop(unsafe { Box::from_raw(text) });
    }
}
