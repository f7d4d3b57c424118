//! HTTP to a pod, or to a pod behind a service, through the API server: the node dials the pod's address, and what is said there is carried.
//!
//! A name is `[http:]NAME[:PORT]`. The client's own credentials stay here. Of nodes nothing is served, and no TLS is spoken with pods.

use api::kinds::endpoints::{ENDPOINT_SLICE, EndpointSlice};
use api::kinds::pod::{POD, Pod};
use api::kinds::service::{SERVICE, Service};
use api::kinds::view;
use api::status::Status;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::{Method, Request, Response, StatusCode, Uri};

use super::answer::{self, Body};
use super::pods::carry;
use super::route::Call;

/// Where a request goes.
#[derive(Debug, PartialEq)]
struct Place {
    node: String,
    uid: String,
    host: String,
    port: u16,
}

/// A name's parts: the object's, and its port.
fn parts(name: &str) -> Result<(&str, &str), Status> {
    let wrong = || Status::bad_request(format!("invalid proxy request {name:?}: must be [http:]NAME[:PORT]"));
    match name.split(':').collect::<Vec<_>>().as_slice() {
        ["https", _, ..] => Err(Status::bad_request("https is not spoken with pods: only http")),
        [name] => Ok((name, "")),
        [name, port] | ["http" | "", name, port] => Ok((name, port)),
        _ => Err(wrong()),
    }
}

fn number(port: &str) -> Result<u16, Status> {
    let port = port.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| Status::bad_request("the port of a pod must be a number from 1 to 65535"))
}

/// A pod's place: its first port, if none is named.
fn of_pod(pod: &Pod, port: &str) -> Result<Place, Status> {
    let first = || pod.spec.containers.iter().find_map(|c| c.ports.first()).and_then(|p| u16::try_from(p.container_port).ok());
    let port = if port.is_empty() { first().unwrap_or(80) } else { number(port)? };
    if pod.status.pod_ip.is_empty() || pod.is_done() {
        return Err(Status::unavailable(format!("address of pod {} is not known: it does not run", pod.metadata.name)));
    }
    Ok(Place { node: pod.spec.node_name.clone(), uid: pod.metadata.uid.clone(), host: pod.status.pod_ip.clone(), port })
}

/// Names of the pods behind a port of a service, and their ports: by name or number; the one port that has no name, if none is named.
fn of_service(service: &Service, slices: &[EndpointSlice], port: &str) -> Result<Vec<(String, String)>, Status> {
    let name = match port.parse::<i32>() {
        Ok(number) => {
            let known = service.spec.ports.iter().find(|known| known.port == number);
            let none = || Status::unavailable(format!("no service port {number} found for service {:?}", service.metadata.name));
            known.ok_or_else(none)?.name.clone()
        }
        Err(_) => port.to_owned(),
    };
    let own = |slice: &&EndpointSlice| slice.metadata.labels.get("kubernetes.io/service-name") == Some(&service.metadata.name);
    let mut pods = Vec::new();
    for slice in slices.iter().filter(own) {
        let known = slice.ports.iter().find(|port| port.name.as_deref().unwrap_or("") == name);
        let Some(port) = known.and_then(|port| port.port) else { continue };
        let ready = slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready != Some(false));
        // nobody else is on a node that can be asked
        let targets = ready.filter_map(|endpoint| endpoint.target_ref.as_ref().filter(|target| target.kind == "Pod"));
        pods.extend(targets.map(|pod| (pod.name.clone(), port.to_string())));
    }
    Ok(pods)
}

fn place(call: &Call<'_>) -> Result<Place, Status> {
    let (objects, namespace) = (&call.server.objects, &call.target.namespace);
    let (name, port) = parts(&call.target.name)?;
    // a pod is always one of this namespace, whatever an endpoint says
    let pod = |name: &str| view::<Pod>(&objects.get(&POD, namespace, name)?.object()).map_err(Status::internal);
    if std::ptr::eq(call.kind.table, POD.table) {
        return of_pod(&pod(name)?, port);
    }
    let service: Service = view(&objects.get(&SERVICE, namespace, name)?.object()).map_err(Status::internal)?;
    let pods = of_service(&service, &objects.all(&ENDPOINT_SLICE, namespace), port)?;
    let chosen = crate::random::below(u32::try_from(pods.len()).unwrap_or(u32::MAX)) as usize;
    let none = || Status::unavailable(format!("no endpoints available for service {name:?}"));
    let (name, port) = pods.get(chosen).ok_or_else(none)?;
    of_pod(&pod(name)?, port)
}

/// Carries a request to a pod, and the answer back.
pub(super) async fn answer(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let place = place(call)?;
    if call.target.rest.is_empty() && matches!(*request.method(), Method::GET | Method::HEAD) {
        return redirect(request.uri());
    }
    let link = call.server.nodes.link(&place.node)?;
    let permit = link.permit()?;
    let io = link.dial(&place.uid, place.port).await?;
    let lost = |error: hyper::Error| Status::unavailable(format!("error trying to reach service: {error}"));
    let (mut requests, connection) = hyper::client::conn::http1::handshake(io).await.map_err(lost)?;
    tokio::spawn(connection.with_upgrades());
    let (onward, near) = onward(request, &place, &call.target.rest)?;
    let mut answer = requests.send_request(onward).await.map_err(lost)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let far = hyper::upgrade::on(&mut answer);
        let mut response = answer::typed(101, "", Bytes::new());
        *response.headers_mut() = answer.headers().clone();
        if let Some(near) = near {
            tokio::spawn(carry(near, far, (permit, link)));
        }
        return Ok(response);
    }
    let (mut head, body) = answer.into_parts();
    without_hops(&mut head.headers);
    // the stream is held until the client has heard all, or is gone
    let body = body.map_frame(move |frame| {
        let _held = (&permit, &link);
        frame
    });
    Ok(Response::from_parts(head, body.boxed_unsync()))
}

