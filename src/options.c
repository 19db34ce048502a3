#include "options.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A configuration file longer than this is not one. */
#define CONFIG_MAX (64 * 1024)
/* A name further off than this many edits is not what was meant. */
#define NEAR_EDITS 3
#define NAME_MAX_LEN 32
#define DEFAULT_CONFIG "/etc/cf-observe.conf"

enum source { FROM_NOWHERE, FROM_CONFIG, FROM_ENV, FROM_FLAG };

struct reader {
	struct options *o;
	enum source source;
	const char *file; /* FROM_CONFIG */
	char *why;
};

#define FAIL(why, ...) (snprintf((why), OPTIONS_WHY, __VA_ARGS__), -EINVAL)

/* Edits (insert, delete, replace, swap neighbours) between two names; Damerau 1964, restricted. */
static size_t edits(const char *a, const char *b)
{
	size_t la = strnlen(a, NAME_MAX_LEN), lb = strnlen(b, NAME_MAX_LEN);
	size_t d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];

	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= lb; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= la; i++) {
		for (size_t j = 1; j <= lb; j++) {
			size_t best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			if (d[i - 1][j] + 1 < best)
				best = d[i - 1][j] + 1;
			if (d[i][j - 1] + 1 < best)
				best = d[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    d[i - 2][j - 2] + 1 < best)
				best = d[i - 2][j - 2] + 1;
			d[i][j] = best;
		}
	}
	return d[la][lb];
}

struct nearest {
	const char *given;
	const char *name;
	size_t edits;
};

static void nearest_try(struct nearest *n, const char *name)
{
	size_t len = strlen(n->given), e = edits(n->given, name);

	/* What begins like it is nearer than what is spelt like it: --out for --output. */
	if (len >= 2 && !strncmp(n->given, name, len))
		e = 1;
	/* Half of a name replaced is another name. */
	if (e < n->edits && e * 2 <= len + 1) {
		n->edits = e;
		n->name = name;
	}
}

static const char *nearest_option(const char *given, unsigned command)
{
	struct nearest n = { given, NULL, NEAR_EDITS + 1 };

	for (const struct option_row *r = option_rows; r->name; r++) {
		if (r->commands & command)
			nearest_try(&n, r->name);
	}
	return n.name;
}

static const char *nearest_command(const char *given)
{
	struct nearest n = { given, NULL, NEAR_EDITS };

	for (const struct command *c = command_rows; c->name; c++)
		nearest_try(&n, c->name);
	return n.name;
}

static const struct option_row *row_by_name(const char *name, size_t len)
{
	for (const struct option_row *r = option_rows; r->name; r++) {
		if (strlen(r->name) == len && !memcmp(r->name, name, len))
			return r;
	}
	return NULL;
}

static const struct option_row *row_by_letter(char letter)
{
	for (const struct option_row *r = option_rows; r->name; r++) {
		if (r->letter == letter)
			return r;
	}
	return NULL;
}

const struct command *command_find(const char *name)
{
	for (const struct command *c = command_rows; c->name; c++) {
		if (!strcmp(c->name, name))
			return c;
	}
	return NULL;
}

/* A number >= 0 and the unit behind it. */
static bool number_unit(const char *text, double *number, const char **unit)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*number = strtod(text, &end);
	*unit = end;
	return !errno;
}

struct unit {
	const char *name;
	double factor;
};

static bool number_with(const struct unit *units, const char *text, uint64_t *out)
{
	const char *unit;
	double number;

	if (!number_unit(text, &number, &unit))
		return false;
	for (; units->name; units++) {
		if (!strcasecmp(unit, units->name)) {
			number *= units->factor;
			if (number > 9e18)
				return false;
			*out = (uint64_t)number;
			return true;
		}
	}
	return false;
}

bool options_size(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
		{ "", 1 },	 { "K", 1024 },	     { "M", 1048576 },	    { "G", 1073741824 },
		{ "KiB", 1024 }, { "MiB", 1048576 }, { "GiB", 1073741824 }, { NULL, 0 },
	};

	return number_with(units, text, out);
}

bool options_time(const char *text, uint64_t *out)
{
	static const struct unit units[] = {
		{ "", 1e9 },   { "ms", 1e6 },	{ "s", 1e9 },
		{ "m", 60e9 }, { "h", 3600e9 }, { NULL, 0 },
	};

	return number_with(units, text, out);
}

