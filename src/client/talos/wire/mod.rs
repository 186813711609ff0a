//! Talos's messages and its services, generated from `machine.proto`, `time.proto` and `state.proto`.

#![expect(unreachable_pub, clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated")]

mod machine {
    tonic::include_proto!("machine");
}

pub mod time {
    tonic::include_proto!("time");
}

pub mod state {
    tonic::include_proto!("cosi.resource");
}

pub use machine::*;
