/* What is a secret and goes, what only looks like one and stays. */
#include "base/json.h"
#include "base/redact.h"
#include "trace/model_redact.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static struct redactor *r;
static struct buf out;

static void setup(void)
{
	struct redact_options o = { .salt = { 1, 2 } };
	char why[REDACT_WHY];

	ck_assert_int_eq(redactor_new(&o, &r, why), 0);
	buf_init(&out, 1 << 26);
}

static void teardown(void)
{
	redactor_free(r);
	buf_fini(&out);
}

/* Pieces are joined at run time: this file itself should hold nothing that a scanner would report. */
#define A20 "a1B2c3D4e5F6g7H8i9J0"
#define A40 A20 A20
#define UP16 "ABCDEFGH12345678"

static const struct {
	const char *text; /* with the secret between < and > */
	const char *kind;
} secrets[] = {
	{ "key <sk-" A40 "> end", "api-key" },
	{ "<sk-ant-" "api03-" A40 "-" A20 ">", "anthropic" },
	{ "<sk-proj-" A40 "_" A20 ">", "openai" },
	{ "<sk-or-v1-" A40 A20 ">", "openrouter" },
	{ "(<AIza" A20 "-_" "abcdefghijk12>)", "google" },
	{ "<gsk_" A40 ">", "groq" },
	{ "<xox" "b-123456789012-" A20 ">", "slack" },
	{ "<ghp_" A20 "abcdefghij123456>", "github" },
	{ "<github_pat_" A20 "_" A40 ">", "github" },
	{ "<glpat-" A20 ">", "gitlab" },
	{ "<AKIA" UP16 ">", "aws" },
	{ "aws_secret_access_key = <" A20 "/" "abcdefghijk+1234567>\n", "aws" },
	{ "AWS_SECRET_ACCESS_KEY=\"<" A40 ">\"", "aws" },
	{ "<eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-_123>.", "jwt" },
	{ "-H 'Authorization: Bearer <" A40 ">'", "bearer" },
	{ "bearer <sk-" A40 ">", "api-key" },
	{ "postgres://me:<hunter2>@db.local:5432/x", "password" },
	{ "redis://:<p4ss-w0rd>@cache", "password" },
	{ "https://x.example/a?b=1&api_key=<zxcv>&c=2", "url-key" },
	{ "/v1/models?key=<0123456789abcdef>", "url-key" },
	{ "<hf_" A20 "abcdefghijklmn>", "huggingface" },
	{ "<npm_" A20 "abcdefghij123456>", "npm" },
	{ "a\\n<sk-" A40 ">\\nb", "api-key" },
	{ "a\\u0022<sk-" A40 ">\\u0022", "api-key" },
	{ "x?a=b\\u0026access_token=<abcd1234>\\u0026", "url-key" },
	{ "=<sk-" A40 ">", "api-key" },
	{ "<-----BEGIN RSA PRIVATE KEY-----\nMIIE" A40 "\n" A40 "==\n-----END RSA PRIVATE KEY----->\n", "private-key" },
	{ "\"<-----BEGIN PRIVATE KEY-----\\nMIIE" A40 "\\n-----END PRIVATE KEY----->\\n\"", "private-key" },
	{ "\"<-----BEGIN EC PRIVATE KEY-----\\nMIIE" A40 ">\"", "private-key" },
	{ "<sk_live_" A20 ">", "stripe" },
	{ "<sk_test_" A20 ">", "stripe" },
	{ "<rk_live_" A20 ">", "stripe" },
	{ "<sk-svcacct-" A40 ">", "openai" },
	{ "<sk-admin-" A40 ">", "openai" },
	{ "<sk-lf-" A40 ">", "langfuse" },
	{ "<shpat_" A40 ">", "shopify" },
	{ "<SG." A20 "." A40 ">", "sendgrid" },
	{ "<SharedAccessKey=" A40 "=>;", "azure" },
	{ "<AccountKey=" A40 A20 "==>;", "azure" },
	{ "<ASIA" UP16 ">", "aws" },
	{ "<AGE-SECRET-KEY-1" UP16 UP16 UP16 UP16 ">", "age" },
	{ "<gho_" A40 ">", "github" },
	{ "<ghu_" A40 ">", "github" },
	{ "<ghs_" A40 ">", "github" },
	{ "<ghr_" A40 ">", "github" },
	{ "<ya29." A40 ">", "google" },
	{ "<GOCSPX-" A40 ">", "google" },
	{ "<xox" "p-" A20 ">", "slack" },
	{ "<xapp-" A20 ">", "slack" },
	{ "<xai-" A40 ">", "xai" },
	{ "<r8_" A40 ">", "replicate" },
	{ "<pplx-" A40 ">", "perplexity" },
	{ "<pypi-AgE" A40 A40 ">", "pypi" },
	{ "<nvapi-" A40 ">", "nvidia" },
	{ "<tvly-" A40 ">", "tavily" },
	{ "<lsv2_pt_" A40 ">", "langsmith" },
	{ "<dop_v1_" A40 ">", "digitalocean" },
	{ "<csk-" A40 ">", "cerebras" },
	{ "BEARER <" A20 ">", "bearer" },
};

