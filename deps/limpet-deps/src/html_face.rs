// SPDX-License-Identifier: Apache-2.0
//! The face of crate `lol_html`. Its handlers call back into C, which may leave the stack in the middle
//! (src/base/fiber.h) and come back later on the same thread; what a handler is given is a pointer
//! that `deps_html_token()` takes until the callback returns.

use crate::guard::{guard, unguarded};
use encoding_rs::Encoding;
use lol_html::html_content::{
    Comment, ContentType, Doctype, DocumentEnd, Element, EndTag, StreamingHandler, StreamingHandlerSink, TextChunk,
};
use lol_html::{
    AsciiCompatibleEncoding, DocumentContentHandlers, ElementContentHandlers, HandlerResult, HtmlRewriter,
    MemorySettings, OutputSink, Selector, Settings,
};
use std::borrow::Cow;
use std::ffi::c_void;
use std::slice;

/// enum deps_html_kind
const ELEMENT: u32 = 1;
const COMMENT: u32 = 2;
const TEXT: u32 = 4;
const DOCTYPE: u32 = 8;
const END: u32 = 16;
const END_TAG: u32 = 32;
const CONTENT: u32 = 64;

/// Content that is written when it is due, and not given with the call.
const LATER: u32 = 2;
const HTML: u32 = 1;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct DepsHtmlCalls {
    ctx: *mut c_void,
    handle: unsafe extern "C" fn(ctx: *mut c_void, id: u32, kind: u32, token: *mut c_void) -> bool,
    output: unsafe extern "C" fn(ctx: *mut c_void, bytes: *const u8, len: usize),
}

// The rewriter and all that it calls stay on one thread.
unsafe impl Send for DepsHtmlCalls {}

impl DepsHtmlCalls {
    fn handle<T>(&self, id: u32, kind: u32, token: &mut T) -> HandlerResult {
        let token: *mut T = token;
        let goes_on = unguarded(|| unsafe { (self.handle)(self.ctx, id, kind, token.cast()) });
        if goes_on { Ok(()) } else { Err("stopped by its handler".into()) }
    }
}

impl OutputSink for DepsHtmlCalls {
    fn handle_chunk(&mut self, chunk: &[u8]) {
        unsafe { (self.output)(self.ctx, chunk.as_ptr(), chunk.len()) };
    }
}

struct Content {
    calls: DepsHtmlCalls,
    id: u32,
    kind: ContentType,
}

/// What a token of kind CONTENT points to.
struct ContentSink<'a, 'b> {
    sink: &'a mut StreamingHandlerSink<'b>,
    kind: ContentType,
}

impl StreamingHandler for Content {
    fn write_all(self: Box<Self>, sink: &mut StreamingHandlerSink<'_>) -> HandlerResult {
        self.calls.handle(self.id, CONTENT, &mut ContentSink { sink, kind: self.kind })
    }
}

pub struct DepsHtml {
    rewriter: Option<HtmlRewriter<'static, DepsHtmlCalls>>,
    calls: DepsHtmlCalls,
    error: String,
}

#[repr(C)]
pub struct DepsHtmlHandler {
    selector: *const u8, // null: of the document
    selector_len: usize,
    kinds: u32,
    id: u32,
}

unsafe fn text<'a>(at: *const u8, len: usize) -> Option<&'a str> {
    if len == 0 {
        return Some("");
    }
    std::str::from_utf8(unsafe { slice::from_raw_parts(at, len) }).ok()
}

fn selector(text: &str) -> Result<Selector, String> {
    text.parse::<Selector>().map_err(|e| e.to_string())
}

