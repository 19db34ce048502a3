/* Where does an HTTP/2 frame begin? */
#include "proto/h2.h"

/* A frame that is looked behind: the default SETTINGS_MAX_FRAME_SIZE. */
#define FRAME_MAX 16384

struct h2_frame h2_frame_read(const char *p)
{
	const unsigned char *u = (const unsigned char *)p;

	return (struct h2_frame){
		.len = (uint32_t)u[0] << 16 | (uint32_t)u[1] << 8 | u[2],
		.type = u[3],
		.flags = u[4],
		.stream =
			((uint32_t)u[5] << 24 | (uint32_t)u[6] << 16 | (uint32_t)u[7] << 8 | u[8]) &
			0x7fffffff,
	};
}

/* RFC 9113 6.1-6.10. */
static const struct {
	uint8_t flags; /* defined ones */
	int8_t stream; /* 1: must have one, 0: must not, -1: either */
	uint32_t least;
	uint32_t most;
	uint32_t multiple;
} types[] = {
	[H2_DATA] = { H2_END_STREAM | H2_PADDED, 1, 0, FRAME_MAX, 1 },
	[H2_HEADERS] = { 0x2d, 1, 1, FRAME_MAX, 1 },
	[H2_PRIORITY] = { 0, 1, 5, 5, 1 },
	[H2_RST_STREAM] = { 0, 1, 4, 4, 1 },
	[H2_SETTINGS] = { 1, 0, 0, 60, 6 },
	[H2_PUSH_PROMISE] = { H2_END_HEADERS | H2_PADDED, 1, 4, FRAME_MAX, 1 },
	[H2_PING] = { 1, 0, 8, 8, 1 },
	[H2_GOAWAY] = { 0, 0, 8, FRAME_MAX, 1 },
	[H2_WINDOW_UPDATE] = { 0, -1, 4, 4, 1 },
	[H2_CONTINUATION] = { H2_END_HEADERS, 1, 1, FRAME_MAX, 1 },
};

bool h2_frame_plausible(const struct h2_frame *f)
{
	if (f->type >= sizeof(types) / sizeof(*types))
		return false;
	if (f->flags & ~types[f->type].flags)
		return false;
	if (types[f->type].stream >= 0 && (f->stream != 0) != types[f->type].stream)
		return false;
	return f->len >= types[f->type].least && f->len <= types[f->type].most &&
	       f->len % types[f->type].multiple == 0;
}

/* The reserved bit is sent as 0, and no connection gets to 2^24 streams. */
static bool plausible_at(struct span text, size_t at, struct h2_frame *f)
{
	*f = h2_frame_read(text.p + at);
	return !text.p[at + 5] && h2_frame_plausible(f);
}

static enum verdict frame_begins(struct span text, size_t at)
{
	struct h2_frame f, next;

	if (text.len - at < H2_FRAME_HEAD)
		return VERDICT_MORE;
	if (!plausible_at(text, at, &f))
		return VERDICT_NO;
	size_t behind = at + H2_FRAME_HEAD + f.len;
	if (text.len < behind + H2_FRAME_HEAD)
		return VERDICT_MORE;
	return plausible_at(text, behind, &next) ? VERDICT_YES : VERDICT_NO;
}

enum verdict h2_find_start(struct span text, size_t *from, size_t *at)
{
	for (; *from < text.len; (*from)++) {
		/* Frames that we look for are shorter than 64 KiB: their first byte is 0. */
		const char *zero = memchr(text.p + *from, 0, text.len - *from);
		if (!zero) {
			*from = text.len;
			return VERDICT_MORE;
		}
		*from = *at = (size_t)(zero - text.p);
		enum verdict v = frame_begins(text, *at);
		if (v != VERDICT_NO)
			return v;
	}
	return VERDICT_MORE;
}

/* The client begins with the preface, the server with its settings, RFC 9113 3.4. */
static enum verdict probe_anchored(struct probe *p)
{
	const struct span preface = SPAN(H2_PREFACE);
	size_t n = p->text.len < preface.len ? p->text.len : preface.len;

	if (memcmp(p->text.p, preface.p, n) == 0)
		return n == preface.len ? VERDICT_YES : VERDICT_MORE;
	static const char settings[] = { 0, 0, 0, H2_SETTINGS, 0, 0, 0, 0, 0 };
	for (size_t i = 0; i < p->text.len && i < H2_FRAME_HEAD; i++)
		if (i == 2 ? (unsigned char)p->text.p[i] % 6 != 0 : p->text.p[i] != settings[i])
			return VERDICT_NO;
	return p->text.len < H2_FRAME_HEAD ? VERDICT_MORE : VERDICT_YES;
}

enum verdict h2_probe(struct probe *p, const struct conn_info *info)
{
	size_t at;

	(void)info;
	if (p->anchored)
		return probe_anchored(p);
	return h2_find_start(p->text, &p->from, &at);
}
