#include "base/log.h"

#include "base/json.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static enum log_level most_level = LOG_INFO;
static bool as_json;
static bool in_color;

static const struct {
	const char *name;
	const char *color;
} levels[] = {
	[LOG_ERROR] = { "error", "\033[31m" },
	[LOG_WARN] = { "warning", "\033[33m" },
	[LOG_INFO] = { "info", "" },
	[LOG_DEBUG] = { "debug", "\033[2m" },
};

void log_setup(enum log_level most, bool json, bool color)
{
	most_level = most;
	as_json = json;
	in_color = color;
}

bool log_on(enum log_level level)
{
	return level <= most_level;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char text[2048];
	struct buf line;
	va_list ap;

	if (!log_on(level))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	buf_init(&line, 32 * 1024);
	if (as_json) {
		buf_add_text(&line, "{");
		json_put_member_text(&line, "level", span_of(levels[level].name));
		json_put_member_text(&line, "message", span_of(text));
		buf_add_text(&line, "}");
	} else {
		const char *color = in_color ? levels[level].color : "";
		buf_add_text(&line, color);
		if (level == LOG_ERROR || level == LOG_WARN)
			buf_printf(&line, "%s: ", level == LOG_ERROR ? "cf-observe" : levels[level].name);
		text_put_safe(&line, span_of(text));
		if (*color)
			buf_add_text(&line, "\033[0m");
	}
	buf_add_char(&line, '\n');
	ssize_t n = write(STDERR_FILENO, line.p, line.len);
	(void)n; /* nobody left to tell */
	buf_fini(&line);
}