START_TEST(secrets_go)
{
	const char *text = secrets[_i].text, *open = strchr(text, '<'), *close = strrchr(text, '>');
	char plain[600], want[700];
	size_t before = (size_t)(open - text), len = (size_t)(close - open - 1);

	ck_assert(open && close);
	snprintf(plain, sizeof(plain), "%.*s%.*s%s", (int)before, text, (int)len, open + 1, close + 1);
	ck_assert_msg(redact_text(r, span_of(plain), &out) == 1, "%s -> %s", plain, buf_text(&out));
	snprintf(want, sizeof(want), "%.*s[REDACTED:%s:", (int)before, text, secrets[_i].kind);
	ck_assert_msg(strncmp(buf_text(&out), want, strlen(want)) == 0, "%s is not %s", out.p, want);
	ck_assert_str_eq(buf_text(&out) + strlen(want) + 8, (snprintf(want, sizeof(want), "]%s", close + 1), want));
	/* Once more changes nothing. */
	struct buf again;
	buf_init(&again, 1 << 20);
	ck_assert_int_eq(redact_text(r, buf_span(&out), &again), 0);
	buf_fini(&again);
	/* In place: same length, nothing of it left. */
	char masked[600];
	strcpy(masked, plain);
	ck_assert_uint_ge(redact_mask(r, masked, strlen(masked)), 1);
	ck_assert_uint_eq(strlen(masked), strlen(plain));
	ck_assert_int_eq(strncmp(masked, plain, before), 0);
	ck_assert_str_eq(masked + before + len, close + 1);
	ck_assert_ptr_null(memmem(masked, strlen(masked), plain + before + len / 2, len - len / 2));
}
END_TEST

static const char *const innocent[] = {
	"pip install scikit-learn sk-learn sk-toggleable__label-arrow sk-container-id-1",
	"commit 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
	"id 7d5f2c1e-0b7a-4c55-9d0e-3f2b1a0c9d8e",
	"task-" A40 " risk-" A40 " mask-" A20,
	"eyJhbGciOiJIUzI1NiJ9 alone, eyJ.eyJ.x",
	"AKIAIOSFODNN7 and AKIA" UP16 "9 and xAKIA" UP16,
	"AIza too short, AIza" A40,
	"http://localhost:8080/a@b https://[::1]:443/ ssh://git@host:22/x mailto:a@b.c",
	"Bearer authentication is used; a bearer of good news",
	"?key=name&monkey=banana&token=next&sort=asc",
	"-----BEGIN CERTIFICATE-----\nMIIB" A40 "\n-----END CERTIFICATE-----",
	"-----BEGIN PUBLIC KEY-----\nMIIB" A40 "\n-----END PUBLIC KEY-----",
	"ghp_short hf_hub_download gsk_small xoxb- npm_config_cache npm_lifecycle_event",
	"data:image/png;base64," A40 A40,
	"sk-estimator-doc-link-version-two-arrow", "chatcmpl-" A20, "msg_01" A20, "call_" A20, "toolu_01" A20,
	"sha256-" A40 "=", "req_011CS" A20, "resp_" A40,
	"the password is secret: no", "C:\\Users\\sk-x\\n",
	"", "s", "sk", "sk-", "-", "-----BEGIN ", ":", "://", "\\", "\\u", "?", "&", "?key=", "eyJ", "Bearer ", "a://b:",
};

