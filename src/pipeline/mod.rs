//! Moves frames from the source to the segmenter, the display and the recorder; stops cleanly.
