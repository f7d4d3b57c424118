//! ImageFsInfo.

use cri::{FilesystemIdentifier, FilesystemUsage, ImageFsInfoRequest, ImageFsInfoResponse, UInt64Value};

use crate::cri::{Answer, status};
use crate::node::Node;

/// What images take. Containers write to the same file system, which is told by both lists naming the same folder.
pub(super) fn fs_info(node: &Node, _: ImageFsInfoRequest) -> Answer<ImageFsInfoResponse> {
    let store = node.engine().images();
    let used = store.usage().map_err(|error| status::of_image(&error))?;
    let usage = FilesystemUsage {
        timestamp: i64::try_from(engine::now()).unwrap_or(i64::MAX),
        fs_id: Some(FilesystemIdentifier { mountpoint: store.root().display().to_string() }),
        used_bytes: Some(UInt64Value { value: used.bytes }),
        inodes_used: Some(UInt64Value { value: used.inodes }),
    };
    Ok(ImageFsInfoResponse { image_filesystems: vec![usage.clone()], container_filesystems: vec![usage] })
}
