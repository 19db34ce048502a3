/* --help and the manual page, both walked off the tables. */
#include "options.h"

#include "base/exit.h"

#include <stdio.h>
#include <string.h>

/* Of the last change to the tables: a build says the same whenever it is made. */
#define MAN_DATE "November 22, 2026"

static const struct {
	int code;
	const char *meaning;
} exit_rows[] = {
	{ EXIT_FINE, "all went well" },
	{ EXIT_INTERNAL, "an internal fault; for check and locate: the answer is no" },
	{ EXIT_USAGE, "the command line is wrong" },
	{ EXIT_HOST,
	  "the host is not able: no privilege, no kernel BTF, lockdown, kernel too old" },
	{ EXIT_TARGET, "the target was not found" },
	{ EXIT_UNHOOKED, "nothing could be hooked" },
	{ EXIT_WRITE, "the output cannot be written" },
	{ EXIT_INCOMPLETE, "the trace is incomplete and --fail-incomplete was given" },
};
#define N_EXITS (sizeof(exit_rows) / sizeof(*exit_rows))

/* Walks the groups in the order of their first row; calls `row` for every option of `commands`. */
static void each_option(unsigned commands, struct buf *out,
			void (*group)(struct buf *, const char *),
			void (*row)(struct buf *, const struct option_row *))
{
	for (const struct option_row *first = option_rows; first->name; first++) {
		const struct option_row *r = option_rows;
		bool named = false;

		while (r < first && r->group != first->group)
			r++;
		if (r < first)
			continue;
		for (r = first; r->name; r++) {
			if (r->group != first->group || !(r->commands & commands))
				continue;
			if (!named)
				group(out, r->group);
			named = true;
			row(out, r);
		}
	}
}

static void help_group(struct buf *out, const char *name)
{
	buf_printf(out, "%s:\n", name);
}

static void help_row(struct buf *out, const struct option_row *r)
{
	char left[64];

	snprintf(left, sizeof(left), "%c%c%s --%s%s%s", r->letter ? '-' : ' ',
		 r->letter ? r->letter : ' ', r->letter ? "," : " ", r->name, r->arg ? " " : "",
		 r->arg ? r->arg : "");
	buf_printf(out, "  %-22s %s\n", left, r->help);
}

static int help_command(const struct command *c, struct buf *out)
{
	buf_printf(out, "usage: cf-observe %s [options]%s%s\n%c%s.\n", c->name, *c->args ? " " : "",
		   c->args, c->help[0] - 'a' + 'A', c->help + 1);
	if (c->more)
		buf_printf(out, "%s\n", c->more);
	each_option(c->bit, out, help_group, help_row);
	return buf_add_text(out, "");
}

int options_help(const struct command *command, struct buf *out)
{
	if (command)
		return help_command(command, out);
	buf_add_text(out, "usage: cf-observe [COMMAND] [options]\n"
			  "Watches running AI agents from outside and writes down what they did.\n"
			  "Commands:\n");
	for (const struct command *c = command_rows; c->name; c++)
		buf_printf(out, "  %-22s %s\n", c->name, c->help);
	buf_add_text(out, "Examples:\n");
	for (size_t i = 0; example_rows[i][0]; i++)
		buf_printf(out, "  %s\n", example_rows[i][0]);
	/* Of all commands that make traces; what belongs to one command alone is in its own help. */
	each_option(CMD_ATTACH, out, help_group, help_row);
	return buf_add_text(out, "");
}

static size_t column(const struct buf *out)
{
	size_t n = 0;

	while (n < out->len && out->p[out->len - n - 1] != '\n')
		n++;
	return n;
}

/* mdoc(7) text: what means something to roff is escaped, long lines are broken (mandoc -Tlint asks for it). */
static void man_text(struct buf *out, const char *text)
{
	for (; *text; text++) {
		if (*text == ' ' && column(out) > 60 && text[1] != '.')
			buf_add_char(out, '\n');
		else if (*text == '\\')
			buf_add_text(out, "\\e");
		else if (*text == '`' || *text == '\'')
			buf_add_text(out, "\\(aq");
		else if (*text == '-')
			buf_add_text(out, "\\-");
		else
			buf_add_char(out, *text);
	}
}

static void man_word(struct buf *out, const char *text, size_t len)
{
	char word[64];

	snprintf(word, sizeof(word), "%.*s", (int)len, text);
	man_text(out, word);
}

static void man_sentence(struct buf *out, const char *text)
{
	char first[2] = { text[0] >= 'a' && text[0] <= 'z' ? (char)(text[0] - 'a' + 'A') : text[0],
			  0 };

	man_text(out, first);
	man_text(out, text + 1);
	buf_add_text(out, ".\n");
}

static void man_more(struct buf *out, const char *more)
{
	if (!more)
		return;
	/* A new sentence begins a new line in mdoc. */
	for (const char *p = more; *p;) {
		const char *end = strstr(p, ". ");
		size_t len = end ? (size_t)(end - p) + 1 : strlen(p);
		char line[512];

		snprintf(line, sizeof(line), "%.*s", (int)len, p);
		man_text(out, line);
		buf_add_char(out, '\n');
		p += len + (end ? 1 : 0);
	}
}

