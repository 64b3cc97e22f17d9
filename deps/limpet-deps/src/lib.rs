// SPDX-License-Identifier: Apache-2.0
//! Published crates with a C face. No logic of ours belongs here: a function converts its
//! arguments, calls one crate inside `guard`, converts the result. The C declarations and the
//! contract are in `limpet_deps.h`.

#[cfg(feature = "wasmtime")]
pub use wasmtime_c_api::*;

pub mod guard;
pub mod html_face;
pub mod memory;
pub mod pattern_face;
pub mod text_face;
pub mod toml_face;
pub mod url_face;
