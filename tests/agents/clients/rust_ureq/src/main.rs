// Chat completions by ureq over rustls: whole answers, one agent. The same environment as common.py; the CA comes by SSL_CERT_FILE.
use serde_json::{json, Value};
use std::{env, fs, path::Path, process::Command, thread, time::Duration};

const MAX_TURNS: usize = 12;

fn var(name: &str) -> String {
    env::var(name).unwrap_or_default()
}

fn wait() {
    let path = var("CF_TEST_WAIT");
    for _ in 0..6000 {
        if path.is_empty() || Path::new(&path).exists() {
            return;
        }
        thread::sleep(Duration::from_millis(20));
    }
    panic!("never released");
}

fn tools() -> Value {
    let text = json!({"type": "string"});
    json!([
        {"type": "function", "function": {"name": "write_note", "description": "Write a note.", "parameters":
            {"type": "object", "properties": {"name": text, "text": text}, "required": ["name", "text"]}}},
        {"type": "function", "function": {"name": "shell_echo", "description": "Echo a word.", "parameters":
            {"type": "object", "properties": {"word": text, "times": {"type": "integer"}}, "required": ["word", "times"]}}},
    ])
}

fn run(name: &str, arguments: &str) -> String {
    let a: Value = serde_json::from_str(arguments).expect("arguments");
    let text = |k: &str| a[k].as_str().expect("text").to_string();
    if name == "write_note" {
        let (name, note) = (text("name"), text("text"));
        let file = Path::new(&name).file_name().expect("name").to_owned();
        fs::write(Path::new(&var("CF_TEST_DIR")).join(file), &note).expect("write");
        return format!("wrote {} characters to {}", note.chars().count(), name);
    }
    let out = Command::new("/bin/sh").args(["-c", "echo \"$0 x $1\"", &text("word"), &a["times"].to_string()]).output();
    String::from_utf8(out.expect("sh").stdout).expect("UTF-8").trim().to_string()
}

fn main() {
    wait();
    let agent = ureq::AgentBuilder::new().build();
    let mut messages = vec![json!({"role": "system", "content": var("CF_TEST_SYSTEM")})];
    for prompt in [var("CF_TEST_PROMPT"), var("CF_TEST_FOLLOWUP")] {
        messages.push(json!({"role": "user", "content": prompt}));
        for _ in 0..MAX_TURNS {
            let answer: Value = agent
                .post(&(var("CF_TEST_BASE") + "/v1/chat/completions"))
                .set("authorization", &format!("Bearer {}", var("CF_TEST_KEY")))
                .send_json(json!({"model": var("CF_TEST_MODEL"), "messages": messages, "tools": tools()}))
                .expect("answer")
                .into_json()
                .expect("JSON");
            let message = answer["choices"][0]["message"].clone();
            messages.push(message.clone());
            let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
            for c in &calls {
                let f = &c["function"];
                let result = run(f["name"].as_str().expect("name"), f["arguments"].as_str().expect("arguments"));
                messages.push(json!({"role": "tool", "tool_call_id": c["id"], "content": result}));
            }
            if calls.is_empty() {
                println!("FINAL {}", message["content"]);
                break;
            }
        }
    }
}
