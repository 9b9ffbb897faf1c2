//! The page of `watch --listen`: what it says, that nothing foreign becomes markup in it, and what a real browser makes
//! of it. `docs/pictures/make.sh` makes the pictures.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;

use serde_json::Value;

use crate::serve::{ask_once, get, serving};
use crate::support::*;
use crate::watch::Daemon;

/// The tags that a page has; whatever else stood in one would have come from elsewhere.
const TAGS: [&str; 34] = [
    "!doctype",
    "a",
    "b",
    "body",
    "dd",
    "div",
    "dl",
    "dt",
    "em",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "head",
    "header",
    "html",
    "i",
    "li",
    "link",
    "main",
    "meta",
    "ol",
    "p",
    "path",
    "section",
    "small",
    "span",
    "style",
    "svg",
    "title",
    "ul",
    "script",
];

fn tags(page: &str) -> BTreeSet<&str> {
    page.split('<').skip(1).map(|tag| tag.trim_start_matches('/').split(['>', ' ']).next().unwrap()).collect()
}

/// A node with two timelines, a gap, slots, and a queue that stands still.
fn incident() -> Scene {
    let scene = Scene::new();
    scene.init("zstd");
    scene.configure("archive_mode = on\narchive_command = 'exit 1'\n");
    scene.store_segments(&SEGMENTS);
    for number in (0x1002..0x1030).filter(|number| !(0x100a..0x100e).contains(number)) {
        scene.store(&name_of(1, number), segment_as(1, number));
    }
    scene.store(HISTORY.0, "1\t1/2800000\tno recovery target specified\n");
    for number in 0x1028..0x1040 {
        scene.store(&name_of(2, number), segment_as(2, number));
    }
    for number in 0x1040..0x1060 {
        scene.offer(&name_of(2, number), segment_as(2, number));
    }
    scene
}

/// The page and the status of one look.
fn of_one_look(address: &str) -> (String, Value) {
    let mut seen = (String::new(), String::new());
    until("both are of one look", || {
        let status = get(address, "/status");
        seen = (get(address, "/"), get(address, "/status"));
        seen.1 == status
    });
    (seen.0, serde_json::from_str(&seen.1).unwrap())
}

#[test]
fn the_page_says_what_status_says() {
    let scene = incident();
    let (daemon, address) = serving(&scene, &[]);
    daemon.until_claimed();
    let (page, status) = of_one_look(&address);
    let escaped = |text: &str| text.replace('&', "&amp;").replace('\'', "&#39;").replace('"', "&quot;");
    assert!(page.contains(&format!("<h1>{}</h1>", status["verdict"].as_str().unwrap())), "{page}");
    let findings = status["findings"].as_array().unwrap();
    assert!(findings.len() >= 2 && page.contains(&format!("{} findings", findings.len())), "{status}");
    for finding in findings {
        for key in ["message", "why", "next_step"] {
            let Some(text) = finding[key].as_str() else { continue };
            assert!(page.contains(&escaped(text)), "{text}\n---\n{page}");
        }
    }
    let pin = &status["retention"]["pins"][0];
    for told in [
        pin["from"].as_str().unwrap(),
        &escaped(pin["description"].as_str().unwrap()),
        &escaped(status["node"]["data_directory"].as_str().unwrap()),
        status["repository"]["location"].as_str().unwrap(),
        "32 pending (32 segments), 32.00 MiB",
        "<em>1 gap</em>",
        ", from 1 at 1/2800000",
        "class=\"gap\"",
        "class=\"fork\"",
        "class=\"horizon\"",
    ] {
        assert!(page.contains(told), "{told}\n---\n{page}");
    }
    // Nothing of it has to be run or fetched.
    assert!(!page.contains("<script") && !page.contains("src="), "{page}");
    let addresses = page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
    assert!(addresses.clone().count() == 3, "{page}");
    for to in addresses {
        assert!(to.starts_with("data:image/svg+xml,") || ["status", "metrics"].contains(&to), "{to}");
    }
    assert!(page.len() < 64 << 10, "{} bytes", page.len());
    daemon.terminate();
}

