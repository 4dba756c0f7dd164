//! Servers that send too much, too slowly, or something else. Each check ends in time, with little memory.

use super::{answering, run, server, told};
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test]
async fn whoever_says_nothing_or_a_byte_at_a_time_is_left_in_time() {
    let silent = server(|stream| async move {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(5)).await;
            drop(stream);
        });
    })
    .await;
    let slow = server(|mut stream| async move {
        tokio::spawn(async move {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".iter().cycle() {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if stream.write_u8(*byte).await.is_err() {
                    return;
                }
            }
        });
    })
    .await;
    for kind in [
        json!({"http": {}}),
        json!({"http": {"version": "HTTP2"}}),
        json!({"http": {"scheme": "HTTPS"}}),
        json!({"grpc": {}}),
        json!({"smtp": {}}),
    ] {
        assert_eq!(told(kind.clone(), silent).await, "failed: no answer within 500 ms", "{kind}");
        assert!(run(kind.clone(), slow).await.is_err(), "{kind}");
    }
    // RFC 5737: nobody is there.
    let nowhere = "192.0.2.1:80".parse().expect("an address");
    let failure = told(json!({"tcp": {}}), nowhere).await;
    assert!(failure.starts_with("failed: "), "{failure}");
}

#[tokio::test]
async fn endless_headers_and_bodies_are_cut_off() {
    let headers = server(|mut stream| async move {
        tokio::spawn(async move {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
            while stream.write_all(b"X-More: and more of it\r\n").await.is_ok() {}
        });
    })
    .await;
    let failure = told(json!({"http": {}}), headers).await;
    assert!(failure.starts_with("failed: no HTTP: "), "{failure}");
    let body = server(|mut stream| async move {
        tokio::spawn(async move {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n").await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
    })
    .await;
    assert_eq!(told(json!({"http": {}}), body).await, "HTTP 200");
    assert_eq!(told(json!({"http": {"bodyRegex": "x{100}"}}), body).await, "HTTP 200");
    let failure = told(json!({"http": {"bodySha256": "00".repeat(32)}}), body).await;
    assert_eq!(failure, "failed: HTTP 200, and the body is longer than 65536 bytes");
}

#[tokio::test]
async fn garbage_resets_and_half_an_answer_fail_with_a_word() {
    let garbage = server(|mut stream| async move {
        let _ = stream.write_all(&[0xff; 600]).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    })
    .await;
    let reset = server(|stream| async move {
        let _ = stream.set_zero_linger();
    })
    .await;
    for kind in [
        json!({"http": {}}),
        json!({"http": {"version": "HTTP2"}}),
        json!({"http": {"scheme": "HTTPS"}}),
        json!({"grpc": {}}),
        json!({"smtp": {}}),
    ] {
        for at in [garbage, reset] {
            let failure = run(kind.clone(), at).await.expect_err("a failure").to_string();
            assert!(!failure.is_empty() && failure.len() < 200, "{kind}: {failure}");
        }
    }
    let half = answering("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").await;
    assert_eq!(told(json!({"http": {}}), half).await, "HTTP 200");
    let failure = told(json!({"http": {"bodyRegex": "half$"}}), half).await;
    assert_eq!(failure, "failed: connection closed");
    let none = answering("").await;
    assert_eq!(told(json!({"http": {}}), none).await, "failed: connection closed");
}
