/* Shapes of secrets: one row each. A scan looks only at the beginnings of words, so the rows cost little. */
#include "base/redact.h"

#include <stdlib.h>

/* Sets of characters. */
enum {
	ALNUM = 1,
	DASH = 2,   /* - and _ */
	DOT = 4,    /* . */
	BASE64 = 8, /* + / = */
	UPPER = 16, /* A-Z 0-9 only */
	TILDE = 32, /* ~ and ! */
	URL = 64,   /* anything that may stand in a query value */
};

static const unsigned char char_sets[256] = {
	['0' ... '9'] = ALNUM | UPPER | URL, ['A' ... 'Z'] = ALNUM | UPPER | URL, ['a' ... 'z'] = ALNUM | URL,
	['-'] = DASH | URL, ['_'] = DASH | URL, ['.'] = DOT | URL, ['+'] = BASE64 | URL, ['/'] = BASE64 | URL,
	['='] = BASE64 | URL, ['~'] = TILDE | URL, ['!'] = TILDE | URL, ['%'] = URL, ['*'] = URL, [':'] = URL,
};

#define TOKEN (ALNUM | DASH)

/* What the part behind the prefix must be besides long enough. */
enum need {
	NEED_NOTHING,
	NEED_RANDOM, /* 16 letters and digits in a row, both among them: words with dashes are no keys */
	NEED_EXACT,  /* as long as `min` and not longer */
	NEED_DIGIT,
};

struct shape {
	const char *kind;
	const char *prefix;
	unsigned set;  /* of what follows the prefix */
	unsigned min;  /* length of it */
	enum need need;
};

/* Longer prefixes first: the first that fits names the kind. */
static const struct shape shapes[] = {
	{ "anthropic", "sk-ant-", TOKEN, 16, NEED_NOTHING },
	{ "openrouter", "sk-or-v1-", ALNUM, 32, NEED_NOTHING },
	{ "openai", "sk-proj-", TOKEN, 20, NEED_DIGIT },
	{ "openai", "sk-svcacct-", TOKEN, 20, NEED_DIGIT },
	{ "openai", "sk-admin-", TOKEN, 20, NEED_DIGIT },
	{ "langfuse", "sk-lf-", TOKEN, 32, NEED_DIGIT },
	{ "api-key", "sk-", TOKEN, 20, NEED_RANDOM },
	{ "stripe", "sk_live_", ALNUM, 16, NEED_NOTHING },
	{ "stripe", "sk_test_", ALNUM, 16, NEED_NOTHING },
	{ "stripe", "rk_live_", ALNUM, 16, NEED_NOTHING },
	{ "shopify", "shpat_", ALNUM, 32, NEED_NOTHING },
	{ "sendgrid", "SG.", TOKEN | DOT, 40, NEED_DIGIT },
	{ "azure", "SharedAccessKey=", ALNUM | BASE64, 32, NEED_NOTHING },
	{ "google", "AIza", TOKEN, 35, NEED_EXACT },
	{ "aws", "AKIA", UPPER, 16, NEED_EXACT },
	{ "aws", "ASIA", UPPER, 16, NEED_EXACT },
	{ "azure", "AccountKey=", ALNUM | BASE64, 40, NEED_NOTHING },
	{ "age", "AGE-SECRET-KEY-1", UPPER, 50, NEED_NOTHING },
	{ "groq", "gsk_", ALNUM, 20, NEED_DIGIT },
	{ "github", "github_pat_", TOKEN, 22, NEED_DIGIT },
	{ "github", "ghp_", ALNUM, 30, NEED_NOTHING },
	{ "github", "gho_", ALNUM, 30, NEED_NOTHING },
	{ "github", "ghu_", ALNUM, 30, NEED_NOTHING },
	{ "github", "ghs_", ALNUM, 30, NEED_NOTHING },
	{ "github", "ghr_", ALNUM, 30, NEED_NOTHING },
	{ "gitlab", "glpat-", TOKEN, 20, NEED_NOTHING },
	{ "google", "ya29.", TOKEN, 20, NEED_DIGIT },
	{ "google", "GOCSPX-", TOKEN, 24, NEED_NOTHING },
	{ "slack", "xoxb-", TOKEN, 10, NEED_DIGIT },
	{ "slack", "xoxp-", TOKEN, 10, NEED_DIGIT },
	{ "slack", "xoxa-", TOKEN, 10, NEED_DIGIT },
	{ "slack", "xoxr-", TOKEN, 10, NEED_DIGIT },
	{ "slack", "xoxs-", TOKEN, 10, NEED_DIGIT },
	{ "slack", "xoxe-", TOKEN, 10, NEED_DIGIT },
	{ "slack", "xoxe.", TOKEN | DOT, 20, NEED_DIGIT },
	{ "slack", "xapp-", TOKEN, 20, NEED_DIGIT },
	{ "xai", "xai-", ALNUM, 40, NEED_NOTHING },
	{ "huggingface", "hf_", ALNUM, 30, NEED_NOTHING },
	{ "replicate", "r8_", ALNUM, 30, NEED_NOTHING },
	{ "perplexity", "pplx-", ALNUM, 30, NEED_NOTHING },
	{ "pypi", "pypi-AgE", TOKEN, 50, NEED_NOTHING },
	{ "npm", "npm_", ALNUM, 36, NEED_NOTHING },
	{ "nvidia", "nvapi-", TOKEN, 40, NEED_NOTHING },
	{ "tavily", "tvly-", TOKEN, 20, NEED_DIGIT },
	{ "langsmith", "lsv2_pt_", TOKEN, 32, NEED_NOTHING },
	{ "langsmith", "lsv2_sk_", TOKEN, 32, NEED_NOTHING },
	{ "digitalocean", "dop_v1_", ALNUM, 40, NEED_NOTHING },
	{ "cerebras", "csk-", ALNUM, 40, NEED_NOTHING },
	{ NULL },
};