#[test]
fn nothing_foreign_becomes_markup() {
    const HOSTILE: &str = "<script>alert(1)<\u{202e}img src=x onerror='a\"b'>&amp;";
    let scene = Scene::new();
    let name = HOSTILE.replace('/', "");
    fs::rename(scene.path("data"), scene.path(&name)).unwrap();
    let data = scene.shown(&name);
    let repository = scene.path(format!("repo{name}"));
    scene.call(&["init", "-D", &data, "--repo"]).arg(&repository).cwd("/").run().prints(&[]);
    fs::write(repository.join(&name), "").unwrap();
    fs::create_dir(scene.path(&name).join("pg_replslot").join(&name)).unwrap();
    fs::write(scene.path(&name).join(format!("pg_wal/archive_status/{name}.ready")), "").unwrap();
    let conf = format!("archive_mode = on\narchive_command = '{}'\n", HOSTILE.replace('\'', "''"));
    fs::write(scene.path(&name).join("postgresql.conf"), conf).unwrap();
    let call = scene.call(&["watch", "-D", &data, "--listen", "0", "--repo"]).arg(&repository).cwd("/");
    let daemon = Daemon::of(&scene, call.env("WALKEEP_NODE", "<script>node</script>"));
    daemon.until_told("watching '");
    let address = crate::serve::address_of(&daemon);
    let page = get(&address, "/");
    assert!(page.matches("&lt;script&gt;").count() >= 5, "{page}");
    let known: BTreeSet<&str> = TAGS.into_iter().filter(|tag| *tag != "script").collect();
    assert!(tags(&page).is_subset(&known), "{:?}", tags(&page).difference(&known).collect::<Vec<_>>());
    assert!(!page.contains('\u{202e}') && !page.contains("onerror='"), "{page}");
    daemon.terminate();
}

#[test]
fn several_data_directories_stand_on_one_page() {
    let scene = Scene::with_repository("zstd");
    scene.data_directory("standby", "15", &control_file_of(SYSTEM));
    let (data, standby) = (scene.shown("data"), scene.shown("standby"));
    let daemon = Daemon::of(&scene, scene.call(&["watch", "-D", &data, "-D", &standby, "--listen", "0"]));
    daemon.until_told("watching '");
    let page = get(&crate::serve::address_of(&daemon), "/");
    for directory in [&data, &standby] {
        assert!(page.contains(&format!("</span> {directory}</h2>")), "{page}");
    }
    assert_eq!(page.matches("<h3>Queue</h3>").count(), 2);
    assert_eq!(page.matches("<h3>Repository</h3>").count(), 1, "they have one");
    daemon.terminate();
}

#[test]
fn a_page_that_cannot_be_told_says_so_and_is_loaded_again() {
    let scene = Scene::with_repository("zstd");
    let control = scene.shown("data/global/pg_control");
    let hang = ["-P", &control, "-e", "trace=open,openat", "-e", "inject=open,openat:delay_enter=1000s"];
    let call = scene.call_under_strace(&hang, &["watch", "-D", &scene.shown("data"), "--listen", "0"]);
    let daemon = Daemon::of(&scene, call);
    daemon.until_told("watching '");
    let address = crate::serve::address_of(&daemon);
    // Of two requests one looks at the data directory and is never answered; the other one waits, and is.
    let (sender, answers) = mpsc::channel();
    for _ in 0..2 {
        let (sender, address) = (sender.clone(), address.clone());
        std::thread::spawn(move || {
            loop {
                let answer = ask_once(&address, b"GET / HTTP/1.0\r\n\r\n");
                // On a slow machine the ten seconds of a connection may be over before its answer is written.
                if !answer.is_empty() && sender.send(answer).is_ok() {
                    return;
                }
            }
        });
    }
    let answer = answers.recv_timeout(BOUND).expect("one of the two is answered");
    for words in ["HTTP/1.1 503 ", "<h1>UNKNOWN</h1>", "http-equiv=\"refresh\""] {
        assert!(answer.contains(words), "{words}: {answer}");
    }
    daemon.signal_traced("KILL");
}

#[test]
fn whoever_looks_at_pages_all_day_costs_no_memory() {
    let scene = incident();
    let (daemon, address) = serving(&scene, &["-j", "4"]);
    daemon.until_claimed();
    // What is still being stored takes memory as well, and the allocator more of it on a busy machine: both have an end.
    until("300 pages cost less than 1 MiB", || {
        let before = daemon.resident_kib();
        for path in ["/", "/metrics", "/status"].iter().cycle().take(300) {
            get(&address, path);
        }
        daemon.resident_kib() < before + 1024
    });
    until("the watch is small", || daemon.resident_kib() < 16 << 10);
    daemon.terminate();
}

