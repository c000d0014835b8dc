//! Request scanner and reply framer over a pipeline of small commands and their replies.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use respgate::resp::{Limits, ReplyFramer, RequestScanner, Scanned, encode_request};

const PIPELINE: usize = 1000;

fn main() {
    divan::main();
}

fn get() -> Vec<u8> {
    request(&[b"GET", b"key:0000000000000000000000000000000000000042"])
}

fn set_64() -> Vec<u8> {
    request(&[b"SET", b"key:000000000042", &[b'x'; 64]])
}

fn mget_100() -> Vec<u8> {
    let keys: Vec<Vec<u8>> = (0..100).map(|n| format!("key:{n:012}").into_bytes()).collect();
    request(&std::iter::once(&b"MGET"[..]).chain(keys.iter().map(Vec::as_slice)).collect::<Vec<_>>())
}

fn set_16_kib() -> Vec<u8> {
    request(&[b"SET", b"key:000000000042", &[b'x'; 16 * 1024]])
}

fn request(args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_request(args, &mut out);
    out
}

#[divan::bench(args = [("GET", get()), ("SET 64 B", set_64()), ("MGET 100", mget_100()), ("SET 16 KiB", set_16_kib())])]
fn requests(bencher: Bencher, (_name, request): &(&str, Vec<u8>)) {
    let input = request.repeat(PIPELINE);
    let mut scanner = RequestScanner::new();
    bencher
        .counter(BytesCount::new(input.len()))
        .counter(ItemsCount::new(PIPELINE))
        .bench_local(|| scan_all(&mut scanner, black_box(&input)));
}

fn scan_all(scanner: &mut RequestScanner, mut input: &[u8]) -> usize {
    let mut args = 0;
    while let Scanned::Request { len } = scanner.scan(input, &Limits::AUTHENTICATED).expect("a valid request") {
        args += scanner.spans().len();
        input = &input[len..];
    }
    args
}

#[divan::bench(args = [("+OK", b"+OK\r\n".to_vec()), ("$64", bulk(64)), ("$16384", bulk(16384)), ("*10", array())])]
fn reply_runs(bencher: Bencher, (_name, reply): &(&str, Vec<u8>)) {
    let input = reply.repeat(PIPELINE);
    let mut framer = ReplyFramer::new();
    bencher
        .counter(BytesCount::new(input.len()))
        .counter(ItemsCount::new(PIPELINE))
        .bench_local(|| framer.scan_run(black_box(&input), u64::MAX));
}

fn bulk(len: usize) -> Vec<u8> {
    [format!("${len}\r\n").as_bytes(), &vec![b'x'; len], b"\r\n"].concat()
}

fn array() -> Vec<u8> {
    [b"*10\r\n", bulk(16).repeat(10).as_slice()].concat()
}
