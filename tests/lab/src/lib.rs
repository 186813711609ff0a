//! stub
mod https;
pub mod layout;
pub mod vip;
pub mod drill;
