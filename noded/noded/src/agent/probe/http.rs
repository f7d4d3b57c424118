//! Questions by HTTP and HTTPS, and connections.

use std::sync::{Arc, OnceLock};

use api::kinds::pod::container::{Container, HttpGetAction};
use api::values::IntOrString;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Who asks.
const AGENT: &str = "kube-probe/noded";

/// A port by its number or its name in the container.
pub(super) fn port(port: Option<&IntOrString>, spec: &Container) -> Result<u16, String> {
    let number = match port {
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::Text(name)) => {
            let named = spec.ports.iter().find(|port| port.name == *name).map(|port| port.container_port);
            named.or_else(|| name.parse().ok())
        }
        None => None,
    };
    let number = number.and_then(|number| u16::try_from(number).ok()).filter(|number| *number != 0);
    number.ok_or_else(|| format!("{port:?} is no port of the container"))
}

pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    TcpStream::connect((host, port)).await.map_err(|error| format!("dial {host}:{port}: {error}"))
}

/// A request by HTTP; what is answered with 200 to 399 passes.
pub(in super::super) async fn get(get: &HttpGetAction, spec: &Container, ip: &str) -> Result<(), String> {
    let host = if get.host.is_empty() { ip } else { &get.host };
    let port = port(get.port.as_ref(), spec)?;
    if get.scheme == "HTTPS" {
        return https(get, host, port).await;
    }
    let mut stream = connect(host, port).await?;
    let said = |error: std::io::Error| format!("ask {host}:{port}: {error}");
    stream.write_all(request(get, host, port)?.as_bytes()).await.map_err(said)?;
    let mut answer = Vec::new();
    let mut piece = [0; 512];
    while !answer.contains(&b'\n') && answer.len() < 4096 {
        match stream.read(&mut piece).await.map_err(said)? {
            0 => break,
            length => answer.extend_from_slice(&piece[..length]),
        }
    }
    passed(code(&answer).ok_or("the answer is no HTTP")?)
}

fn passed(code: u16) -> Result<(), String> {
    match code {
        200..=399 => Ok(()),
        code => Err(format!("HTTP probe failed with statuscode: {code}")),
    }
}

/// The same by HTTPS. Whose certificate is shown does not matter, as with the kubelet: what counts is that somebody answers.
async fn https(get: &HttpGetAction, host: &str, port: u16) -> Result<(), String> {
    // What is no line here is none there.
    request(get, host, port)?;
    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let client = anyone().as_ref().map_err(Clone::clone)?;
    let mut request = client.get(format!("https://{host}/{}", get.path.trim_start_matches('/')));
    for header in &get.http_headers {
        request = request.header(&header.name, &header.value);
    }
    let said = |error: reqwest::Error| {
        let last = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source()).last();
        format!("ask {host}: {}", last.map_or_else(String::new, ToString::to_string))
    };
    passed(request.send().await.map_err(said)?.status().as_u16())
}

/// A client for whoever answers.
fn anyone() -> &'static Result<reqwest::Client, String> {
    static CLIENT: OnceLock<Result<reqwest::Client, String>> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = Arc::new(Anyone(provider.signature_verification_algorithms.supported_schemes()));
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| format!("set up TLS: {error}"))?;
        let tls = tls.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
        let client = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).pool_max_idle_per_host(0).user_agent(AGENT);
        client.build().map_err(|error| format!("set up the client: {error}"))
    })
}

/// Trusts whoever it is.
#[derive(Debug)]
struct Anyone(Vec<SignatureScheme>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

fn request(get: &HttpGetAction, host: &str, port: u16) -> Result<String, String> {
    let own = |name: &str| get.http_headers.iter().any(|header| header.name.eq_ignore_ascii_case(name));
    let path = if get.path.starts_with('/') { get.path.clone() } else { format!("/{}", get.path) };
    let mut lines = vec![format!("GET {path} HTTP/1.1")];
    for (name, value) in [("Host", format!("{host}:{port}")), ("User-Agent", AGENT.to_owned()), ("Accept", "*/*".to_owned())] {
        if !own(name) {
            lines.push(format!("{name}: {value}"));
        }
    }
    lines.extend(get.http_headers.iter().map(|header| format!("{}: {}", header.name, header.value)));
    lines.push("Connection: close".to_owned());
    // A line more would be another request.
    if lines.iter().any(|line| line.chars().any(char::is_control)) || path.contains(' ') {
        return Err("path and headers need to be on one line each".to_owned());
    }
    Ok(lines.join("\r\n") + "\r\n\r\n")
}

/// The code in `HTTP/1.1 200 OK`.
fn code(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let line = std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.")?;
    line.split(' ').nth(1)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_stay_one() {
        let get = |path: &str| HttpGetAction { path: path.to_owned(), ..HttpGetAction::default() };
        assert!(request(&get("healthz"), "h", 80).unwrap().starts_with("GET /healthz HTTP/1.1\r\nHost: h:80\r\n"));
        assert!(request(&get("/a\r\nX: y"), "h", 80).is_err() && request(&get("/a b"), "h", 80).is_err());
        assert_eq!((code(b"HTTP/1.1 204 No Content\r\n"), code(b"SSH-2.0"), code(b"")), (Some(204), None, None));
    }

    /// Answers one question by TLS with this line, and with a certificate that nobody vouches for.
    fn serve_once(line: &'static str) -> u16 {
        use rustls::pki_types::PrivateKeyDer;
        use rustls::pki_types::pem::PemObject;
        use std::io::{Read, Write};

        let folder = tempfile::tempdir().unwrap();
        let authority = control::certs::Authority::open(folder.path()).unwrap();
        let key = control::certs::Wanted::key().unwrap();
        let wanted = control::certs::Wanted::read(&control::certs::Wanted::make("n", &key).unwrap()).unwrap();
        let certificate = authority.sign_node("n", &wanted, std::time::Duration::from_secs(600)).unwrap();
        let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<Vec<_>, _>>().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config).unwrap(), stream);
            let mut question = [0; 1024];
            let length = stream.read(&mut question).unwrap();
            assert!(question[..length].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            write!(stream, "HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
        });
        port
    }

    #[tokio::test]
    async fn by_tls_everybody_is_trusted() {
        let ask = async |port: u16| {
            let port = Some(IntOrString::Int(port.into()));
            let get = HttpGetAction { path: "healthz".into(), port, scheme: "HTTPS".into(), ..HttpGetAction::default() };
            super::get(&get, &Container::default(), "127.0.0.1").await
        };
        assert_eq!(ask(serve_once("204 No Content")).await, Ok(()));
        assert_eq!(ask(serve_once("503 No")).await.unwrap_err(), "HTTP probe failed with statuscode: 503");
        assert!(ask(1).await.unwrap_err().starts_with("ask 127.0.0.1:1: "));
    }

    #[test]
    fn ports_have_numbers_or_names() {
        let ports =
            vec![api::kinds::pod::container::ContainerPort { name: "web".to_owned(), container_port: 8080, ..Default::default() }];
        let spec = Container { ports, ..Container::default() };
        assert_eq!(port(Some(&IntOrString::Text("web".to_owned())), &spec), Ok(8080));
        assert_eq!(port(Some(&IntOrString::Int(7)), &spec), Ok(7));
        assert!(port(Some(&IntOrString::Text("no".to_owned())), &spec).is_err() && port(None, &spec).is_err());
    }
}
