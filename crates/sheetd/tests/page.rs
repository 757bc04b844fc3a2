//! `/` answers with the page, or says how to build it where it was not built.

use std::io::{Read, Write};
use std::net::TcpStream;

use sheetd::{Options, Server};

fn get(server: &Server, path: &str) -> String {
    let address = server.url.strip_prefix("http://").expect("plain HTTP");
    let mut stream = TcpStream::connect(address).expect("the server listens");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    answer
}

#[test]
fn the_page_is_served_with_its_assets_or_says_how_to_build_it() {
    let server = Server::start(Options::default()).expect("a free port");
    let page = get(&server, "/");
    assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    assert!(page.contains("content-type: text/html; charset=utf-8"), "{page}");
    let Some((_, script)) = page.split_once("src=\"") else {
        return assert!(page.contains("crates/sheetd/page/build.sh"), "{page}");
    };
    let (script, _) = script.split_once('"').expect("the attribute ends");
    let asset = get(&server, script);
    assert!(asset.starts_with("HTTP/1.1 200 OK"), "{script}: {asset:.200}");
    assert!(asset.contains("content-type: text/javascript"), "{script}");
    assert!(asset.contains("immutable"), "{script}");
}
