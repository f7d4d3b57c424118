//! The health check of gRPC (grpc.health.v1).

use std::time::Duration;

use api::kinds::pod::container::GrpcAction;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic_prost::ProstCodec;

/// `HealthCheckRequest`: the service that is meant, or all of them.
#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Names of `HealthCheckResponse.ServingStatus`, by their numbers.
const STATES: [&str; 4] = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];
const SERVING: i32 = 1;

/// Asks whether a service serves, without TLS, as the kubelet does.
pub(super) async fn check(grpc: &GrpcAction, ip: &str, timeout: Duration) -> Result<(), String> {
    let port = u16::try_from(grpc.port).map_err(|_| format!("{} is no port", grpc.port))?;
    let host = if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") };
    let failed = |error: &dyn std::error::Error| {
        let last = std::iter::successors(Some(error), |error| error.source()).last();
        format!("ask {host}: {}", last.map_or_else(String::new, ToString::to_string))
    };
    let endpoint = Endpoint::from_shared(format!("http://{host}")).map_err(|error| failed(&error))?;
    let endpoint = endpoint.connect_timeout(timeout).timeout(timeout).tcp_nodelay(true);
    let mut client = tonic::client::Grpc::new(endpoint.connect().await.map_err(|error| failed(&error))?);
    client.ready().await.map_err(|error| failed(&error))?;
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let question = tonic::Request::new(Question { service: grpc.service.clone() });
    let answer: Result<tonic::Response<Answer>, tonic::Status> = client.unary(question, path, ProstCodec::default()).await;
    let status = match answer {
        Ok(answer) => answer.into_inner().status,
        Err(status) => return Err(format!("ask {host}: {:?}: {}", status.code(), status.message())),
    };
    if status == SERVING {
        return Ok(());
    }
    let name = usize::try_from(status).ok().and_then(|at| STATES.get(at)).copied().unwrap_or("of no known kind");
    Err(format!("service unhealthy (responded with {name:?})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that knows two services.
    #[derive(Clone)]
    struct Health;

    impl tonic::server::UnaryService<Question> for Health {
        type Response = Answer;
        type Future = std::future::Ready<Result<tonic::Response<Answer>, tonic::Status>>;

        fn call(&mut self, request: tonic::Request<Question>) -> Self::Future {
            std::future::ready(match request.into_inner().service.as_str() {
                "" => Ok(tonic::Response::new(Answer { status: SERVING })),
                "ill" => Ok(tonic::Response::new(Answer { status: 2 })),
                other => Err(tonic::Status::not_found(format!("no {other}"))),
            })
        }
    }

    async fn serve() -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = hyper::service::service_fn(|request| async {
                    let mut grpc = tonic::server::Grpc::new(ProstCodec::<Answer, Question>::default());
                    Ok::<_, std::convert::Infallible>(grpc.unary(Health, request).await)
                });
                let connection = hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
                tokio::spawn(connection.serve_connection(hyper_util::rt::TokioIo::new(stream), service));
            }
        });
        port
    }

    #[tokio::test]
    async fn only_who_serves_is_well() {
        let port = i32::from(serve().await);
        let ask = async |service: &str, port| {
            let grpc = GrpcAction { port, service: service.to_owned() };
            check(&grpc, "127.0.0.1", Duration::from_secs(5)).await
        };
        assert_eq!(ask("", port).await, Ok(()));
        assert_eq!(ask("ill", port).await.unwrap_err(), "service unhealthy (responded with \"NOT_SERVING\")");
        assert!(ask("else", port).await.unwrap_err().ends_with("NotFound: no else"));
        assert!(ask("", 1).await.unwrap_err().contains("127.0.0.1:1: "));
    }
}
