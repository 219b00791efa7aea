//! The moving picture with the nerve over it: overlay, HUD and the window.
