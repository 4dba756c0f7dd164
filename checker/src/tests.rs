//! Checks against servers on loopback that behave, and that do not.

mod hostile;

use crate::{Check, Failure};
use lvs_crds::HealthCheck;
use serde_json::{Value, json};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

pub(super) fn check(spec: Value) -> Check {
    let mut spec = spec;
    spec["intervalMilliseconds"] = json!(1_000);
    spec["timeoutMilliseconds"] = json!(500);
    let check: HealthCheck = serde_json::from_value(spec).expect("a health check");
    Check::new(&check).expect("a check")
}

pub(super) async fn run(spec: Value, at: SocketAddr) -> Result<String, Failure> {
    let started = Instant::now();
    let met = check(spec).run(at.ip(), Some(at.port())).await;
    assert!(
        started.elapsed() < Duration::from_millis(900),
        "{met:?} after {:?}",
        started.elapsed()
    );
    met
}

/// What it says, without how long it took.
pub(super) async fn told(spec: Value, at: SocketAddr) -> String {
    let text = match run(spec, at).await {
        Ok(met) => met,
        Err(failure) => format!("failed: {failure}"),
    };
    text.split(" in ").next().unwrap_or_default().to_owned()
}

/// A server that does this with each connection.
pub(super) async fn server<F: Future<Output = ()> + Send>(
    with: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let at = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            with(stream).await;
        }
    });
    at
}

/// Reads a request's head and answers with this text.
pub(super) async fn answering(text: &'static str) -> SocketAddr {
    server(move |mut stream| async move {
        let mut read = Vec::new();
        while !read.ends_with(b"\r\n\r\n") {
            let Ok(byte @ 0..=255) = stream.read_u8().await else { return };
            read.push(byte);
        }
        let _ = stream.write_all(text.as_bytes()).await;
    })
    .await
}

async fn closed() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    listener.local_addr().expect("an address")
}

#[tokio::test]
async fn tcp_is_a_connection_and_leaves_nothing_behind() {
    let at = server(|mut stream| async move {
        let mut byte = [0];
        // A reset, not an end.
        let error = stream.read(&mut byte).await.expect_err("a reset");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    })
    .await;
    for _ in 0..20 {
        assert_eq!(told(json!({"tcp": {}}), at).await, "connected");
    }
    let waiting = std::fs::read_to_string("/proc/net/tcp").expect("sockets");
    let port = format!(":{:04X} 06 ", at.port());
    assert!(!waiting.contains(&port), "TIME_WAIT: {waiting}");
    assert_eq!(told(json!({"tcp": {}}), closed().await).await, "failed: connection refused");
}

#[tokio::test]
async fn http_passes_by_status_and_body() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{\"status\":\"ok\"}";
    let at = answering(ok).await;
    let sum = "f2a4b2bd5d6cf0b2fd5e0dbe9d5bd25f6e27c80b5c3b6c1b1d6c2b7f4bd5e2a1";
    for (http, wanted) in [
        (json!({}), "HTTP 200"),
        (json!({"bodyRegex": "\"status\": ?\"ok"}), "HTTP 200"),
        (json!({"bodyRegex": "^down"}), "failed: HTTP 200, and bodyRegex is not"),
        (json!({"bodySha256": sum}), "failed: HTTP 200, and the body has another SHA-256"),
        (json!({"statusCodes": [{"first": 204}]}), "failed: HTTP 200"),
        (json!({"method": "HEAD"}), "HTTP 200"),
    ] {
        assert_eq!(told(json!({ "http": http }), at).await, wanted, "{http}");
    }
    let at = answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let failure = run(json!({"http": {}}), at).await.expect_err("503").to_string();
    assert!(failure.starts_with("HTTP 503 in ") && failure.ends_with(" ms"), "{failure}");
    let codes = json!({"http": {"statusCodes": [{"first": 500, "last": 599}]}});
    assert_eq!(told(codes, at).await, "HTTP 503");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let at = answering(chunked).await;
    assert_eq!(told(json!({"http": {"bodyRegex": "^ok$"}}), at).await, "HTTP 200");
}

