/*
 * The command line. One table of options and one of commands (options_table.c); parsing, --help and the man page are
 * all derived from them. An option is given as a flag, as CF_OBSERVE_NAME in the environment or as `name = value` in the
 * configuration file; the first of these that names it wins.
 */
#ifndef CF_OPTIONS_H
#define CF_OPTIONS_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
	OPTIONS_MAX_PIDS = 64,	   /* named by hand */
	OPTIONS_MAX_PATTERNS = 64, /* --redact */
	OPTIONS_WHY = 320,
};

struct options {
	struct arena memory; /* of the texts below */
	const struct command *command;
	char **args; /* what is left behind the options; NULL-terminated */
	int n_args;

	uint32_t pids[OPTIONS_MAX_PIDS];
	size_t n_pids;
	unsigned pids_from; /* which source named them */
	const char *container; /* id, the beginning of one, or name */
	const char *cgroup;
	const char *comm;
	const char *output;
	const char *capture;  /* -w */
	uint64_t duration_ns; /* 0: until the target ends */
	uint64_t buffer;      /* bytes of the ring; 0: chosen by memory */
	uint64_t ready_fd;    /* gets a byte when all is covered; 0: none */

	const char *patterns[OPTIONS_MAX_PATTERNS]; /* POSIX extended regular expressions */
	size_t n_patterns;
	bool no_inputs;
	bool no_outputs;
	bool raw_secrets;

	bool fail_incomplete;
	bool quiet;
	bool verbose;
	bool json_log;
	bool json; /* the answer on stdout as JSON */

	const char *config;
	bool help;
	bool version;
	bool man;
};

/* Commands as bits, for `commands` of an option. */
enum command_bit {
	CMD_ATTACH = 1 << 0,
	CMD_RUN = 1 << 1,
	CMD_RECORD = 1 << 2,
	CMD_REPLAY = 1 << 3,
	CMD_DOCTOR = 1 << 4,
	CMD_LOCATE = 1 << 5,
	CMD_SHOW = 1 << 6,
	CMD_CHECK = 1 << 7,
	CMD_RECOVER = 1 << 8,
	CMD_LIVE = CMD_ATTACH | CMD_RUN | CMD_RECORD, /* those that load probes */
	CMD_WRITES = CMD_LIVE | CMD_REPLAY,	      /* those that make traces */
	CMD_ANY = ~0,
};

enum option_type {
	OPT_BOOL,
	OPT_TEXT,
	OPT_TEXTS, /* repeatable; adds up over flag, environment and file */
	OPT_PIDS,  /* N[,N...]; repeatable */
	OPT_SIZE,  /* bytes; K, M, G are powers of 1024 */
	OPT_TIME,  /* seconds; ms, s, m, h */
	OPT_OWN,   /* a switch that its command reads itself */
};

struct option_row {
	const char *name; /* without --; also the key in the configuration file */
	char letter;	  /* 0: none */
	enum option_type type;
	size_t offset; /* into struct options */
	const char *arg;
	const char *group;
	unsigned commands; /* enum command_bit */
	const char *help;  /* one line for --help; a sentence without its full stop */
	const char *more;  /* further sentences, man page only; may be NULL */
};
extern const struct option_row option_rows[]; /* ends with a NULL name */

struct command {
	const char *name;
	enum command_bit bit;
	const char *args; /* "-- CMD..." */
	const char *help;
	const char *more;
	int min_args, max_args; /* max_args < 0: any number */
	bool ends_at_arg; /* options end at the first argument: the rest is somebody else's command line */
	int (*run)(const struct options *o); /* gives an exit code */
	int (*own)(int argc,
		   char **argv); /* reads its arguments itself, after they passed the tables */
};
extern const struct command command_rows[]; /* the first is the default; ends with a NULL name */
extern const char *const example_rows[][2]; /* command line, what it does; ends with NULL */

/* Groups are compared by pointer. */
extern const char GROUP_HELP[];

void options_init(struct options *o);
void options_fini(struct options *o);

/* Reads flags, environment and configuration file. 0, or -EINVAL and `why` says what is wrong and what was meant. */
int options_read(struct options *o, int argc, char **argv, char **env, char why[OPTIONS_WHY]);
/* For --config and its kin: applies `name = value` lines. 0 or -EINVAL. */
int options_read_config(struct options *o, struct span text, const char *file,
			char why[OPTIONS_WHY]);

const struct command *command_find(const char *name);		   /* NULL: none */
void options_env_name(const struct option_row *row, char out[96]); /* "CF_OBSERVE_NO_INPUTS" */

int options_help(const struct command *command, struct buf *out); /* NULL: the program */
int options_man(struct buf *out);

/* "64M", "1.5G", "4096" -> bytes; "90", "1.5m", "200ms" -> ns. false: not such a text. */
bool options_size(const char *text, uint64_t *out);
bool options_time(const char *text, uint64_t *out);

#endif
