/* AWS Bedrock: converse in its own shape; invoke carries the vendor's, of which Anthropic's is read. */
#include "dialect/anthropic.h"
#include "dialect/bedrock.h"
#include "dialect/dialects.h"
#include "dialect/eventstream.h"

#include <errno.h>

enum op { OP_NONE, OP_CONVERSE, OP_INVOKE, OP_COUNT };

/* /model/{id}/{op} */
static enum op op_of(struct span path, struct span *model)
{
	static const struct {
		const char *tail;
		enum op op;
	} ops[] = {
		{ "/converse", OP_CONVERSE },  { "/converse-stream", OP_CONVERSE },
		{ "/invoke", OP_INVOKE },      { "/invoke-with-response-stream", OP_INVOKE },
		{ "/count-tokens", OP_COUNT },
	};
	struct span rest = span_find(path, SPAN("/model/"));

	if (!rest.p)
		return OP_NONE;
	rest = span_at(rest.p + 7, rest.len - 7);
	for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
		struct span tail = span_of(ops[i].tail);
		if (!span_ends(rest, tail) || rest.len == tail.len)
			continue;
		*model = span_at(rest.p, rest.len - tail.len);
		return ops[i].op;
	}
	return OP_NONE;
}

static int match(const struct exchange *ex)
{
	struct span model;

	return span_is(ex->method, "POST") && op_of(exchange_path(ex), &model) ? 90 : 0;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ARNs and versions come percent-encoded. */
static struct span unescaped(struct arena *a, struct span s)
{
	char *out = arena_alloc(a, s.len + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '%' && i + 2 < s.len && hex(s.p[i + 1]) >= 0 &&
		    hex(s.p[i + 2]) >= 0) {
			out[n++] = (char)(hex(s.p[i + 1]) << 4 | hex(s.p[i + 2]));
			i += 2;
		} else {
			out[n++] = s.p[i];
		}
	}
	return span_at(out, n);
}

static void read_exception(struct call *c, const struct aws_event *e)
{
	struct span message = json_valid(e->payload)
				      ? json_get_text(c->arena, span_trim(e->payload), "message")
				      : SPAN_NONE;

	c->error.type = e->type.len ? e->type : e->code.len ? e->code : SPAN("error");
	c->error.message = message.p ? message : e->message;
}

/* Vendor JSON inside {"bytes": base64}. */
static void invoke_event(struct call *c, struct anthropic_stream *s, const struct aws_event *e,
			 uint64_t ts_ns)
{
	struct span payload = read_json(c, e->payload),
		    bytes = read_text(c, json_get(payload, "bytes")), event;

	if (!bytes.p)
		return;
	event = read_json(c, base64_decode(c->arena, bytes));
	if (event.p && anthropic_stream_event(s, event) && !c->first_token_ns)
		c->first_token_ns = ts_ns;
}

struct reader {
	struct anthropic_stream *vendor;
	struct converse *converse;
	size_t events;
};

static void one_event(struct call *c, struct reader *r, const struct aws_event *e, uint64_t ts_ns)
{
	r->events++;
	if (e->exception)
		read_exception(c, e);
	else if (r->vendor)
		invoke_event(c, r->vendor, e, ts_ns);
	else if (converse_event(r->converse, e->type, read_json(c, e->payload)) &&
		 !c->first_token_ns)
		c->first_token_ns = ts_ns;
}

/* Frames hold one event each; else the body is the stream, and single arrival times are not known. */
static void read_stream(const struct exchange *ex, struct call *c, struct reader *r)
{
	struct span rest = ex->response.body;
	struct aws_event e;
	int err;

	for (size_t i = 0; i < ex->n_frames; i++) {
		const struct frame *f = &ex->frames[i];
		struct span one = f->data;
		if (f->after_gap)
			read_incomplete(c, "gap");
		if (aws_event_next(&one, &e) != 1)
			e = (struct aws_event){ .type = f->name, .payload = f->data };
		one_event(c, r, &e, f->ts_ns);
	}
	while ((err = aws_event_next(&rest, &e)) == 1)
		one_event(c, r, &e, 0);
	if (err)
		read_incomplete(c, err == -EAGAIN ? "body cut" : "malformed event");
}