START_TEST(the_rest_stays)
{
	struct span text = span_of(innocent[_i]);
	char masked[400];

	ck_assert_msg(redact_text(r, text, &out) == 0, "%s -> %s", innocent[_i], buf_text(&out));
	ck_assert(span_eq(buf_span(&out), text));
	strcpy(masked, innocent[_i]);
	ck_assert_uint_eq(redact_mask(r, masked, strlen(masked)), 0);
	ck_assert_str_eq(masked, innocent[_i]);
}
END_TEST

START_TEST(equal_secrets_have_equal_names_within_a_run)
{
	struct redact_options other = { .salt = { 3, 4 } };
	struct redactor *r2;
	struct buf out2;
	char why[REDACT_WHY];

	ck_assert_int_eq(redact_text(r, SPAN("sk-" A40 " sk-" A40 "x"), &out), 2);
	ck_assert_int_ne(strncmp(out.p, strchr(buf_text(&out), ' ') + 1, 27), 0);
	ck_assert_int_eq(redactor_new(&other, &r2, why), 0);
	buf_init(&out2, 1000);
	ck_assert_int_eq(redact_text(r2, SPAN("sk-" A40), &out2), 1);
	ck_assert_int_ne(strncmp(out.p, out2.p, 27), 0); /* another run: another name */
	buf_clear(&out2);
	ck_assert_int_eq(redact_text(r, SPAN("sk-" A40), &out2), 1);
	ck_assert_int_eq(strncmp(out.p, out2.p, 27), 0);
	buf_fini(&out2);
	redactor_free(r2);
}
END_TEST

START_TEST(json_stays_json)
{
	static const char raw[] = "{\"url\":\"https://u:p4ss@h/?api_key=abcd\",\"pem\":\"-----BEGIN PRIVATE KEY-----\\nMII\\n" A40
		"\",\"t\":[\"\\\\\",\"x\\\\\\\"sk-" A40 "\\\\\\\"\",\"\\n\\tghp_" A40 "\"],\"n\":9223372036854775807}";
	struct span value;

	ck_assert(json_valid(SPAN(raw)));
	ck_assert_int_eq(redact_json(r, SPAN(raw), &out), 5);
	ck_assert_int_eq(json_value(buf_span(&out), &value, NULL), 0);
	ck_assert(span_is(json_get(value, "n"), "9223372036854775807"));
	ck_assert_ptr_null(strstr(buf_text(&out), A20));
	ck_assert_ptr_null(strstr(buf_text(&out), "p4ss"));
	ck_assert_uint_eq(json_count(json_get(value, "t")), 3);
}
END_TEST

/* Whatever stands around and inside of a secret: JSON in gives JSON out, and the secret is gone. */
START_TEST(json_stays_json_for_any_text)
{
	static const char *const pieces[] = { "sk-" A40, "\\n", "\\\\", "\\\"", "\\u0026key=", "-----BEGIN PRIVATE KEY-----",
					      "://a:", "@", "?token=", "Bearer ", "x", " ", "=", "AKIA" UP16, "\\u00e9", "\xc3\xa9" };
	unsigned seed = 1;

	for (int i = 0; i < 20000; i++) {
		char raw[1200] = "[\"";
		struct span value;
		for (int n = 0; n < 8; n++) {
			seed = seed * 1103515245 + 12345;
			strcat(raw, pieces[(seed >> 16) % 16]);
		}
		strcat(raw, "\",\"end\"]");
		buf_clear(&out);
		ck_assert(json_valid(span_of(raw)));
		if (redact_json(r, span_of(raw), &out) < 0 || json_value(buf_span(&out), &value, NULL) || json_count(value) != 2)
			ck_abort_msg("%s -> %s", raw, buf_text(&out));
	}
}
END_TEST

