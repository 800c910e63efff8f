//! Counts allocated memory, and ends the program when one execution holds more than its bound, so that the fuzzer
//! keeps the input. Without a sanitizer, libFuzzer itself sees no allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most memory that one execution may add to what was allocated before it. Inputs are some KB.
const BOUND_BYTES: usize = 16 << 20;

static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

impl Counting {
    fn add(size: usize) {
        let held = HELD.fetch_add(size, Ordering::Relaxed) + size;
        // A panic looks up the names of all functions, which takes more than any execution.
        if held > MOST.load(Ordering::Relaxed) && !std::thread::panicking() {
            MOST.store(usize::MAX, Ordering::Relaxed);
            eprintln!("an execution holds more than its {BOUND_BYTES} bytes");
            std::process::abort();
        }
    }
}

// SAFETY: all of it is the system's allocator; what is counted changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Counting::add(size);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

/// Runs one execution within the bound.
pub fn bounded(run: impl FnOnce()) {
    MOST.store(HELD.load(Ordering::Relaxed) + BOUND_BYTES, Ordering::Relaxed);
    run();
    MOST.store(usize::MAX, Ordering::Relaxed);
}
