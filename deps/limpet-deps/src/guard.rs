// SPDX-License-Identifier: Apache-2.0
//! A panic in a crate ends the call, not the process. The first one is told to whoever listens
//! (`deps_on_panic`), later ones are only counted: input that panics can come with every request.

use std::any::Any;
use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Once, OnceLock};

type Told = unsafe extern "C" fn(text: *const u8, len: usize);

static CAUGHT: AtomicU64 = AtomicU64::new(0);
static TOLD: OnceLock<Told> = OnceLock::new();

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// Panics outside of `guard` (Wasmtime's) are reported as they always are.
fn hook_once() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let other = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                other(info);
                return;
            }
            if CAUGHT.fetch_add(1, Ordering::Relaxed) > 0 {
                return;
            }
            let place = info.location().map(ToString::to_string).unwrap_or_default();
            let line = format!("{place}: {}", payload_text(info.payload()));
            if let Some(told) = TOLD.get() {
                unsafe { told(line.as_ptr(), line.len()) };
            }
        }));
    });
}

/// Calls into a crate; None: it panicked.
pub fn guard<T>(call: impl FnOnce() -> T) -> Option<T> {
    hook_once();
    let was = IS_GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    IS_GUARDED.set(was);
    result.ok()
}

/// Calls back into C from inside of `guard`: what happens in there, perhaps on other stacks before it
/// returns, is not the crate's.
pub fn unguarded<T>(call: impl FnOnce() -> T) -> T {
    let was = IS_GUARDED.replace(false);
    let result = call();
    IS_GUARDED.set(was);
    result
}

#[unsafe(no_mangle)]
pub extern "C" fn deps_on_panic(told: Told) {
    let _ = TOLD.set(told);
}

#[unsafe(no_mangle)]
pub extern "C" fn deps_panics() -> u64 {
    CAUGHT.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
pub extern "C" fn deps_panic_is_caught() -> bool {
    guard(|| panic!("asked for by a test")).is_none()
}