/* Names of parameters in a query, and how long the value must be; `random`: the name alone says too little. */
static const struct {
	const char *name;
	unsigned min;
	bool random;
} query_keys[] = {
	{ "key", 16, true },           { "api_key", 4, false },      { "apikey", 4, false },
	{ "api-key", 4, false },       { "access_token", 4, false }, { "refresh_token", 4, false },
	{ "id_token", 4, false },      { "token", 16, true },        { "auth_token", 4, false },
	{ "client_secret", 4, false }, { "secret", 8, false },       { "password", 1, false },
	{ "sig", 16, true },           { "signature", 16, true },    { "x-amz-signature", 16, false },
	{ "x-amz-security-token", 16, false },                       { "x-goog-signature", 16, false },
	{ NULL },
};

/*
 * What may start a secret: its first character, and (as bits, by their low six bits) the second. Every row above and
 * every finder below must be in here. WORD: only at the beginning of a word.
 */
#define WORD 0x8000000000000000ull
#define C(c) (1ull << ((c) & 63))
static const uint64_t pairs[256] = {
	['s'] = WORD | C('k') | C('h'), ['S'] = WORD | C('G') | C('h'), ['r'] = WORD | C('k') | C('8'),
	['A'] = WORD | C('I') | C('K') | C('S') | C('G') | C('c') | C('W') | C('w'), ['a'] = WORD | C('w') | C('W'),
	['g'] = WORD | C('s') | C('i') | C('h') | C('l'), ['G'] = WORD | C('O'), ['y'] = WORD | C('a'),
	['x'] = WORD | C('o') | C('a'), ['h'] = WORD | C('f'), ['p'] = WORD | C('p') | C('y'), ['n'] = WORD | C('p') | C('v'),
	['t'] = WORD | C('v'), ['l'] = WORD | C('s'), ['d'] = WORD | C('o'), ['c'] = WORD | C('s'), ['e'] = WORD | C('y'),
	['b'] = WORD | C('e') | C('E'), ['B'] = WORD | C('e') | C('E'),
	['-'] = C('-'), [':'] = C('/'), ['?'] = ~WORD, ['&'] = ~WORD, ['\\'] = ~WORD,
};

static bool in_set(char c, unsigned set)
{
	return char_sets[(unsigned char)c] & set;
}

static size_t run_of(struct span t, size_t at, unsigned set)
{
	size_t n = 0;

	while (at + n < t.len && in_set(t.p[at + n], set))
		n++;
	return n;
}