// ---- in a browser

/// Chromium, which reaches nothing but this host. It is the size of a phone where it is 360 wide: a window of its own
/// would be no narrower than 500.
fn chromium(scene: &Scene, (width, height): (u32, u32), how: &[&str], page: &str) -> String {
    let profile = format!("--user-data-dir={}", scene.shown("profile"));
    let screen = format!("--screen-info={{{width}x{height}}}");
    let mut call = Command::new("timeout");
    call.args([
        "600",
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        &profile,
        &screen,
    ]);
    call.args([
        "--start-fullscreen",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--disable-sync",
    ]);
    call.args(["--disable-component-update", "--disable-extensions", "--disable-default-apps"]);
    call.args(["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]).args(how).arg(page);
    let output = call.env("HOME", scene.path("")).output().expect("this test needs 'timeout'");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "this test needs the program 'chromium': {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// Width, height, and how many colours there are.
fn colours(path: &Path) -> (u32, u32, usize) {
    let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(path).unwrap()));
    let mut reader = decoder.read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    let colours: BTreeSet<&[u8]> = pixels.chunks_exact(info.color_type.samples()).collect();
    (info.width, info.height, colours.len())
}

/// Every address that the browser asked for, but for those that it asks for itself whatever it shows.
fn asked_for(net_log: &str) -> BTreeSet<String> {
    let own = [".google.com/", ".googleapis.com/"];
    let log: Value = serde_json::from_str(net_log).unwrap();
    let events = log["events"].as_array().unwrap().iter();
    let urls = events.filter_map(|event| event["params"]["url"].as_str().map(str::to_owned));
    urls.filter(|url| !own.iter().any(|own| url.contains(own))).collect()
}

#[test]
fn a_browser_shows_the_page_without_asking_anybody_else() {
    let scene = incident();
    let (daemon, address) = serving(&scene, &[]);
    daemon.until_claimed();
    let url = format!("http://{address}/");
    let log = format!("--log-net-log={}", scene.shown("net.json"));
    let shot = format!("--screenshot={}", scene.shown("shot.png"));
    let mut dom = String::new();
    until("the page is loaded", || {
        dom = chromium(&scene, (1280, 900), &[&log, &shot, "--dump-dom"], &url);
        // A connection has ten seconds, and a slow machine may need more.
        !dom.contains("ERR_EMPTY_RESPONSE")
    });
    for told in ["<h1>CRITICAL</h1>", "32 pending (32 segments), 32.00 MiB", "1 gap", "exit 1"] {
        assert!(dom.contains(told), "{told}\n---\n{dom}");
    }
    let (width, height, colours) = colours(&scene.path("shot.png"));
    assert!(width == 1280 && height > 700 && colours > 50, "{width}x{height}, {colours} colours");
    let asked = asked_for(&String::from_utf8(scene.read("net.json")).unwrap());
    assert!(asked.contains(&url), "{asked:?}");
    let allowed = |asked: &String| asked.starts_with(&url) || asked.starts_with("data:");
    assert!(asked.iter().all(allowed), "{asked:?}");
    daemon.terminate();
}

/// The page may run no script, so that a copy of it is measured.
#[test]
fn the_page_fits_a_phone() {
    const MEASURE: &str = "<script>const wide = [...document.querySelectorAll('body *')].filter(one => \
        one.getBoundingClientRect().right > innerWidth).map(one => one.outerHTML.slice(0, 200)); document.title = \
        ['measured', innerWidth, document.documentElement.scrollWidth].join(' ');document.body.innerText = \
        wide.join('\\n')</script></body>";
    let long = "a-name-that-is-as-long-as-names-of-directories-are-where-somebody-was-thorough/".repeat(2);
    let scene = incident();
    scene.data_directory(&long, "15", &control_file_of(SYSTEM));
    let daemon = Daemon::start(&scene, &["-D", &scene.shown(&long), "--listen", "0"]);
    daemon.until_told("watching '");
    let page = get(&crate::serve::address_of(&daemon), "/");
    scene.write("copy.html", page.replace("</body>", MEASURE));
    let dom = chromium(&scene, (360, 800), &["--dump-dom"], &format!("file://{}", scene.shown("copy.html")));
    assert!(dom.contains("<title>measured 360 360</title>"), "{dom}");
    daemon.terminate();
}