START_TEST(headers_that_carry_credentials)
{
	static const char *const cases[][3] = {
		{ "Authorization", "Bearer abc", "Bearer [REDACTED:header:" },
		{ "authorization", "Basic dTpw", "Basic [REDACTED:header:" },
		{ "x-api-key", "sk-ant-" A40, "[REDACTED:anthropic:" },
		{ "COOKIE", "a=b; c=d", "[REDACTED:header:" },
		{ "x-goog-api-key", "k", "[REDACTED:header:" },
	};

	for (size_t i = 0; i < 5; i++) {
		buf_clear(&out);
		ck_assert_int_eq(redact_header(r, span_of(cases[i][0]), span_of(cases[i][1]), &out), 1);
		ck_assert_msg(strncmp(buf_text(&out), cases[i][2], strlen(cases[i][2])) == 0, "%s", out.p);
	}
	buf_clear(&out);
	ck_assert_int_eq(redact_header(r, SPAN("content-type"), SPAN("application/json"), &out), 0);
	ck_assert_str_eq(buf_text(&out), "application/json");
	buf_clear(&out);
	ck_assert_int_eq(redact_header(r, SPAN("referer"), SPAN("https://h/?api_key=abcdef"), &out), 1);
	ck_assert(!redact_is_secret_header(SPAN("x-request-id")));
}
END_TEST

START_TEST(a_capture_is_masked_in_place)
{
	char text[] = "POST /v1?key=0123456789abcdef HTTP/1.1\r\nHost: h\r\nauthorization: Bearer abcdefgh12345678\r\nCookie: s=1\r\n"
		      "X-Request-Id: 7\r\n\r\n{\"a\":\"sk-" A40 "\"}";
	char was[sizeof(text)];

	memcpy(was, text, sizeof(text));
	ck_assert_uint_eq(redact_mask(r, text, sizeof(text) - 1), 4);
	for (size_t i = 0; i < sizeof(text); i++)
		ck_assert_int_eq(text[i] == '\r' || text[i] == '\n' || text[i] == '"', was[i] == '\r' || was[i] == '\n' || was[i] == '"');
	ck_assert_ptr_null(strstr(text, "abcdefgh12345678"));
	ck_assert_ptr_null(strstr(text, A20));
	ck_assert_ptr_null(strstr(text, "s=1"));
	ck_assert_ptr_nonnull(strstr(text, "X-Request-Id: 7"));
	ck_assert_ptr_nonnull(strstr(text, "authorization: Bearer "));
}
END_TEST

START_TEST(patterns_of_the_user)
{
	const char *const patterns[] = { "ACME-[0-9]+", "^he[l]+o", "\"quoted\"" };
	struct redact_options o = { .salt = { 1, 2 }, .patterns = patterns, .n_patterns = 3 };
	struct redactor *mine;
	char why[REDACT_WHY];
	struct span value;

	ck_assert_int_eq(redactor_new(&o, &mine, why), 0);
	ck_assert_int_eq(redact_text(mine, SPAN("hello ACME-12, hello ACME-13"), &out), 3);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), ", hello [REDACTED:pattern:"));
	buf_clear(&out);
	ck_assert_int_eq(redact_json(mine, SPAN("{\"a\":\"ACME-1\\n\",\"b\":[\"hello\",\"say \\\"quoted\\\"!\",7],\"k\":\"sk-" A40 "\"}"), &out), 4);
	ck_assert_int_eq(json_value(buf_span(&out), &value, NULL), 0);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "\\n\",\"b\":[\"[REDACTED:pattern:"));
	ck_assert_ptr_null(strstr(buf_text(&out), "quoted"));
	redactor_free(mine);
	/* A pattern that would fit our own words does not, and cannot break a secret into pieces. */
	const char *const wide[] = { "[0-9]", "E" };
	o.patterns = wide;
	o.n_patterns = 2;
	ck_assert_int_eq(redactor_new(&o, &mine, why), 0);
	buf_clear(&out);
	ck_assert_int_eq(redact_text(mine, SPAN("sk-" A40 " 7"), &out), 2);
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "[REDACTED:api-key:"));
	ck_assert_ptr_nonnull(strstr(buf_text(&out), "] [REDACTED:pattern:"));
	buf_clear(&out); /* what only begins like one of ours hides nothing */
	ck_assert_int_eq(redact_text(mine, SPAN("[REDACTED: 7 [REDACTED:x:0123456] 8"), &out), 13);
	redactor_free(mine);
	o.patterns = patterns;
	o.n_patterns = 3;
	o.replacement = "<\"gone\">";
	ck_assert_int_eq(redactor_new(&o, &mine, why), 0);
	buf_clear(&out);
	ck_assert_int_eq(redact_json(mine, SPAN("[\"x ACME-1 sk-" A40 "\"]"), &out), 2);
	ck_assert_str_eq(buf_text(&out), "[\"x <\\\"gone\\\"> <\\\"gone\\\">\"]");
	redactor_free(mine);
	const char *const bad[] = { "fine", "a(b" };
	o.patterns = bad;
	o.n_patterns = 2;
	ck_assert_int_eq(redactor_new(&o, &mine, why), -EINVAL);
	ck_assert_ptr_nonnull(strstr(why, "a(b"));
	const char *const empty[] = { "x*" };
	o.patterns = empty;
	o.n_patterns = 1;
	ck_assert_int_eq(redactor_new(&o, &mine, why), 0);
	buf_clear(&out);
	ck_assert_int_eq(redact_text(mine, SPAN("abcxxd"), &out), 1);
	ck_assert_str_eq(buf_text(&out), "abc<\"gone\">d");
	redactor_free(mine);
}
END_TEST