#[tokio::test]
async fn http_asks_as_it_was_told_and_follows_only_where_it_may() {
    let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let at = server(move |mut stream| {
        let sender = sender.clone();
        async move {
            let mut buffer = vec![0; 4096];
            let length = stream.read(&mut buffer).await.expect("a request");
            let text = String::from_utf8_lossy(&buffer[..length]).to_lowercase();
            let answer = match text.split(' ').nth(1) {
                Some("/old") => "302 Found\r\nLocation: /new?a=b",
                Some("/loop") => "302 Found\r\nLocation: /loop",
                Some("/away") => "302 Found\r\nLocation: http://192.0.2.1/new",
                _ => "200 OK\r\nX: y",
            };
            let _ = sender.send(text);
            let answer = format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let headers = json!([{"name": "X-Check", "value": "lvs"}]);
    let http = json!({"path": "/healthz?full=1", "host": "www.example.com", "headers": headers});
    assert_eq!(told(json!({ "http": http }), at).await, "HTTP 200");
    let text = asked.recv().await.expect("a request");
    assert!(text.starts_with("get /healthz?full=1 http/1.1\r\n"), "{text}");
    for line in ["host: www.example.com", "x-check: lvs", "user-agent: kube-lvs"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let passes = json!([{"first": 200}]);
    for (path, follow, wanted) in [
        ("/old", 0, "failed: HTTP 302"),
        ("/old", 1, "HTTP 200"),
        ("/loop", 3, "failed: more than 3 redirects"),
        ("/away", 3, "failed: HTTP 302: to http://192.0.2.1/new"),
    ] {
        let http = json!({"path": path, "followRedirects": follow, "statusCodes": passes});
        assert_eq!(told(json!({ "http": http }), at).await, wanted, "{path} {follow}");
    }
}

#[tokio::test]
async fn udp_and_dns_are_judged_by_their_replies() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let at = socket.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.expect("a datagram");
            let received = &buffer[..length];
            let reply = if received == b"ping" { b"pong!".to_vec() } else { dns(received) };
            socket.send_to(&reply, from).await.expect("sent");
        }
    });
    let ping = "70696e67";
    for (udp, wanted) in [
        (json!({"payload": ping, "reply": "706f6e67"}), "answered with 5 bytes"),
        (
            json!({"payload": ping, "reply": "70000067", "replyMask": "ff0000ff"}),
            "answered with 5 bytes",
        ),
        (json!({"payload": ping, "reply": "00"}), "failed: another reply than wanted, 5 bytes"),
        (json!({"payload": ping}), "answered with 5 bytes"),
    ] {
        assert_eq!(told(json!({ "udp": udp }), at).await, wanted, "{udp}");
    }
    for (dns, wanted) in [
        (json!({"name": "www.example.com", "type": "A"}), "DNS No Error"),
        (json!({"name": "www.example.com", "type": "A", "answer": "192.0.2.1"}), "DNS No Error"),
        (
            json!({"name": "www.example.com", "type": "A", "answer": "192.0.2.2"}),
            "failed: DNS: 192.0.2.1, not 192.0.2.2",
        ),
        (
            json!({"name": "www.example.com", "type": "A", "rcode": "NXDOMAIN"}),
            "failed: DNS: No Error",
        ),
    ] {
        assert_eq!(told(json!({ "dns": dns }), at).await, wanted, "{dns}");
    }
    // Nobody listens: ICMP says so.
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let at = socket.local_addr().expect("an address");
    assert_eq!(told(json!({"udp": {}}), at).await, "not refused");
    drop(socket);
    assert_eq!(told(json!({"udp": {}}), at).await, "failed: connection refused");
}

