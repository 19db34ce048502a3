/*
 * Trace files and journals of any bytes: the check reads them to an end. A step that is read is written as one line of
 * JSON, and what was written is read again as the same.
 */
#include "base/limits.h"
#include "base/text.h"
#include "trace/check.h"
#include "trace/model_redact.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void need(bool holds)
{
	if (!holds)
		abort();
}

static void write_again(struct span raw)
{
	struct arena a;
	struct step s, back;
	struct problem why;
	struct buf out, again;
	struct span value;

	arena_init(&a);
	buf_init(&out, LIMIT_STEP);
	buf_init(&again, LIMIT_STEP);
	if (!step_read(raw, &a, &s, &why) && !step_write(&s, &out)) {
		need(json_value(buf_span(&out), &value, NULL) == 0 && value.len == out.len);
		need(!memchr(out.p, '\n', out.len) && utf8_valid(value));
		need(step_read(value, &a, &back, &why) == 0);
		need(step_write(&back, &again) == 0 && span_eq(buf_span(&again), value));
	}
	buf_fini(&out);
	buf_fini(&again);
	arena_fini(&a);
}

/* The first byte: file or journal, and how strict. */
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	struct check c = { 0 };
	struct span value;

	if (!len)
		return 0;
	c.journal = *p & 1;
	c.level = *p & 2 ? CHECK_STRICT : CHECK_AUTO;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	need(fd >= 0 && write(fd, p + 1, len - 1) == (ssize_t)len - 1);
	need(check_fd(fd, &c) == 0);
	close(fd);
	if (json_value(span_at(p + 1, len - 1), &value, NULL) == 0)
		write_again(value);
	return 0;
}