/* Models of other vendors: what most of them call prompt and answer. */
static void read_foreign(const struct exchange *ex, struct call *c, struct span body)
{
	struct span prompt, input, generation, results, outputs, answer = SPAN_NONE, response;
	struct draft d;

	PICK(body, { "prompt", &prompt }, { "inputText", &input });
	if (prompt.p || input.p) {
		struct message *m = call_add_message(c);
		draft_init(&d, c, ROLE_USER);
		draft_text(&d, prompt.p ? prompt : input);
		if (m)
			draft_finish(&d, m);
	}
	response = ex->status < 400 && !c->stream ? read_response(ex, c) : SPAN_NONE;
	PICK(response, { "generation", &generation }, { "results", &results },
	     { "outputs", &outputs });
	if (generation.p)
		answer = generation;
	else if (results.p)
		answer = json_get(json_at(results, 0), "outputText");
	else if (outputs.p)
		answer = json_get(json_at(outputs, 0), "text");
	if (!answer.p) {
		read_meta(c, "response", response);
		return;
	}
	draft_init(&d, c, ROLE_ASSISTANT);
	draft_text(&d, answer);
	call_set_answer(c, &d, json_get(response, "stop_reason"));
}

static void read_token_headers(const struct exchange *ex, struct call *c)
{
	static const char in[] = "x-amzn-bedrock-input-token-count",
			  out[] = "x-amzn-bedrock-output-token-count";
	uint64_t n;

	if (c->tokens_in < 0 && span_u64(http_field(&ex->response, in), &n) && n <= INT64_MAX)
		c->tokens_in = (int64_t)n;
	if (c->tokens_out < 0 && span_u64(http_field(&ex->response, out), &n) && n <= INT64_MAX)
		c->tokens_out = (int64_t)n;
}

static void read_invoke(const struct exchange *ex, struct call *c, struct span body)
{
	struct reader r = { 0 };

	if (!json_get(body, "anthropic_version").p) {
		read_foreign(ex, c, body);
	} else {
		struct span model = c->model_requested;
		r.vendor = anthropic_stream_new(c);
		anthropic_request(c, body);
		c->model_requested = model;
		if (c->stream)
			read_stream(ex, c, &r);
		else if (ex->status < 400)
			anthropic_stream_message(r.vendor, read_response(ex, c));
		anthropic_stream_finish(r.vendor, r.events > 0);
	}
	read_token_headers(ex, c);
}

static void read_call(const struct exchange *ex, struct call *c)
{
	struct span model = SPAN_NONE, body = read_request(ex, c),
		    type = http_field(&ex->response, "content-type");
	enum op op = op_of(exchange_path(ex), &model);
	struct reader r = { 0 };

	c->model_requested = unescaped(c->arena, model);
	c->stream = span_ends(exchange_path(ex), SPAN("-stream"));
	if (op == OP_COUNT) {
		c->kind = CALL_COUNT;
		read_count_into(json_get(read_response(ex, c), "inputTokens"), &c->tokens_in);
		return;
	}
	if (op == OP_INVOKE) {
		read_invoke(ex, c, body);
		return;
	}
	converse_request(c, body);
	r.converse = converse_new(c);
	if (c->stream && ex->status < 400 && !span_istarts(type, SPAN("application/json")))
		read_stream(ex, c, &r);
	else if (ex->status < 400)
		converse_whole(r.converse, read_response(ex, c));
	converse_finish(r.converse, r.events > 0);
}

const struct dialect dialect_bedrock = { "bedrock", match, read_call, "bedrock" };
