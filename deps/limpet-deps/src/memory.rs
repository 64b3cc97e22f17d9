// SPDX-License-Identifier: Apache-2.0
//! Counts, for each thread, the bytes that crates have on their heap: a crate says little of what it
//! holds for one object, but its caller sees how the count differs after each call.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counted;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn count(by: isize) {
    // A thread that ends frees what it has after its count is gone.
    let _ = HELD.try_with(|held| held.set(held.get().wrapping_add(by)));
}

unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTED: Counted = Counted;

#[unsafe(no_mangle)]
pub extern "C" fn deps_memory() -> isize {
    HELD.try_with(Cell::get).unwrap_or(0)
}
