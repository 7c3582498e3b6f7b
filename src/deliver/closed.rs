//! Whether standard output was open when the program began. Rust's runtime opens `/dev/null` in the place of a closed one before
//! `main`, so that what is written there would be lost without an error: this looks before that.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Functions of this section are called in order before `main`, and so before the runtime has touched any file.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    // SAFETY: the number is asked about only, and an error says that nothing is open there.
    let output = unsafe { BorrowedFd::borrow_raw(1) };
    CLOSED.store(rustix::io::fcntl_getfd(output).is_err(), Ordering::Relaxed);
}

/// True where the caller closed it.
pub fn stdout() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