fn element_handlers(calls: DepsHtmlCalls, id: u32, kinds: u32) -> ElementContentHandlers<'static> {
    let mut handlers = ElementContentHandlers::default();
    if kinds & ELEMENT != 0 {
        handlers = handlers.element(move |t: &mut Element<'_, '_>| calls.handle(id, ELEMENT, t));
    }
    if kinds & COMMENT != 0 {
        handlers = handlers.comments(move |t: &mut Comment<'_>| calls.handle(id, COMMENT, t));
    }
    if kinds & TEXT != 0 {
        handlers = handlers.text(move |t: &mut TextChunk<'_>| calls.handle(id, TEXT, t));
    }
    handlers
}

fn document_handlers(calls: DepsHtmlCalls, id: u32, kinds: u32) -> DocumentContentHandlers<'static> {
    let mut handlers = DocumentContentHandlers::default();
    if kinds & DOCTYPE != 0 {
        handlers = handlers.doctype(move |t: &mut Doctype<'_>| calls.handle(id, DOCTYPE, t));
    }
    if kinds & COMMENT != 0 {
        handlers = handlers.comments(move |t: &mut Comment<'_>| calls.handle(id, COMMENT, t));
    }
    if kinds & TEXT != 0 {
        handlers = handlers.text(move |t: &mut TextChunk<'_>| calls.handle(id, TEXT, t));
    }
    if kinds & END != 0 {
        handlers = handlers.end(move |t: &mut DocumentEnd<'_>| calls.handle(id, END, t));
    }
    handlers
}

fn build(
    encoding: &[u8], handlers: &[DepsHtmlHandler], memory_max: usize, calls: DepsHtmlCalls,
) -> Result<HtmlRewriter<'static, DepsHtmlCalls>, String> {
    let encoding = Encoding::for_label_no_replacement(encoding).ok_or("no character encoding has this name")?;
    let encoding = AsciiCompatibleEncoding::new(encoding).ok_or("an encoding without ASCII in it cannot be rewritten")?;
    let mut settings = Settings::new()
        .with_encoding(encoding)
        .with_memory_settings(MemorySettings::new().with_max_allowed_memory_usage(memory_max));
    for h in handlers {
        settings = if h.selector.is_null() {
            settings.append_document_content_handler(document_handlers(calls, h.id, h.kinds))
        } else {
            let text = unsafe { text(h.selector, h.selector_len) }.ok_or("a selector is not UTF-8")?;
            settings.append_element_content_handler((Cow::Owned(selector(text)?), element_handlers(calls, h.id, h.kinds)))
        };
    }
    Ok(HtmlRewriter::new(settings, calls))
}

type Ret = unsafe extern "C" fn(ctx: *mut c_void, bytes: *const u8, len: usize);

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_html_selector(at: *const u8, len: usize, ctx: *mut c_void, ret_error: Ret) -> bool {
    let made = guard(|| unsafe { text(at, len) }.ok_or("it is not UTF-8".to_owned()).and_then(|t| selector(t).map(drop)));
    let Err(error) = made.unwrap_or_else(|| Err("the parser gave up".to_owned())) else {
        return true;
    };
    unsafe { ret_error(ctx, error.as_ptr(), error.len()) };
    false
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_html_new(
    encoding: *const u8, encoding_len: usize, handlers: *const DepsHtmlHandler, handlers_len: usize,
    memory_max: usize, calls: *const DepsHtmlCalls, ret_error: Ret,
) -> *mut DepsHtml {
    let calls = unsafe { *calls };
    let made = guard(|| {
        let encoding = if encoding_len == 0 { &[] } else { unsafe { slice::from_raw_parts(encoding, encoding_len) } };
        let handlers = if handlers_len == 0 { &[] } else { unsafe { slice::from_raw_parts(handlers, handlers_len) } };
        build(encoding, handlers, memory_max, calls)
    });
    match made.unwrap_or_else(|| Err("the parser gave up".to_owned())) {
        Ok(rewriter) => Box::into_raw(Box::new(DepsHtml { rewriter: Some(rewriter), calls, error: String::new() })),
        Err(error) => {
            unsafe { ret_error(calls.ctx, error.as_ptr(), error.len()) };
            std::ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_html_run(html: *mut DepsHtml, at: *const u8, len: usize, is_end: bool) -> bool {
    let html = unsafe { &mut *html };
    let done = guard(|| {
        let mut rewriter = html.rewriter.take().ok_or("it has ended")?;
        if len > 0 {
            rewriter.write(unsafe { slice::from_raw_parts(at, len) }).map_err(|e| e.to_string())?;
        }
        if is_end {
            return rewriter.end().map_err(|e| e.to_string());
        }
        html.rewriter = Some(rewriter);
        Ok(())
    });
    match done.unwrap_or_else(|| Err("the parser gave up".to_owned())) {
        Ok(()) => true,
        Err(error) => {
            html.error = error;
            false
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_html_error(html: *const DepsHtml, ret_len: *mut usize) -> *const u8 {
    let html = unsafe { &*html };
    unsafe { *ret_len = html.error.len() };
    html.error.as_ptr()
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_html_free(html: *mut DepsHtml) {
    if !html.is_null() {
        guard(|| drop(unsafe { Box::from_raw(html) }));
    }
}

/// What a token was asked, and what it answers: nothing, a flag or a text.
enum Answer {
    Nothing,
    Flag(bool),
    Text(Option<String>),
    Texts(Vec<String>),
}

/// The arguments of a question.
struct Ask<'a> {
    calls: DepsHtmlCalls,
    flags: u32,
    id: u32,
    a: &'a str,
    b: &'a str,
}

impl Ask<'_> {
    fn kind(&self) -> ContentType {
        if self.flags & HTML != 0 { ContentType::Html } else { ContentType::Text }
    }
    fn later(&self) -> Box<dyn StreamingHandler + Send> {
        Box::new(Content { calls: self.calls, id: self.id, kind: self.kind() })
    }
}

/// `$to.$now(text, kind)` or, for content that comes later, `$to.$then(handler)`.
macro_rules! put {
    ($ask:expr, $to:expr, $now:ident, $then:ident) => {{
        if $ask.flags & LATER != 0 { $to.$then($ask.later()) } else { $to.$now($ask.a, $ask.kind()) }
        Ok(Answer::Nothing)
    }};
}

type Answered = Result<Answer, String>;

fn not_there() -> Answered {
    Err("this is no question for what a handler was given".to_owned())
}

fn refused(e: impl ToString) -> String {
    e.to_string()
}

/// enum deps_html_what
fn ask_element(e: &mut Element<'_, '_>, what: u32, ask: &Ask<'_>) -> Answered {
    match what {
        0 => Ok(Answer::Text(Some(e.tag_name()))),
        1 => e.set_tag_name(ask.a).map(|()| Answer::Nothing).map_err(refused),
        2 => Ok(Answer::Text(Some(e.namespace_uri().to_owned()))),
        3 => Ok(Answer::Flag(e.removed())),
        4 => Ok(Answer::Texts(e.attributes().iter().flat_map(|a| [a.name(), a.value()]).collect())),
        5 => Ok(Answer::Text(e.get_attribute(ask.a))),
        6 => Ok(Answer::Flag(e.has_attribute(ask.a))),
        7 => e.set_attribute(ask.a, ask.b).map(|()| Answer::Nothing).map_err(refused),
        8 => {
            e.remove_attribute(ask.a);
            Ok(Answer::Nothing)
        }
        9 => put!(ask, e, before, streaming_before),
        10 => put!(ask, e, after, streaming_after),
        11 => put!(ask, e, prepend, streaming_prepend),
        12 => put!(ask, e, append, streaming_append),
        13 => put!(ask, e, replace, streaming_replace),
        14 => put!(ask, e, set_inner_content, streaming_set_inner_content),
        15 => {
            e.remove();
            Ok(Answer::Nothing)
        }
        16 => {
            e.remove_and_keep_content();
            Ok(Answer::Nothing)
        }
        17 => {
            let handlers = e.end_tag_handlers().ok_or("this element has no end tag")?;
            let (calls, id) = (ask.calls, ask.id);
            handlers.clear();
            handlers.push(Box::new(move |t: &mut EndTag<'_>| calls.handle(id, END_TAG, t)));
            Ok(Answer::Nothing)
        }
        _ => not_there(),
    }
}

fn ask_end_tag(t: &mut EndTag<'_>, what: u32, ask: &Ask<'_>) -> Answered {
    match what {
        0 => Ok(Answer::Text(Some(t.name()))),
        1 => {
            t.set_name_str(ask.a.to_owned());
            Ok(Answer::Nothing)
        }
        3 => Ok(Answer::Flag(t.removed())),
        9 => put!(ask, t, before, streaming_before),
        10 => put!(ask, t, after, streaming_after),
        13 => put!(ask, t, replace, streaming_replace),
        15 => {
            t.remove();
            Ok(Answer::Nothing)
        }
        _ => not_there(),
    }
}

fn ask_comment(c: &mut Comment<'_>, what: u32, ask: &Ask<'_>) -> Answered {
    match what {
        3 => Ok(Answer::Flag(c.removed())),
        9 => put!(ask, c, before, streaming_before),
        10 => put!(ask, c, after, streaming_after),
        13 => put!(ask, c, replace, streaming_replace),
        15 => {
            c.remove();
            Ok(Answer::Nothing)
        }
        18 => Ok(Answer::Text(Some(c.text()))),
        19 => c.set_text(ask.a).map(|()| Answer::Nothing).map_err(refused),
        _ => not_there(),
    }
}

fn ask_text(t: &mut TextChunk<'_>, what: u32, ask: &Ask<'_>) -> Answered {
    match what {
        3 => Ok(Answer::Flag(t.removed())),
        9 => put!(ask, t, before, streaming_before),
        10 => put!(ask, t, after, streaming_after),
        13 => put!(ask, t, replace, streaming_replace),
        15 => {
            t.remove();
            Ok(Answer::Nothing)
        }
        18 => Ok(Answer::Text(Some(t.as_str().to_owned()))),
        20 => Ok(Answer::Flag(t.last_in_text_node())),
        _ => not_there(),
    }
}

fn ask_doctype(d: &mut Doctype<'_>, what: u32) -> Answered {
    match what {
        0 => Ok(Answer::Text(d.name())),
        3 => Ok(Answer::Flag(d.removed())),
        15 => {
            d.remove();
            Ok(Answer::Nothing)
        }
        21 => Ok(Answer::Text(d.public_id())),
        22 => Ok(Answer::Text(d.system_id())),
        _ => not_there(),
    }
}

/// A piece of content may end in the middle of a character.
fn write_content(c: &mut ContentSink<'_, '_>, bytes: &[u8]) -> Answered {
    c.sink.write_utf8_chunk(bytes, c.kind).map(|()| Answer::Nothing).map_err(refused)
}

unsafe fn ask_token(kind: u32, token: *mut c_void, what: u32, ask: &Ask<'_>) -> Answered {
    match kind {
        ELEMENT => ask_element(unsafe { &mut *token.cast::<Element<'_, '_>>() }, what, ask),
        COMMENT => ask_comment(unsafe { &mut *token.cast::<Comment<'_>>() }, what, ask),
        TEXT => ask_text(unsafe { &mut *token.cast::<TextChunk<'_>>() }, what, ask),
        DOCTYPE => ask_doctype(unsafe { &mut *token.cast::<Doctype<'_>>() }, what),
        END_TAG => ask_end_tag(unsafe { &mut *token.cast::<EndTag<'_>>() }, what, ask),
        END if what == 12 => {
            unsafe { &mut *token.cast::<DocumentEnd<'_>>() }.append(ask.a, ask.kind());
            Ok(Answer::Nothing)
        }
        _ => not_there(),
    }
}

/// A text is u32 1 and its bytes, or u32 0; texts: u32 count, for each u32 length and its bytes.
fn pack(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    match answer {
        Answer::Nothing => {}
        Answer::Flag(is) => out.extend_from_slice(&u32::from(*is).to_le_bytes()),
        Answer::Text(text) => {
            out.extend_from_slice(&u32::from(text.is_some()).to_le_bytes());
            out.extend_from_slice(text.as_deref().unwrap_or_default().as_bytes());
        }
        Answer::Texts(texts) => {
            out.extend_from_slice(&(texts.len() as u32).to_le_bytes());
            for text in texts {
                out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
    out
}

#[repr(C)]
pub struct DepsHtmlAsk {
    what: u32,
    flags: u32,
    id: u32,
    a: *const u8,
    a_len: usize,
    b: *const u8,
    b_len: usize,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn deps_html_token(
    html: *const DepsHtml, kind: u32, token: *mut c_void, ask: *const DepsHtmlAsk, ctx: *mut c_void, ret: Ret,
) -> bool {
    // The rewriter itself is borrowed by the handler that waits.
    let calls = unsafe { (*html).calls };
    let q = unsafe { &*ask };
    let answered = guard(|| {
        if kind == CONTENT {
            let bytes = if q.a_len == 0 { &[] } else { unsafe { slice::from_raw_parts(q.a, q.a_len) } };
            return write_content(unsafe { &mut *token.cast::<ContentSink<'_, '_>>() }, bytes);
        }
        let (a, b) = unsafe { (text(q.a, q.a_len), text(q.b, q.b_len)) };
        let (Some(a), Some(b)) = (a, b) else {
            return Err("it is not UTF-8".to_owned());
        };
        unsafe { ask_token(kind, token, q.what, &Ask { calls, flags: q.flags, id: q.id, a, b }) }
    });
    let (is_good, bytes) = match answered.unwrap_or_else(|| Err("the parser gave up".to_owned())) {
        Ok(answer) => (true, pack(&answer)),
        Err(error) => (false, error.into_bytes()),
    };
    unsafe { ret(ctx, bytes.as_ptr(), bytes.len()) };
    is_good
}
