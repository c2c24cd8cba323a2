//! How much memory is taken.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};

/// Counts the bytes that are allocated and not freed.
struct Counting;

static ALLOCATED: AtomicIsize = AtomicIsize::new(0);

/// Counting takes time, so it is done only while memory is measured.
static COUNTS: AtomicBool = AtomicBool::new(false);

fn count(bytes: usize, sign: isize) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATED.fetch_add(sign * bytes.cast_signed(), Ordering::Relaxed);
    }
}

#[allow(unsafe_code, reason = "an allocator is unsafe by its nature; this one only counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(layout.size(), -1);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(layout.size(), -1);
        count(size, 1);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The bytes that `work` allocates and does not free.
pub fn taken_by(work: impl FnOnce()) -> isize {
    COUNTS.store(true, Ordering::Relaxed);
    let before = ALLOCATED.load(Ordering::Relaxed);
    work();
    COUNTS.store(false, Ordering::Relaxed);
    ALLOCATED.load(Ordering::Relaxed) - before
}
