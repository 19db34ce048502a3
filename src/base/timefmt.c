#include "base/timefmt.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/*
 * Days since 1970-01-01 <-> a date of the Gregorian calendar, by hand: gmtime_r and timegm take the C library's lock for
 * time zones, which a forked child of a guest process (see src/tracer) may find held. Years begin in March here.
 */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = year - (month <= 2), era = floor_div(y, 400), of_era = y - era * 400;
	int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of(int64_t days, int *year, int *month, int *day)
{
	days += 719468;
	int64_t era = floor_div(days, 146097), left = days - era * 146097;
	int64_t of_era = (left - left / 1460 + left / 36524 - left / 146096) / 365;
	int64_t of_year = left - (365 * of_era + of_era / 4 - of_era / 100), m = (5 * of_year + 2) / 153;

	*day = (int)(of_year - (153 * m + 2) / 5 + 1);
	*month = (int)(m < 10 ? m + 3 : m - 9);
	*year = (int)(of_era + era * 400 + (*month <= 2));
}

static char *put_digits(char *p, unsigned int n, int width, char behind)
{
	for (int i = width - 1; i >= 0; i--, n /= 10)
		p[i] = (char)('0' + n % 10);
	p[width] = behind;
	return p + width + 1;
}

void time_format(int64_t unix_ns, char out[TIME_TEXT_LEN])
{
	int64_t ms = floor_div(unix_ns, (int64_t)NS_PER_MS), s = floor_div(ms, 1000), days = floor_div(s, 86400);
	unsigned int of_day = (unsigned int)(s - days * 86400);
	int year, month, day;

	date_of(days, &year, &month, &day);
	char *p = put_digits(out, (unsigned int)year, 4, '-');
	p = put_digits(p, (unsigned int)month, 2, '-');
	p = put_digits(p, (unsigned int)day, 2, 'T');
	p = put_digits(p, of_day / 3600, 2, ':');
	p = put_digits(p, of_day / 60 % 60, 2, ':');
	p = put_digits(p, of_day % 60, 2, '.');
	p = put_digits(p, (unsigned int)(ms - s * 1000), 3, 'Z');
	*p = 0;
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
	int year, month, day;
	int64_t days = days_of(tm.tm_year, tm.tm_mon, tm.tm_mday);
	date_of(days, &year, &month, &day);
	if (day != tm.tm_mday) /* the 31st of a shorter month */
		return -EINVAL;
	*unix_ns = (days * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec - off) * (int64_t)NS_PER_S + ns;
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