START_TEST(steps_lose_secrets_and_content)
{
	struct redact_options o = { .inputs = true };
	struct redactor *mine;
	struct arena a;
	char why[REDACT_WHY];
	struct step s = { .type = STEP_LLM_CALL, .id = SPAN("a"), .metadata = SPAN("{\"http\":{\"path\":\"/x?api_key=abcdef\"}}") };

	arena_init(&a);
	s.values[LLM_MODEL] = SPAN("\"m\"");
	s.values[LLM_INPUT] = SPAN("[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"hi\"},{\"type\":\"tool_call\",\"id\":\"c\","
				   "\"name\":\"f\",\"arguments\":{\"n\":5,\"ok\":true,\"x\":null}}]}]");
	s.values[LLM_OUTPUT] = SPAN("\"sk-" A40 "\"");
	s.values[LLM_TOKENS_IN] = SPAN("5");
	struct step copy = s;
	ck_assert_int_eq(step_redact(r, &copy, &a), 2);
	ck_assert(span_eq(copy.values[LLM_INPUT], s.values[LLM_INPUT]));
	ck_assert_ptr_null(span_find(copy.values[LLM_OUTPUT], SPAN(A20)).p);
	ck_assert_ptr_null(span_find(copy.metadata, SPAN("abcdef")).p);
	ck_assert_int_eq(redactor_new(&o, &mine, why), 0);
	ck_assert_int_eq(step_redact(mine, &s, &a), 3);
	ck_assert(span_is(s.values[LLM_INPUT], "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"[REDACTED]\"},"
		"{\"type\":\"tool_call\",\"id\":\"c\",\"name\":\"f\",\"arguments\":{\"n\":0,\"ok\":true,\"x\":null}}]}]"));
	ck_assert(span_is(s.values[LLM_MODEL], "\"m\""));
	ck_assert(span_is(s.values[LLM_TOKENS_IN], "5"));
	struct step u = { .type = STEP_USER_INPUT, .metadata = SPAN("{\"a\":1,\"parts\":[{\"type\":\"text\",\"text\":\"t\"}],\"b\":2}") };
	u.values[UI_CONTENT] = SPAN("\"secret plan\"");
	ck_assert_int_ge(step_redact(mine, &u, &a), 1);
	ck_assert(span_is(u.values[UI_CONTENT], "\"[REDACTED]\""));
	ck_assert(span_is(u.metadata, "{\"a\":1,\"parts\":[{\"type\":\"text\",\"text\":\"[REDACTED]\"}],\"b\":2}"));
	redactor_free(mine);
	arena_fini(&a);
}
END_TEST

#define N_OF(array) (sizeof(array) / sizeof((array)[0]))

int main(void)
{
	Suite *s = suite_create("redact");
	TCase *c = tcase_create("redact");

	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, secrets_go, 0, N_OF(secrets));
	tcase_add_loop_test(c, the_rest_stays, 0, N_OF(innocent));
	tcase_add_test(c, equal_secrets_have_equal_names_within_a_run);
	tcase_add_test(c, json_stays_json);
	tcase_add_test(c, json_stays_json_for_any_text);
	tcase_add_test(c, headers_that_carry_credentials);
	tcase_add_test(c, a_capture_is_masked_in_place);
	tcase_add_test(c, patterns_of_the_user);
	tcase_add_test(c, steps_lose_secrets_and_content);
	suite_add_tcase(s, c);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