static bool read_bool(const char *text, bool *out)
{
	static const char *const words[][2] = {
		{ "0", "1" }, { "no", "yes" }, { "false", "true" }, { "off", "on" }
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		for (int k = 0; k < 2; k++) {
			if (!strcasecmp(text, words[i][k])) {
				*out = k;
				return true;
			}
		}
	}
	return false;
}

static bool add_pids(struct options *o, const char *text)
{
	struct span rest = span_of(text), item;
	uint64_t pid;

	if (!rest.len)
		return false;
	while (span_split(&rest, ',', &item)) {
		if (!span_u64(span_trim(item), &pid) || pid == 0 || pid > INT32_MAX ||
		    o->n_pids == OPTIONS_MAX_PIDS)
			return false;
		o->pids[o->n_pids++] = (uint32_t)pid;
	}
	return true;
}

static const char *const wanted[] = {
	[OPT_BOOL] = "yes or no",
	[OPT_OWN] = "given alone",
	[OPT_TEXT] = "a text",
	[OPT_TEXTS] = "a text, at most 64 times",
	[OPT_PIDS] = "process ids such as 812 or 812,815, at most 64",
	[OPT_SIZE] = "a size such as 64M",
	[OPT_TIME] = "a time such as 90, 1.5m or 500ms",
};

static bool set_value(struct options *o, const struct option_row *row, const char *text)
{
	void *field = (char *)o + row->offset;

	switch (row->type) {
	case OPT_BOOL:
		return read_bool(text, field);
	case OPT_OWN:
		return !*text;
	case OPT_TEXT:
		*(const char **)field = arena_copy(&o->memory, span_of(text)).p;
		return *text;
	case OPT_TEXTS:
		if (!*text || o->n_patterns == OPTIONS_MAX_PATTERNS)
			return false;
		o->patterns[o->n_patterns++] = arena_copy(&o->memory, span_of(text)).p;
		return true;
	case OPT_PIDS:
		return add_pids(o, text);
	case OPT_SIZE:
		return options_size(text, field);
	case OPT_TIME:
		return options_time(text, field);
	}
	return false;
}

/* How the person wrote it: --pid, CF_OBSERVE_PID, or a line of the file. */
static const char *spelled(const struct reader *rd, const struct option_row *row, char out[96])
{
	if (rd->source == FROM_FLAG)
		snprintf(out, 96, "--%s", row->name);
	else if (rd->source == FROM_ENV)
		options_env_name(row, out);
	else
		snprintf(out, 96, "%.60s: %s", rd->file, row->name);
	return out;
}

static int apply(struct reader *rd, const struct option_row *row, const char *text)
{
	struct options *o = rd->o;
	char name[96];

	/* A list of processes is one answer; a stronger source replaces it. Patterns only ever add up: to redact more is safe. */
	if (row->type == OPT_PIDS && o->pids_from != rd->source) {
		o->n_pids = 0;
		o->pids_from = rd->source;
	}
	if (!set_value(o, row, text))
		return FAIL(rd->why, "%s: \"%.80s\" is not %s", spelled(rd, row, name), text,
			    wanted[row->type]);
	return 0;
}

static int unknown_option(struct reader *rd, const char *given)
{
	const char *near = nearest_option(given, rd->o->command->bit);

	if (near)
		return FAIL(rd->why, "unknown option --%.60s; did you mean --%s?", given, near);
	return FAIL(rd->why, "unknown option --%.60s; cf-observe %s --help lists them", given,
		    rd->o->command->name);
}

static int not_for_command(struct reader *rd, const struct option_row *row)
{
	char of[160] = "";
	size_t len = 0;

	for (const struct command *c = command_rows; c->name && len < sizeof(of); c++) {
		if (row->commands & c->bit)
			len += (size_t)snprintf(of + len, sizeof(of) - len, "%s%s", len ? ", " : "",
						c->name);
	}
	return FAIL(rd->why, "--%s means nothing to %s; it belongs to: %s", row->name,
		    rd->o->command->name, of);
}

/* `value` is what stands behind = or the letter, or NULL. *i moves when the next argument is taken. */
static int flag(struct reader *rd, const struct option_row *row, const char *value, int argc,
		char **argv, int *i)
{
	if (!(row->commands & rd->o->command->bit))
		return not_for_command(rd, row);
	if (row->type == OPT_BOOL)
		return apply(rd, row, value ? value : "yes");
	if (row->type == OPT_OWN)
		return apply(rd, row, value ? value : "");
	if (!value) {
		if (*i + 1 >= argc)
			return FAIL(rd->why, "--%s needs %s (%s)", row->name, row->arg,
				    wanted[row->type]);
		value = argv[++*i];
	}
	return apply(rd, row, value);
}

