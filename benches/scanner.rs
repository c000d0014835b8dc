//! Request scanner and reply framer over a pipeline of small commands and their replies.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use respgate::resp::{ReplyFramer, RequestLimits, RequestScanner, Scanned, encode_request};

const PIPELINE: usize = 1000;

fn main() {
    divan::main();
}

#[divan::bench(args = ["GET, 64 B", "SET, 64 B", "MGET of 100 keys", "SET of 16 KiB"])]
fn requests(bencher: Bencher, command: &str) {
    let input = request(command).repeat(PIPELINE);
    let mut scanner = RequestScanner::new();
    bencher
        .counter(BytesCount::new(input.len()))
        .counter(ItemsCount::new(PIPELINE))
        .bench_local(|| scan_all(&mut scanner, black_box(&input)));
}

#[divan::bench(args = ["+OK", "$64", "$16384", "*10"])]
fn reply_runs(bencher: Bencher, kind: &str) {
    let input = reply(kind).repeat(PIPELINE);
    let mut framer = ReplyFramer::new();
    bencher
        .counter(BytesCount::new(input.len()))
        .counter(ItemsCount::new(PIPELINE))
        .bench_local(|| framer.scan_run(black_box(&input), u64::MAX));
}

fn scan_all(scanner: &mut RequestScanner, mut input: &[u8]) -> usize {
    let mut args = 0;
    while let Scanned::Request { len } = scanner.scan(input, &RequestLimits::AUTHENTICATED).expect("a valid request") {
        args += scanner.spans().len();
        input = &input[len..];
    }
    args
}

fn request(command: &str) -> Vec<u8> {
    let mut out = Vec::new();
    match command {
        "GET, 64 B" => encode_request(&["GET", &format!("key:{:040}", 42)], &mut out),
        "SET, 64 B" => encode_request(&["SET", "key:000000000042", "value:0123456789abcde"], &mut out),
        "MGET of 100 keys" => {
            let mut args = vec!["MGET".to_owned()];
            args.extend((0..100).map(|n| format!("key:{n:012}")));
            encode_request(&args, &mut out);
        }
        _ => encode_request(&["SET", "key:000000000042", &"x".repeat(16 * 1024)], &mut out),
    }
    out
}

fn reply(kind: &str) -> Vec<u8> {
    let bulk = |len: usize| format!("${len}\r\n{}\r\n", "x".repeat(len));
    match kind {
        "+OK" => "+OK\r\n".to_owned(),
        "$64" => bulk(64),
        "$16384" => bulk(16384),
        _ => format!("*10\r\n{}", bulk(16).repeat(10)),
    }
    .into_bytes()
}