static void man_group(struct buf *out, const char *name)
{
	buf_printf(out, ".Ss %s\n.Bl -tag -width Ds\n", name);
}

static void man_row(struct buf *out, const struct option_row *r)
{
	char env[96];

	buf_add_text(out, ".It ");
	if (r->letter)
		buf_printf(out, "Fl %c%s%s , ", r->letter, r->arg ? " Ar " : "",
			   r->arg ? r->arg : "");
	buf_add_text(out, "Fl \\-");
	man_text(out, r->name);
	if (r->arg)
		buf_printf(out, " Ar %s", r->arg);
	buf_add_char(out, '\n');
	man_sentence(out, r->help);
	man_more(out, r->more);
	if (r->group != GROUP_HELP && r->type != OPT_OWN) {
		options_env_name(r, env);
		buf_printf(out, "Environment:\n.Ev %s .\n", env);
	}
}

/* Closes the list that man_group opened; a group ends where the next begins. */
static void man_group_next(struct buf *out, const char *name)
{
	buf_add_text(out, ".El\n");
	man_group(out, name);
}

static void man_options(struct buf *out)
{
	size_t at = out->len;

	each_option(CMD_ANY, out, man_group_next, man_row);
	/* The first group has nothing to close. */
	memmove(out->p + at, out->p + at + 4, out->len - at - 4);
	out->len -= 4;
	buf_add_text(out, ".El\n");
}

static void man_commands(struct buf *out)
{
	buf_add_text(
		out,
		".Sh COMMANDS\nWithout a command,\n.Nm\nmeans\n.Cm attach .\n.Bl -tag -width Ds\n");
	for (const struct command *c = command_rows; c->name; c++) {
		buf_printf(out, ".It Cm %s", c->name);
		if (*c->args == '[') {
			buf_add_text(out, " Op Ar ");
			man_word(out, c->args + 1, strlen(c->args) - 2);
		} else if (*c->args) {
			buf_add_text(out, " Ar ");
			man_text(out, c->args);
		}
		buf_add_char(out, '\n');
		man_sentence(out, c->help);
		man_more(out, c->more);
	}
	buf_add_text(out, ".El\n");
}

int options_man(struct buf *out)
{
	buf_printf(out,
		   ".Dd %s\n.Dt CF-OBSERVE 8\n.Os\n.Sh NAME\n.Nm cf-observe\n.Nd watch AI agents "
		   "with eBPF\n",
		   MAN_DATE);
	buf_add_text(
		out,
		".Sh SYNOPSIS\n.Nm\n.Op Ar command\n.Op Ar options\n"
		".Sh DESCRIPTION\n.Nm\nattaches to running programs, reads what they say to "
		"language models and tools\nbefore "
		"it is encrypted and after it is decrypted, and\nwrites one trace for every run.\n"
		"The programs need no change and do not notice.\n"
		"It needs root or the capabilities that\n.Cm doctor\nnames.\n");
	man_commands(out);
	buf_add_text(out, ".Sh OPTIONS\nAn option is given as a flag, as a variable of the "
			  "environment, or as a line\n"
			  ".Dl name = value\nof the configuration file; the first of these that "
			  "names it wins.\n");
	man_options(out);
	buf_add_text(out, ".Sh SIGNALS\nThe first\n.Dv SIGINT\nor\n.Dv SIGTERM\nends the "
			  "observation: what is under way is "
			  "drained and the traces are finished.\nThe second one aborts.\n.Dv "
			  "SIGUSR1\nprints the counters.\n");
	buf_add_text(out, ".Sh ENVIRONMENT\nBesides the variables above,\n.Ev "
			  "CF_OBSERVE_CONFIG\nnames the configuration file, "
			  "and\n.Ev NO_COLOR\nturns colours off.\n");
	buf_add_text(out, ".Sh FILES\n.Bl -tag -width Ds\n.It Pa trace-RUN.json\nA finished run.\n"
			  ".It Pa trace-RUN.jsonl.part\nThe journal of a run that is open, or was "
			  "cut;\n.Cm recover\n"
			  "makes a trace of it.\n.It Pa /etc/cf-observe.conf\nThe configuration "
			  "file.\n.El\n");
	buf_add_text(out, ".Sh EXIT STATUS\n.Bl -tag -width Ds\n");
	for (size_t i = 0; i < N_EXITS; i++) {
		buf_printf(out, ".It %d\n", exit_rows[i].code);
		man_sentence(out, exit_rows[i].meaning);
	}
	buf_add_text(out, ".El\n.Pp\n.Cm run\nends with the status of its command; its own "
			  "failures are 125, 126 (cannot be\n"
			  "executed) and 127 (not found).\n.Sh EXAMPLES\n");
	for (size_t i = 0; example_rows[i][0]; i++) {
		man_sentence(out, example_rows[i][1]);
		buf_add_text(out, ".Pp\n.Dl ");
		man_text(out, example_rows[i][0]);
		buf_add_char(out, '\n');
		if (example_rows[i + 1][0])
			buf_add_text(out, ".Pp\n");
	}
	return buf_add_text(out, "");
}