static int long_flag(struct reader *rd, int argc, char **argv, int *i)
{
	const char *name = argv[*i] + 2;
	const char *eq = strchr(name, '=');
	const struct option_row *row = row_by_name(name, eq ? (size_t)(eq - name) : strlen(name));
	char given[NAME_MAX_LEN + 1];

	if (!row) {
		snprintf(given, sizeof(given), "%.*s", eq ? (int)(eq - name) : (int)strlen(name),
			 name);
		return unknown_option(rd, given);
	}
	return flag(rd, row, eq ? eq + 1 : NULL, argc, argv, i);
}

static int letters(struct reader *rd, int argc, char **argv, int *i)
{
	const char *p = argv[*i] + 1;
	int err = 0;

	for (; *p && !err; p++) {
		const struct option_row *row = row_by_letter(*p);

		if (!row)
			return FAIL(rd->why, "unknown option -%c; cf-observe %s --help lists them",
				    *p, rd->o->command->name);
		if (row->arg)
			return flag(rd, row, p[1] ? p + 1 : NULL, argc, argv, i);
		err = flag(rd, row, NULL, argc, argv, i);
	}
	return err;
}

static int read_flags(struct reader *rd, int argc, char **argv)
{
	struct options *o = rd->o;
	int n = 0, err = 0;

	o->args = arena_alloc(&o->memory, ((size_t)argc + 1) * sizeof(char *));
	for (int i = 0; i < argc && !err; i++) {
		if (!strcmp(argv[i], "--") || (o->command->ends_at_arg && argv[i][0] != '-')) {
			for (i += !strcmp(argv[i], "--"); i < argc; i++)
				o->args[n++] = argv[i];
		} else if (argv[i][0] == '-' && argv[i][1] == '-') {
			err = long_flag(rd, argc, argv, &i);
		} else if (argv[i][0] == '-' && argv[i][1]) {
			err = letters(rd, argc, argv, &i);
		} else {
			o->args[n++] = argv[i];
		}
	}
	o->n_args = n;
	return err;
}

