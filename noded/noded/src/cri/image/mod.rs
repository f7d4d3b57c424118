//! The image service.

mod find;
mod fs_info;
mod list;
mod pull;
mod remove;
mod status;
mod view;

pub(super) use list::all;
pub(super) use pull::pull;
pub(super) use status::status;

use cri::image_service_server::ImageService;
use cri::{
    ImageFsInfoRequest, ImageFsInfoResponse, ImageStatusRequest, ImageStatusResponse, ListImagesRequest, ListImagesResponse,
    PullImageRequest, PullImageResponse, RemoveImageRequest, RemoveImageResponse, StreamImagesRequest, StreamImagesResponse,
};
use tonic::{Request, Response};

use super::stream::{Answers, in_parts};
use super::{Answer, Calls};

#[tonic::async_trait]
impl ImageService for Calls {
    type StreamImagesStream = Answers<StreamImagesResponse>;

    async fn list_images(&self, request: Request<ListImagesRequest>) -> Answer<Response<ListImagesResponse>> {
        self.call("ListImages", request, list::list).await
    }

    async fn stream_images(&self, request: Request<StreamImagesRequest>) -> Answer<Response<Self::StreamImagesStream>> {
        let images = self.call("StreamImages", request, list::all).await?.into_inner();
        Ok(in_parts(images, |images| StreamImagesResponse { images }))
    }

    async fn image_status(&self, request: Request<ImageStatusRequest>) -> Answer<Response<ImageStatusResponse>> {
        self.call("ImageStatus", request, status).await
    }

    async fn pull_image(&self, request: Request<PullImageRequest>) -> Answer<Response<PullImageResponse>> {
        self.told("PullImage", request, |request| pull(&self.node, request)).await
    }

    async fn remove_image(&self, request: Request<RemoveImageRequest>) -> Answer<Response<RemoveImageResponse>> {
        self.call("RemoveImage", request, remove::remove).await
    }

    async fn image_fs_info(&self, request: Request<ImageFsInfoRequest>) -> Answer<Response<ImageFsInfoResponse>> {
        self.call("ImageFsInfo", request, fs_info::fs_info).await
    }
}
