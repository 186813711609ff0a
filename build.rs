//! Generates the client of the part of Talos's API that defib speaks. Needs the system's `protoc`.

fn main() -> Result<(), String> {
    let folder = "src/client/talos/wire";
    let protos = ["machine", "time", "state"].map(|name| format!("{folder}/{name}.proto"));
    for proto in &protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    println!("cargo::rerun-if-env-changed=PROTOC");
    tonic_prost_build::configure().build_server(false).compile_protos(&protos, &[folder.to_owned()]).map_err(|error| {
        format!(
            "{folder} was not compiled: {error}. protoc is in the package protobuf-compiler (Debian, Ubuntu) or protobuf \
             (elsewhere), or is named by the variable PROTOC"
        )
    })
}