void options_env_name(const struct option_row *row, char out[96])
{
	size_t n = (size_t)snprintf(out, 96, "CF_OBSERVE_%s", row->name);

	for (size_t i = 0; i < n; i++)
		out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static const char *env_get(char **env, const char *name)
{
	size_t len = strlen(name);

	for (; env && *env; env++) {
		if (!strncmp(*env, name, len) && (*env)[len] == '=')
			return *env + len + 1;
	}
	return NULL;
}

/* Options that ask for an answer instead of setting something are flags only. */
static bool settable(const struct option_row *row)
{
	return row->group != GROUP_HELP && row->type != OPT_OWN;
}

static int read_env(struct reader *rd, char **env)
{
	char name[96];

	for (const struct option_row *r = option_rows; r->name; r++) {
		const char *value;
		int err;

		options_env_name(r, name);
		value = settable(r) && (r->commands & rd->o->command->bit) ? env_get(env, name)
									   : NULL;
		if (!value || !*value)
			continue;
		err = apply(rd, r, value);
		if (err)
			return err;
	}
	return 0;
}

static int config_line(struct reader *rd, struct span line, int number)
{
	struct span key, value = line;
	const struct option_row *row;
	char text[1024];

	if (!line.len || line.p[0] == '#')
		return 0;
	if (!span_split(&value, '=', &key) || key.len == line.len)
		return FAIL(rd->why, "%.120s:%d: not `name = value`", rd->file, number);
	key = span_trim(key);
	value = span_trim(value);
	row = row_by_name(key.p, key.len);
	if (!row || !settable(row)) {
		snprintf(text, NAME_MAX_LEN, "%.*s", SPAN_FMT(key));
		const char *near = nearest_option(text, CMD_ANY);

		return FAIL(rd->why, "%.120s:%d: unknown name \"%.32s\"%s%s%s", rd->file, number,
			    text, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	}
	if (value.len >= sizeof(text))
		return FAIL(rd->why, "%.120s:%d: the value is too long", rd->file, number);
	/* One file serves every command; what does not concern this one is left alone. */
	if (!(row->commands & rd->o->command->bit))
		return 0;
	snprintf(text, sizeof(text), "%.*s", SPAN_FMT(value));
	return apply(rd, row, text);
}

int options_read_config(struct options *o, struct span text, const char *file,
			char why[OPTIONS_WHY])
{
	struct reader rd = { o, FROM_CONFIG, file, why };
	struct span line;
	int err = 0;

	for (int number = 1; !err && span_split(&text, '\n', &line); number++)
		err = config_line(&rd, span_trim(line), number);
	return err;
}

static int read_config_file(struct options *o, const char *path, bool must, char *why)
{
	AUTO_FREE char *text = NULL;
	FILE *f = fopen(path, "re");
	size_t len;

	if (!f)
		return must ? FAIL(why, "cannot read the configuration file %.120s: %s", path,
				   strerror(errno))
			    : 0;
	text = mem_alloc(CONFIG_MAX);
	len = fread(text, 1, CONFIG_MAX, f);
	fclose(f);
	if (len == CONFIG_MAX)
		return FAIL(why, "%.120s: longer than 64 KiB; not a configuration file", path);
	return options_read_config(o, span_at(text, len), path, why);
}

static int choose_command(struct options *o, int *argc, char ***argv, char *why)
{
	const char *near;

	o->command = &command_rows[0];
	if (*argc == 0 || (*argv)[0][0] == '-')
		return 0;
	o->command = command_find((*argv)[0]);
	if (o->command) {
		(*argc)--;
		(*argv)++;
		return 0;
	}
	near = nearest_command((*argv)[0]);
	o->command = &command_rows[0];
	if (near)
		return FAIL(why, "unknown command \"%.60s\"; did you mean %s?", (*argv)[0], near);
	return FAIL(why, "unknown command \"%.60s\"; cf-observe --help lists them", (*argv)[0]);
}

static int count_args(const struct options *o, char *why)
{
	const struct command *c = o->command;

	if (o->n_args < c->min_args)
		return FAIL(why, "%s needs %s; usage: cf-observe %s %s", c->name,
			    c->min_args == 1 && o->n_args == 0 ? "an argument" : "more arguments",
			    c->name, c->args);
	if (c->max_args < 0 || o->n_args <= c->max_args)
		return 0;
	if (command_find(o->args[c->max_args]))
		return FAIL(why, "the command stands first: cf-observe %s [options]",
			    o->args[c->max_args]);
	return FAIL(why, "\"%.80s\" is one argument too many; usage: cf-observe %s %s",
		    o->args[c->max_args], c->name, c->args);
}

static bool names_target(const struct options *o)
{
	return o->n_pids || o->container || o->cgroup || o->comm;
}

/* What a command cannot do without. */
static int required(const struct options *o, char *why)
{
	unsigned bit = o->command->bit;

	if (bit == CMD_RECORD && !o->capture)
		return FAIL(why, "record needs the name of the capture file: -w FILE");
	if (bit == CMD_RECORD && names_target(o) && o->n_args)
		return FAIL(why, "record takes --pid or a command, not both");
	if ((bit == CMD_ATTACH || (bit == CMD_RECORD && !o->n_args)) && !names_target(o))
		return FAIL(why,
			    "%s needs to know whom to watch: --pid N; or start it: cf-observe run "
			    "-- CMD...",
			    o->command->name);
	return 0;
}

/* The flags are read twice: first to learn --config, --help and the mistakes, then over the file and the environment. */
int options_read(struct options *o, int argc, char **argv, char **env, char why[OPTIONS_WHY])
{
	struct reader rd = { o, FROM_FLAG, NULL, why };
	struct options first;
	const char *config;
	int err;

	options_init(o);
	argc -= argc > 0;
	argv++;
	err = choose_command(o, &argc, &argv, why);
	if (err)
		return err;
	first = *o;
	rd.o = &first;
	err = read_flags(&rd, argc, argv);
	config = first.config ? first.config : env_get(env, "CF_OBSERVE_CONFIG");
	o->memory = first.memory;
	if (err)
		return err;
	if (first.help || first.version || first.man) {
		*o = first;
		return 0;
	}
	if (!o->command->own) {
		err = read_config_file(o, config ? config : DEFAULT_CONFIG, config, why);
		rd = (struct reader){ o, FROM_ENV, NULL, why };
		if (!err)
			err = read_env(&rd, env);
		if (err)
			return err;
	}
	rd = (struct reader){ o, FROM_FLAG, NULL, why };
	err = read_flags(&rd, argc, argv);
	if (!err)
		err = count_args(o, why);
	return err ? err : required(o, why);
}

void options_init(struct options *o)
{
	*o = (struct options){ .command = &command_rows[0], .output = "./traces" };
	arena_init(&o->memory);
}

void options_fini(struct options *o)
{
	arena_fini(&o->memory);
}
