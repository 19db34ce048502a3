/* Values, errors, builders, and what each thread keeps. */
#include "tracer/tracer.h"

#include "base/limits.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static __thread char error_text[320];
static __thread struct thread *this_thread;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool have_key;

const char *cf_error(void)
{
	return error_text;
}

const char *cf_version(void)
{
	return CF_VERSION;
}

int fail(cf_code code, const char *place, const char *fmt, ...)
{
	int n = snprintf(error_text, sizeof(error_text), "%.120s: ", place);
	va_list ap;

	va_start(ap, fmt);
	if (n > 0 && (size_t)n < sizeof(error_text))
		vsnprintf(error_text + n, sizeof(error_text) - (size_t)n, fmt, ap);
	va_end(ap);
	return code;
}

int fail_errno(int err, const char *place)
{
	char text[80];

	if (err == -ENOMEM)
		return fail(CF_MEMORY, place, "out of memory");
	/* strerror is not for threads; the GNU form gives the text. */
	return fail(CF_IO, place, "%s", strerror_r(-err, text, sizeof(text)));
}

static void free_thread(void *p)
{
	struct thread *t = p;

	scopes_drop(t);
	arena_fini(&t->arena);
	buf_fini(&t->text);
	buf_fini(&t->line);
	free(t->scopes);
	free(t);
	this_thread = NULL;
}

static void make_key(void)
{
	have_key = pthread_key_create(&key, free_thread) == 0;
}

struct thread *thread_begin(void)
{
	struct thread *t = this_thread;

	if (!t) {
		pthread_once(&key_once, make_key);
		t = calloc(1, sizeof(*t));
		if (!t || !have_key || pthread_setspecific(key, t)) {
			free(t);
			fail(CF_MEMORY, "thread", "out of memory");
			return NULL;
		}
		buf_init(&t->text, LIMIT_STEP);
		buf_init(&t->line, LIMIT_STEP);
		this_thread = t;
	}
	/* A signal handler that records while this thread records would spoil both. */
	if (t->busy) {
		fail(CF_INVALID, "thread", "is recording already");
		return NULL;
	}
	t->busy = true;
	return t;
}

void thread_done(struct thread *t)
{
	arena_fini(&t->arena);
	if (t->text.cap > MIB)
		buf_fini(&t->text);
	if (t->line.cap > MIB)
		buf_fini(&t->line);
	t->busy = false;
}

static int put_value(struct buf *out, cf_value v, bool *repaired)
{
	switch (v.kind) {
	case CF_TEXT:
		return json_put_text(out, span_at(v.text, v.len), repaired);
	case CF_JSON:
		return buf_add(out, v.text, v.len);
	case CF_INT:
		return buf_printf(out, "%lld", (long long)v.as.integer);
	case CF_BOOL:
		return buf_add_text(out, v.as.integer ? "true" : "false");
	case CF_NULL:
		return buf_add_text(out, "null");
	default:
		break;
	}
	/* The writer of numbers is only known through members: {"n":1.5 */
	size_t before = out->len;
	int err = buf_add_char(out, '{');
	if (!err)
		err = json_put_member_double(out, "n", v.as.number);
	if (!err) {
		memmove(out->p + before, out->p + before + 5, out->len - before - 5);
		out->len -= 5;
	}
	return err;
}

static const char *value_wrong(cf_value v, cf_code *code)
{
	struct span value, rest;

	*code = CF_INVALID;
	if (v.kind < CF_ABSENT || v.kind > CF_NULL)
		return "is no cf_value";
	if (v.kind == CF_NUMBER && !isfinite(v.as.number))
		return "is no finite number";
	if (v.kind == CF_JSON && (json_value(span_at(v.text, v.len), &value, &rest) || span_trim(rest).len))
		return "is not JSON";
	*code = v.len > LIMIT_STEP / 2 ? CF_LIMIT : CF_MEMORY;
	return NULL;
}

static int value_fail(cf_code code, const char *of, const char *name, const char *why)
{
	char place[120];

	snprintf(place, sizeof(place), "%s%s%s", of ? of : "", of ? "." : "", name);
	return fail(code, place, "%s", why);
}

