#include "base/timefmt.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void time_format(int64_t unix_ns, char out[TIME_TEXT_LEN])
{
	int64_t ms = floor_div(unix_ns, (int64_t)NS_PER_MS);
	time_t s = (time_t)floor_div(ms, 1000);
	struct tm tm;

	gmtime_r(&s, &tm);
	unsigned int year = (unsigned int)(tm.tm_year + 1900) % 10000;
	snprintf(out, TIME_TEXT_LEN, "%04u-%02u-%02uT%02u:%02u:%02u.%03uZ", year, (unsigned int)(tm.tm_mon + 1) % 100,
		 (unsigned int)tm.tm_mday % 100, (unsigned int)tm.tm_hour % 100, (unsigned int)tm.tm_min % 100,
		 (unsigned int)tm.tm_sec % 100, (unsigned int)(ms - (int64_t)s * 1000) % 1000);
}

static bool digits(struct span *t, size_t n, int *out)
{
	uint64_t v;

	if (t->len < n || !span_u64(span_at(t->p, n), &v))
		return false;
	*out = (int)v;
	t->p += n;
	t->len -= n;
	return true;
}

static bool eat(struct span *t, const char *any)
{
	if (!t->len || !strchr(any, t->p[0]))
		return false;
	t->p++;
	t->len--;
	return true;
}

static bool fraction(struct span *t, int64_t *ns)
{
	int64_t unit = NS_PER_S / 10;

	*ns = 0;
	if (!eat(t, ".,"))
		return true;
	if (!t->len || t->p[0] < '0' || t->p[0] > '9')
		return false;
	for (; t->len && t->p[0] >= '0' && t->p[0] <= '9'; t->p++, t->len--) {
		*ns += (t->p[0] - '0') * unit;
		unit /= 10;
	}
	return true;
}

static bool offset(struct span *t, int64_t *s)
{
	int h, m = 0;

	*s = 0;
	if (t->len == 0 || (eat(t, "Zz") && t->len == 0))
		return true;
	int sign = t->p[0] == '-' ? -1 : 1;
	if (!eat(t, "+-") || !digits(t, 2, &h))
		return false;
	eat(t, ":");
	if (t->len && !digits(t, 2, &m))
		return false;
	*s = sign * (h * 3600 + m * 60);
	return t->len == 0 && h < 24 && m < 60;
}

static bool date(struct span *t, struct tm *tm)
{
	return digits(t, 4, &tm->tm_year) && eat(t, "-") && digits(t, 2, &tm->tm_mon) && eat(t, "-") &&
	       digits(t, 2, &tm->tm_mday) && tm->tm_year >= 1700 && tm->tm_year <= 2200 && tm->tm_mon >= 1 &&
	       tm->tm_mon <= 12 && tm->tm_mday >= 1 && tm->tm_mday <= 31;
}

static bool clock_time(struct span *t, struct tm *tm)
{
	return digits(t, 2, &tm->tm_hour) && eat(t, ":") && digits(t, 2, &tm->tm_min) && eat(t, ":") &&
	       digits(t, 2, &tm->tm_sec) && tm->tm_hour <= 23 && tm->tm_min <= 59 && tm->tm_sec <= 60;
}

int time_parse(struct span text, int64_t *unix_ns)
{
	struct tm tm = { 0 };
	int64_t ns, off;
	struct span t = span_trim(text);

	if (!date(&t, &tm) || !eat(&t, "Tt ") || !clock_time(&t, &tm) || !fraction(&t, &ns) || !offset(&t, &off))
		return -EINVAL;
	int day = tm.tm_mday;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	time_t s = timegm(&tm);
	if (tm.tm_mday != day) /* the 31st of a shorter month */
		return -EINVAL;
	*unix_ns = ((int64_t)s - off) * (int64_t)NS_PER_S + ns;
	return 0;
}

void time_clock(int64_t unix_ns, int offset_s, char out[9])
{
	int64_t s = (floor_div(unix_ns, (int64_t)NS_PER_S) + offset_s) % 86400;

	if (s < 0)
		s += 86400;
	snprintf(out, 9, "%02u:%02u:%02u", (unsigned int)(s / 3600) % 100, (unsigned int)(s / 60 % 60),
		 (unsigned int)(s % 60));
}