/// An answer to any question: 192.0.2.1.
fn dns(question: &[u8]) -> Vec<u8> {
    let mut reply = question.to_vec();
    (reply[2], reply[3], reply[7]) = (0x84, 0, 1);
    reply.extend([0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    reply
}

#[tokio::test]
async fn smtp_is_greeting_and_ehlo() {
    let at = server(|mut stream| async move {
        let _ = stream.write_all(b"220 mail.example.com ESMTP\r\n").await;
        let mut buffer = [0; 512];
        let length = stream.read(&mut buffer).await.unwrap_or(0);
        let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let answer: &[u8] = match said.as_str() {
            "EHLO kube-lvs.invalid\r\n" => b"250-mail.example.com\r\n250-SIZE 1000\r\n250 HELP\r\n",
            _ => b"550 who are you\r\n",
        };
        let _ = stream.write_all(answer).await;
        let _ = stream.read(&mut buffer).await;
    })
    .await;
    assert_eq!(told(json!({"smtp": {}}), at).await, "EHLO answered");
    let other = json!({"smtp": {"heloName": "x"}});
    assert_eq!(told(other, at).await, "failed: EHLO: 550 who are you");
    let tls = json!({"smtp": {"startTls": true}});
    assert_eq!(told(tls, at).await, "failed: STARTTLS is not offered");
    let at = server(|mut stream| async move {
        let _ = stream.write_all(b"421 busy\r\n").await;
    })
    .await;
    assert_eq!(told(json!({"smtp": {}}), at).await, "failed: greeting: 421 busy");
}

/// The server is the crate that also asks, since no other is at hand; a real one is still to be met.
#[tokio::test]
async fn grpc_and_http2_are_judged_by_status_and_message() {
    let at = server(|stream| async move {
        let Ok(mut connection) = h2::server::handshake(stream).await else { return };
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            let path = request.uri().path().to_owned();
            tokio::spawn(async move {
                let mut body = request.into_body();
                let mut asked = Vec::new();
                while let Some(Ok(data)) = body.data().await {
                    asked.extend(data);
                }
                let mut response = hyper::Response::new(());
                let serving = asked.ends_with(b"shop.Cart") || asked == [0; 5];
                if path == "/grpc.health.v1.Health/Check" && asked.ends_with(b"nobody") {
                    response.headers_mut().insert("grpc-status", "5".parse().expect("a header"));
                    let _ = respond.send_response(response, true);
                    return;
                }
                let Ok(mut send) = respond.send_response(response, false) else { return };
                let status = if serving { 1 } else { 2 };
                let _ = send.send_data(vec![0, 0, 0, 0, 2, 8, status].into(), false);
                let mut trailers = hyper::HeaderMap::new();
                trailers.insert("grpc-status", "0".parse().expect("a header"));
                let _ = send.send_trailers(trailers);
            });
        }
    })
    .await;
    for (spec, wanted) in [
        (json!({"grpc": {}}), "gRPC SERVING"),
        (json!({"grpc": {"service": "shop.Cart"}}), "gRPC SERVING"),
        (json!({"grpc": {"service": "shop.Till"}}), "failed: gRPC: NOT_SERVING"),
        (json!({"grpc": {"service": "nobody"}}), "failed: gRPC: status 5"),
        (json!({"http": {"version": "HTTP2"}}), "HTTP 200"),
        (json!({"http": {"version": "HTTP2", "bodyRegex": "(?s-u)\\x08\\x02$"}}), "HTTP 200"),
        (json!({"http": {}}), "failed: no HTTP: invalid HTTP version parsed"),
    ] {
        assert_eq!(told(spec.clone(), at).await, wanted, "{spec}");
    }
}

#[tokio::test]
async fn icmp_needs_no_port() {
    // Without the right to a raw socket there is nothing to see here; the suites in the guest have it.
    for address in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        match check(json!({"icmp": {}})).run(address, None).await {
            Ok(met) => assert!(met.starts_with("echo answered in "), "{met}"),
            Err(Failure::Local(error)) => println!("{address}: {error}"),
            Err(failure) => panic!("{address}: {failure}"),
        }
    }
}

#[test]
fn what_no_schema_can_judge_is_named_by_its_field() {
    for (spec, wanted) in [
        (json!({"http": {"bodyRegex": "("}}), "healthCheck.http.bodyRegex: "),
        (json!({"http": {"bodySha256": "00"}}), "healthCheck.http.bodySha256: not 64 "),
        (
            json!({"http": {"scheme": "HTTPS", "tls": {"ca": "none"}}}),
            "healthCheck.http.tls.ca: no certificate",
        ),
        (json!({"udp": {"payload": "7"}}), "healthCheck.udp.payload: not pairs"),
        (json!({"udp": {"payload": "\u{e4}"}}), "healthCheck.udp.payload: not pairs"),
        (
            json!({"udp": {"reply": "00", "replyMask": "0000"}}),
            "healthCheck.udp.replyMask: not as many",
        ),
        (json!({"smtp": {"heloName": "a\r\nb"}}), "healthCheck.smtp.heloName: "),
        (json!({}), "healthCheck.tcp: no kind"),
    ] {
        let check: HealthCheck = serde_json::from_value(spec.clone()).expect("a health check");
        let error = Check::new(&check).expect_err("a bad check").to_string();
        assert!(error.starts_with(wanted), "{spec}: {error}");
    }
}