/// Links in a page are below it only where its own path ends so.
fn redirect(uri: &Uri) -> Result<Response<Body>, Status> {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut response = answer::typed(301, "text/plain", Bytes::new());
    let place = HeaderValue::from_str(&format!("{}/{query}", uri.path())).map_err(Status::internal)?;
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

/// The client's request for the pod, and the client's end of what it may become.
fn onward(
    mut request: Request<Incoming>,
    place: &Place,
    path: &str,
) -> Result<(Request<Incoming>, Option<hyper::upgrade::OnUpgrade>), Status> {
    let upgrades = request.headers().get(UPGRADE).cloned();
    let near = upgrades.as_ref().map(|_| hyper::upgrade::on(&mut request));
    let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
    let path = if path.is_empty() { "/" } else { path };
    let (mut head, body) = request.into_parts();
    head.uri = format!("{path}{query}").parse().map_err(|_| Status::bad_request("the path makes no sense"))?;
    head.version = hyper::Version::HTTP_11;
    head.extensions.clear();
    without_hops(&mut head.headers);
    head.headers.remove(AUTHORIZATION);
    let acting: Vec<HeaderName> = head.headers.keys().filter(|name| name.as_str().starts_with("impersonate-")).cloned().collect();
    acting.iter().for_each(|name| drop(head.headers.remove(name)));
    let host = HeaderValue::from_str(&format!("{}:{}", place.host, place.port)).map_err(Status::internal)?;
    head.headers.insert(HOST, host);
    if let Some(upgrades) = upgrades {
        head.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        head.headers.insert(UPGRADE, upgrades);
    }
    Ok((Request::from_parts(head, body), near))
}

/// Headers that are for one connection (RFC 9110, 7.6.1).
fn without_hops(headers: &mut HeaderMap) {
    let named: Vec<String> = headers.get_all(CONNECTION).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
    for name in named.iter().flat_map(|list| list.split(',')).filter_map(|name| HeaderName::try_from(name.trim()).ok()) {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "trailer"] {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn names_have_ports() {
        let read = |name: &str| parts(name).map(|(name, port)| format!("{name} {port}")).map_err(|status| status.code);
        assert_eq!((read("web"), read("web:80"), read("http:web:h")), (Ok("web ".into()), Ok("web 80".into()), Ok("web h".into())));
        assert_eq!(
            (read("https:web:443"), read("https:web:"), read("ftp:web:80"), read("a:b:c:d")),
            (Err(400), Err(400), Err(400), Err(400))
        );
        let read = |spec: Value, port: &str| {
            let pod = json!({"metadata": {"uid": "u"}, "spec": spec, "status": {"podIP": "10.0.0.2", "phase": "Running"}});
            of_pod(&serde_json::from_value(pod).unwrap(), port).map(|place| place.port).map_err(|status| status.code)
        };
        let one = json!({"nodeName": "n", "containers": [{"name": "c", "ports": [{"containerPort": 8080}]}]});
        assert_eq!(
            (read(one.clone(), ""), read(one.clone(), "9"), read(one.clone(), "x"), read(one, "0")),
            (Ok(8080), Ok(9), Err(400), Err(400))
        );
        assert_eq!(read(json!({"containers": [{"name": "c"}]}), ""), Ok(80));
    }

    #[test]
    fn services_lead_to_pods_that_are_ready() {
        let service =
            json!({"metadata": {"name": "web"}, "spec": {"ports": [{"name": "h", "port": 80}, {"name": "i", "port": 81}]}});
        let service: Service = serde_json::from_value(service).unwrap();
        let endpoint = |name: &str, ready: bool, kind: &str| json!({"addresses": ["10.0.0.2"], "conditions": {"ready": ready}, "targetRef": {"kind": kind, "name": name}});
        let endpoints = [endpoint("a", true, "Pod"), endpoint("b", false, "Pod"), endpoint("c", true, "Thing")];
        let slice = |of: &str| {
            let labels = json!({"kubernetes.io/service-name": of});
            let ports = json!([{"name": "h", "port": 8080}]);
            serde_json::from_value(json!({"metadata": {"labels": labels}, "ports": ports, "endpoints": endpoints})).unwrap()
        };
        let slices = [slice("web"), slice("other")];
        let lead = |port: &str| of_service(&service, &slices, port).map_err(|status| status.message);
        assert_eq!(lead("h"), Ok(vec![("a".into(), "8080".into())]));
        assert_eq!((lead("80").map(|all| all.len()), lead("i"), lead("")), (Ok(1), Ok(vec![]), Ok(vec![])));
        assert_eq!(lead("82").unwrap_err(), "no service port 82 found for service \"web\"");
    }

    #[test]
    fn what_is_for_one_connection_is_not_carried() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "close, X-Hop"), ("x-hop", "1"), ("te", "trailers"), ("accept", "x"), ("upgrade", "h2c")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        without_hops(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }
}
