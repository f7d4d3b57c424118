//! Generates the messages and services of `proto/`, without a protoc binary.

/// What pods and containers are made of: these can be shown as JSON, too, as Go writes them.
const SHOWN: [&str; 26] = [
    "PodSandboxConfig",
    "PodSandboxMetadata",
    "DNSConfig",
    "PortMapping",
    "LinuxPodSandboxConfig",
    "LinuxSandboxSecurityContext",
    "ContainerConfig",
    "ContainerMetadata",
    "ImageSpec",
    "KeyValue",
    "Mount",
    "Device",
    "CDIDevice",
    "LinuxContainerConfig",
    "LinuxContainerResources",
    "HugepageLimit",
    "LinuxContainerSecurityContext",
    "Capability",
    "NamespaceOption",
    "UserNamespace",
    "IDMapping",
    "Int64Value",
    "SELinuxOption",
    // Its fields one by one: its enum has none.
    "SecurityProfile",
    "SecurityProfile.profile_type",
    "SecurityProfile.localhost_ref",
];

/// Fields whose names are not those that the generator gives them, and one that is text though it may be any bytes.
const FIELDS: [(&str, &str); 4] = [
    ("Mount.uidMappings", r#"rename = "uidMappings""#),
    ("Mount.gidMappings", r#"rename = "gidMappings""#),
    ("ContainerConfig.CDI_devices", r#"rename = "CDI_devices""#),
    ("KeyValue.value", r#"serialize_with = "crate::shown::text""#),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["runtime.proto"], ["proto"])?;
    // Ordered maps: the same message has always the same bytes, so it can be kept and compared.
    let mut builder = tonic_prost_build::configure().btree_map(".");
    let path = |name: &str| format!(".runtime.v1.{name}");
    for name in SHOWN {
        let is_field = name.contains('.');
        if !is_field {
            builder = builder.type_attribute(path(name), "#[derive(serde::Serialize)]");
        }
        if is_field || name != "SecurityProfile" {
            builder = builder.field_attribute(path(name), r#"#[serde(skip_serializing_if = "crate::shown::is_nothing")]"#);
        }
    }
    for (name, attribute) in FIELDS {
        builder = builder.field_attribute(path(name), format!("#[serde({attribute})]"));
    }
    builder.compile_fds(files)?;
    Ok(())
}