static bool has_digit(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i] >= '0' && p[i] <= '9')
			return true;
	return false;
}

static bool is_random(const char *p, size_t len)
{
	size_t run = 0;
	bool digit = false, letter = false;

	for (size_t i = 0; i < len; i++) {
		if (!in_set(p[i], ALNUM)) {
			run = 0;
			digit = letter = false;
			continue;
		}
		bool d = p[i] >= '0' && p[i] <= '9';
		digit |= d;
		letter |= !d;
		if (++run >= 16 && digit && letter)
			return true;
	}
	return false;
}

static bool starts(struct span t, size_t at, const char *with)
{
	size_t n = strlen(with);

	return t.len - at >= n && memcmp(t.p + at, with, n) == 0;
}

static bool istarts(struct span t, size_t at, const char *with)
{
	size_t n = strlen(with);

	return t.len - at >= n && span_ieq(span_at(t.p + at, n), span_at(with, n));
}

static bool fits(const struct shape *s, struct span t, size_t at, size_t *len)
{
	size_t prefix = strlen(s->prefix), n = run_of(t, at + prefix, s->set);
	const char *p = t.p + at + prefix;

	*len = prefix + n;
	if (run_of(t, at + *len, ALNUM)) /* the word goes on */
		return false;
	switch (s->need) {
	case NEED_EXACT:
		return n == s->min;
	case NEED_RANDOM:
		return n >= s->min && is_random(p, n);
	case NEED_DIGIT:
		return n >= s->min && has_digit(p, n);
	default:
		return n >= s->min;
	}
}

/* Three parts of base64url with dots; the first two are JSON objects ("eyJ" is `{"`). */
static size_t jwt_len(struct span t, size_t at)
{
	size_t head = run_of(t, at, TOKEN), dot = at + head;

	if (head < 10 || dot + 4 >= t.len || t.p[dot] != '.' || !starts(t, dot + 1, "ey"))
		return 0;
	size_t body = run_of(t, dot + 1, TOKEN), second = dot + 1 + body;
	if (body < 10 || second >= t.len || t.p[second] != '.')
		return 0;
	return second + 1 + run_of(t, second + 1, TOKEN) - at;
}

static bool find_shape(struct span t, size_t at, struct secret *out)
{
	for (const struct shape *s = shapes; s->kind; s++) {
		if (s->prefix[0] == t.p[at] && starts(t, at, s->prefix) && fits(s, t, at, &out->len)) {
			out->kind = s->kind;
			out->at = at;
			return true;
		}
	}
	size_t jwt = starts(t, at, "eyJ") ? jwt_len(t, at) : 0;
	if (!jwt)
		return false;
	*out = (struct secret){ "jwt", at, jwt };
	return true;
}

/* "Bearer xyz": the scheme stays. */
static bool find_bearer(struct span t, size_t at, struct secret *out)
{
	static const char scheme[] = "bearer ";
	size_t from = at + sizeof(scheme) - 1, n;

	if (!istarts(t, at, scheme))
		return false;
	if (from < t.len && find_shape(t, from, out))
		return true;
	n = run_of(t, from, TOKEN | DOT | BASE64 | TILDE);
	if (n < 16 || !has_digit(t.p + from, n))
		return false;
	*out = (struct secret){ "bearer", from, n };
	return true;
}

/* aws_secret_access_key, then a few signs, then 40 characters. */
static bool find_aws_secret(struct span t, size_t at, struct secret *out)
{
	static const char name[] = "aws_secret_access_key";
	size_t from = at + sizeof(name) - 1, end = from + 8;

	if (!istarts(t, at, name))
		return false;
	while (from < t.len && from < end && !in_set(t.p[from], ALNUM))
		from++;
	size_t n = run_of(t, from, ALNUM | BASE64);
	if (n != 40)
		return false;
	*out = (struct secret){ "aws", from, n };
	return true;
}