int value_raw(struct thread *t, cf_value v, const char *of, const char *name, struct span *out, bool *repaired)
{
	cf_code code;

	*out = SPAN_NONE;
	if (v.kind == CF_ABSENT)
		return 0;
	const char *wrong = value_wrong(v, &code);
	if (wrong)
		return value_fail(code, of, name, wrong);
	if (v.kind == CF_JSON) {
		*out = span_trim(span_at(v.text, v.len));
		return 0;
	}
	buf_clear(&t->text);
	if (!put_value(&t->text, v, repaired))
		*out = arena_copy(&t->arena, buf_span(&t->text));
	return out->p ? 0 : value_fail(code, of, name, "is too long, or out of memory");
}

#define BUILDER_DEPTH 128 /* a trace must load with readers that allow 200 levels */

struct cf_builder {
	struct buf out;
	char open[BUILDER_DEPTH];
	size_t depth;
	int error;
};

cf_builder *cf_builder_new(void)
{
	cf_builder *b = calloc(1, sizeof(*b));

	if (b)
		buf_init(&b->out, LIMIT_STEP);
	return b;
}

void cf_builder_free(cf_builder *b)
{
	if (!b)
		return;
	buf_fini(&b->out);
	free(b);
}

/* The comma and the key in front of a value. */
static int begin_value(cf_builder *b, const char *k)
{
	char in = b && b->depth ? b->open[b->depth - 1] : 0;

	if (!b)
		return fail(CF_INVALID, "builder", "is NULL");
	if (b->error)
		return b->error;
	if (!b->depth && b->out.len)
		return b->error = fail(CF_INVALID, "builder", "holds a whole value already");
	if ((in == '{') != (k != NULL))
		return b->error = fail(CF_INVALID, "builder", k ? "a key is only for members of objects" : "a member needs a key");
	if (k ? json_put_key(&b->out, k) : json_put_comma(&b->out))
		return b->error = fail(CF_LIMIT, "builder", "is too long, or out of memory");
	return 0;
}

static int open_container(cf_builder *b, const char *k, char bracket)
{
	int err = begin_value(b, k);

	if (err)
		return err;
	if (b->depth == BUILDER_DEPTH)
		return b->error = fail(CF_LIMIT, "builder", "is nested more than %d levels", BUILDER_DEPTH);
	if (buf_add_char(&b->out, bracket))
		return b->error = fail(CF_LIMIT, "builder", "is too long, or out of memory");
	b->open[b->depth++] = bracket;
	return 0;
}

int cf_builder_object(cf_builder *b, const char *k)
{
	return open_container(b, k, '{');
}

int cf_builder_array(cf_builder *b, const char *k)
{
	return open_container(b, k, '[');
}

int cf_builder_end(cf_builder *b)
{
	if (!b || b->error)
		return b ? b->error : fail(CF_INVALID, "builder", "is NULL");
	if (!b->depth)
		return b->error = fail(CF_INVALID, "builder", "nothing is open");
	if (buf_add_char(&b->out, b->open[--b->depth] == '{' ? '}' : ']'))
		return b->error = fail(CF_LIMIT, "builder", "is too long, or out of memory");
	return 0;
}

int cf_builder_put(cf_builder *b, const char *k, cf_value v)
{
	int err = begin_value(b, k);

	if (err)
		return err;
	if (v.kind <= CF_ABSENT || v.kind > CF_NULL)
		return b->error = fail(CF_INVALID, k ? k : "value", "is absent");
	if (v.kind == CF_JSON && !json_valid(span_at(v.text, v.len)))
		return b->error = fail(CF_INVALID, k ? k : "value", "is not JSON");
	if (v.kind == CF_NUMBER && !isfinite(v.as.number))
		return b->error = fail(CF_INVALID, k ? k : "value", "is no finite number");
	if (put_value(&b->out, v, NULL))
		return b->error = fail(CF_LIMIT, "builder", "is too long, or out of memory");
	return 0;
}

cf_value cf_builder_value(const cf_builder *b)
{
	if (!b || b->error || b->depth || !b->out.len)
		return cf_make_value(CF_ABSENT);
	return cf_json_n(b->out.p, b->out.len);
}

void cf_free(void *p)
{
	free(p);
}
