//! The boxes of any bytes: what a video promises is never less than what there is of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sonoplex::source::video_container::Container;

fuzz_target!(|bytes: &[u8]| {
    let container = Container::read(&mut std::io::Cursor::new(bytes)).expect("memory can be read");
    assert!(container.promised.is_none_or(|promised| promised > container.len));
});