/* scheme://user:password@host: only the password. */
static bool find_password(struct span t, size_t at, struct secret *out)
{
	size_t i = at + 3, colon = 0;

	if (!starts(t, at, "://") || !at || !in_set(t.p[at - 1], ALNUM))
		return false;
	for (size_t end = i + 512; i < t.len && i < end; i++) {
		char c = t.p[i];
		if (c == '@')
			break;
		if ((unsigned char)c <= ' ' || strchr("/?#\"'\\<>`", c))
			return false;
		if (c == ':' && !colon)
			colon = i + 1;
	}
	if (i >= t.len || t.p[i] != '@' || !colon || !run_of(t, colon, ALNUM | DASH | DOT | TILDE | URL))
		return false;
	*out = (struct secret){ "password", colon, i - colon };
	return out->len > 0;
}

/* Behind ? or &: name=value. */
static bool find_query_key(struct span t, size_t at, struct secret *out)
{
	for (size_t i = 0; query_keys[i].name; i++) {
		size_t n = strlen(query_keys[i].name), from = at + n + 1;
		if (from >= t.len || t.p[at + n] != '=' || !istarts(t, at, query_keys[i].name))
			continue;
		size_t len = run_of(t, from, URL);
		if (len < query_keys[i].min || (query_keys[i].random && !has_digit(t.p + from, len)))
			return false;
		*out = (struct secret){ "url-key", from, len };
		if (!find_shape(t, from, out))
			*out = (struct secret){ "url-key", from, len };
		out->len = len;
		return true;
	}
	return false;
}

/* As much of a key as there is when its end is missing: base64, blanks, and escapes of JSON. */
static size_t pem_body(struct span t, size_t at)
{
	size_t i = at;

	while (i < t.len) {
		if (in_set(t.p[i], ALNUM | BASE64 | DASH) || strchr(" \r\n\t:,", t.p[i]))
			i++;
		else if (t.p[i] == '\\' && i + 1 < t.len && strchr("nrt\\", t.p[i + 1]) && t.p[i + 1])
			i += 2;
		else
			break;
	}
	return i;
}

static bool find_pem(struct span t, size_t at, struct secret *out)
{
	static const char mark[] = "PRIVATE KEY-----";
	size_t i = at + 11;

	if (!starts(t, at, "-----BEGIN "))
		return false;
	while (i < t.len && i < at + 40 && !starts(t, i, mark))
		i++;
	if (i >= t.len || !starts(t, i, mark))
		return false;
	size_t body = i + sizeof(mark) - 1, stop = pem_body(t, body);
	/* The end is searched for only in what can be part of a key. */
	struct span end = span_find(span_at(t.p + body, stop - body), span_of(mark));
	*out = (struct secret){ "private-key", at, (end.p ? (size_t)(end.p - t.p) + sizeof(mark) - 1 : stop) - at };
	return true;
}

/* Where the next word may begin: behind an escape of JSON ("\nsk-..."). */
static size_t escape_len(struct span t, size_t at)
{
	if (at + 1 < t.len && t.p[at + 1] == 'u')
		return 6;
	return 2;
}

static bool find_word(struct span t, size_t at, struct secret *out)
{
	char c = t.p[at];

	if (find_shape(t, at, out))
		return true;
	if ((c == 'B' || c == 'b') && find_bearer(t, at, out))
		return true;
	return (c == 'a' || c == 'A') && find_aws_secret(t, at, out);
}

static bool find_here(struct span t, size_t at, struct secret *out)
{
	switch (t.p[at]) {
	case '-':
		return find_pem(t, at, out);
	case ':':
		return find_password(t, at, out);
	case '\\':
		return starts(t, at, "\\u0026") && find_query_key(t, at + 6, out);
	default:
		return find_query_key(t, at + 1, out);
	}
}

bool secret_find(struct span t, size_t from, struct secret *out)
{
	size_t i = from, behind_escape = t.len;

	while (i + 1 < t.len) { /* a secret has more than one character */
		unsigned char c = (unsigned char)t.p[i];
		uint64_t second = pairs[c];
		if (second & C(t.p[i + 1])) {
			bool in_word = i && i != behind_escape && in_set(t.p[i - 1], TOKEN);
			if (second & WORD ? !in_word && find_word(t, i, out) : find_here(t, i, out))
				return true;
		}
		if (c == '\\') {
			i += escape_len(t, i);
			behind_escape = i;
			continue;
		}
		i++;
	}
	return false;
}
