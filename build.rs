//! Generates the client of the part of Talos's API that defib speaks. Needs the system's `protoc`.

fn main() -> Result<(), String> {
    let folder = "src/client/talos/wire";
    let proto = format!("{folder}/machine.proto");
    println!("cargo::rerun-if-changed={proto}");
    println!("cargo::rerun-if-env-changed=PROTOC");
    tonic_prost_build::configure().build_server(false).compile_protos(&[proto.as_str()], &[folder]).map_err(|error| {
        format!(
            "{proto} was not compiled: {error}. protoc is in the package protobuf-compiler (Debian, Ubuntu) or protobuf \
             (elsewhere), or is named by the variable PROTOC"
        )
    })
}
