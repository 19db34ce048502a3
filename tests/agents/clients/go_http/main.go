// Chat completions by net/http alone: whole | stream. The same environment as common.py; the CA comes by SSL_CERT_FILE.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

const maxTurns = 12

type call struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type message struct {
	Role       string  `json:"role"`
	Content    *string `json:"content"`
	ToolCalls  []call  `json:"tool_calls,omitempty"`
	ToolCallID string  `json:"tool_call_id,omitempty"`
}

const tools = `[{"type":"function","function":{"name":"write_note","description":"Write a note.","parameters":
{"type":"object","properties":{"name":{"type":"string"},"text":{"type":"string"}},"required":["name","text"]}}},
{"type":"function","function":{"name":"shell_echo","description":"Echo a word.","parameters":
{"type":"object","properties":{"word":{"type":"string"},"times":{"type":"integer"}},"required":["word","times"]}}}]`

func wait() {
	path, end := os.Getenv("CF_TEST_WAIT"), time.Now().Add(2*time.Minute)
	for path != "" {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			panic("never released")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(c call) string {
	var a struct {
		Name, Text, Word string
		Times            int
	}
	must(json.Unmarshal([]byte(c.Function.Arguments), &a))
	if c.Function.Name == "write_note" {
		must(os.WriteFile(filepath.Join(os.Getenv("CF_TEST_DIR"), filepath.Base(a.Name)), []byte(a.Text), 0o644))
		return fmt.Sprintf("wrote %d characters to %s", utf8.RuneCountInString(a.Text), a.Name)
	}
	out, err := exec.Command("/bin/sh", "-c", `echo "$0 x $1"`, a.Word, fmt.Sprint(a.Times)).Output()
	must(err)
	return strings.TrimSpace(string(out))
}

func post(stream bool, messages []message) io.ReadCloser {
	body, err := json.Marshal(map[string]any{"model": os.Getenv("CF_TEST_MODEL"), "messages": messages,
		"tools": json.RawMessage(tools), "stream": stream})
	must(err)
	r, err := http.NewRequest("POST", os.Getenv("CF_TEST_BASE")+"/v1/chat/completions", bytes.NewReader(body))
	must(err)
	r.Header.Set("content-type", "application/json")
	r.Header.Set("authorization", "Bearer "+os.Getenv("CF_TEST_KEY"))
	answer, err := http.DefaultClient.Do(r)
	must(err)
	if answer.StatusCode != 200 {
		must(fmt.Errorf("%s", answer.Status))
	}
	return answer.Body
}

// What the pieces of a stream add up to.
func gather(body io.Reader) message {
	m, text := message{Role: "assistant"}, ""
	for lines := bufio.NewReader(body); ; {
		line, err := lines.ReadString('\n')
		data, isData := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if isData && data != "[DONE]" {
			var event struct {
				Choices []struct {
					Delta struct {
						Content   string
						ToolCalls []struct {
							Index int
							call
						} `json:"tool_calls"`
					}
				}
			}
			must(json.Unmarshal([]byte(data), &event))
			for _, c := range event.Choices {
				text += c.Delta.Content
				for _, t := range c.Delta.ToolCalls {
					for len(m.ToolCalls) <= t.Index {
						m.ToolCalls = append(m.ToolCalls, call{Type: "function"})
					}
					to := &m.ToolCalls[t.Index]
					to.ID += t.ID
					to.Function.Name += t.Function.Name
					to.Function.Arguments += t.Function.Arguments
				}
			}
		}
		if err != nil {
			m.Content = &text
			return m
		}
	}
}

func ask(stream bool, messages []message) message {
	body := post(stream, messages)
	defer body.Close()
	if stream {
		return gather(body)
	}
	var answer struct{ Choices []struct{ Message message } }
	all, err := io.ReadAll(body)
	must(err)
	must(json.Unmarshal(all, &answer))
	return answer.Choices[0].Message
}

func main() {
	wait()
	system := os.Getenv("CF_TEST_SYSTEM")
	messages := []message{{Role: "system", Content: &system}}
	for _, name := range []string{"CF_TEST_PROMPT", "CF_TEST_FOLLOWUP"} {
		prompt := os.Getenv(name)
		if prompt == "" {
			continue
		}
		messages = append(messages, message{Role: "user", Content: &prompt})
		for i := 0; i < maxTurns; i++ {
			m := ask(os.Args[1] == "stream", messages)
			messages = append(messages, m)
			for _, c := range m.ToolCalls {
				result := run(c)
				messages = append(messages, message{Role: "tool", ToolCallID: c.ID, Content: &result})
			}
			if len(m.ToolCalls) == 0 {
				text, _ := json.Marshal(m.Content)
				fmt.Println("FINAL " + string(text))
				break
			}
		}
	}
}
