/* The program: reads the command line, hands over to the command, and says what went wrong. */
#include "base/exit.h"
#include "base/log.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HELP_MAX (256 * 1024) /* both texts are far shorter */

extern char **environ;

static int print(struct buf *text)
{
	fwrite(text->p, 1, text->len, stdout);
	buf_fini(text);
	return fflush(stdout) || ferror(stdout) ? EXIT_WRITE : EXIT_FINE;
}

static int print_help(const struct command *command)
{
	struct buf text;

	buf_init(&text, HELP_MAX);
	options_help(command, &text);
	return print(&text);
}

static int print_man(void)
{
	struct buf text;

	buf_init(&text, HELP_MAX);
	options_man(&text);
	return print(&text);
}

/* The first command is the default; its help is the program's unless it was named. */
static bool command_named(int argc, char **argv)
{
	return argc > 1 && argv[1][0] != '-';
}

static int dispatch(const struct options *o, int argc, char **argv)
{
	if (o->version) {
		puts("cf-observe " CF_VERSION);
		return EXIT_FINE;
	}
	if (o->man)
		return print_man();
	if (o->help)
		return print_help(command_named(argc, argv) ? o->command : NULL);
	log_setup(o->quiet     ? LOG_WARN
		  : o->verbose ? LOG_DEBUG
			       : LOG_INFO,
		  o->json_log, isatty(STDERR_FILENO) && !getenv("NO_COLOR"));
	if (o->command->own)
		return o->command->own(argc - 1, argv + 1);
	return o->command->run(o);
}

int main(int argc, char **argv)
{
	char why[OPTIONS_WHY];
	struct options o;
	int status;

	if (argc < 2) {
		fputs("usage: cf-observe [COMMAND] [options]. Try: cf-observe --help\n", stderr);
		return EXIT_USAGE;
	}
	if (options_read(&o, argc, argv, environ, why)) {
		log_error("%s", why);
		/* Its other statuses belong to the command. */
		status = o.command->bit == CMD_RUN ? EXIT_RUN_FAILED : EXIT_USAGE;
	} else {
		status = dispatch(&o, argc, argv);
	}
	options_fini(&o);
	return status;
}
