//! Compiles the messages of the two protocols that the lab speaks: Talos's APIs, as a server, and the container runtime's,
//! as a client. Needs the system's `protoc`.

fn main() -> std::io::Result<()> {
    let talos = "../../src/client/talos/wire";
    let protos = ["machine", "time", "state"].map(|name| format!("{talos}/{name}.proto"));
    let runtime = "src/machined/wire/runtime.proto";
    for proto in protos.iter().map(String::as_str).chain([runtime]) {
        println!("cargo::rerun-if-changed={proto}");
    }
    tonic_prost_build::configure().build_client(false).compile_protos(&protos, &[talos.to_owned()])?;
    tonic_prost_build::configure().build_server(false).compile_protos(&[runtime], &["src/machined/wire"])
}
