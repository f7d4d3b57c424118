//! Generates the messages and services of `proto/`, without a protoc binary.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["runtime.proto"], ["proto"])?;
    // Ordered maps: the same message has always the same bytes, so it can be kept and compared.
    tonic_prost_build::configure().btree_map(".").compile_fds(files)?;
    Ok(())
}
