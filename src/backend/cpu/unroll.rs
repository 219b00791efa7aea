//! Hints for the compiler where it would make too much of a loop, or too little.

/// Does something for every number below a constant, which is at most 28, in straight code.
///
/// The compiler unrolls no loop that is long, and what a loop indexes cannot stay in registers.
macro_rules! unrolled {
    ($i:ident in $count:ident $body:block) => {
        unrolled!($i $count $body: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27)
    };
    ($i:ident $count:ident $body:block: $($n:literal)*) => {
        $(if $n < $count {
            let $i = $n;
            $body
        })*
    };
}

pub(super) use unrolled;

/// The same pointer, of which the compiler knows no more than that.
///
/// Else it finds that all addresses of an unrolled loop depend on the same few numbers and keeps each of them, dozens,
/// from one round to the next: more than there are registers.
#[allow(clippy::pointers_in_nomem_asm_block)] // it does not read what is there
#[inline(always)]
pub(super) fn opaque<T>(mut pointer: *const T) -> *const T {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    // SAFETY: it does nothing.
    unsafe {
        std::arch::asm!("/* {0} */", inout(reg) pointer, options(pure, nomem, nostack, preserves_flags));
    }
    pointer
}
