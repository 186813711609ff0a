//! Talos's messages and its service, generated from `machine.proto`.

#![expect(unreachable_pub, clippy::allow_attributes, clippy::allow_attributes_without_reason, reason = "generated")]

tonic::include_proto!("machine");
