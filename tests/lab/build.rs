//! Compiles the messages of the two protocols that the lab speaks: Talos's machine API, as a server, and the container
//! runtime's, as a client. Needs the system's `protoc`.

fn main() -> std::io::Result<()> {
    let machine = "../../src/client/talos/wire/machine.proto";
    let runtime = "src/machined/wire/runtime.proto";
    println!("cargo::rerun-if-changed={machine}");
    println!("cargo::rerun-if-changed={runtime}");
    tonic_prost_build::configure().build_client(false).compile_protos(&[machine], &["../../src/client/talos/wire"])?;
    tonic_prost_build::configure().build_server(false).compile_protos(&[runtime], &["src/machined/wire"])
}
