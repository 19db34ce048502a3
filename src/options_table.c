/* Every option, command and example. Add a row here and nothing else: parsing, --help and the man page follow. */
#include "options.h"

#include "capture/doctor.h"
#include "capture/locate.h"
#include "session.h"
#include "sink/cmd.h"

#include <stddef.h>

const char GROUP_HELP[] = "Help";
static const char GROUP_TARGET[] = "What to watch";
static const char GROUP_OUTPUT[] = "What is written";
static const char GROUP_SHOWN[] = "What is shown";
static const char GROUP_PRIVACY[] = "Privacy";
static const char GROUP_MESSAGES[] = "Messages";

#define AT(field) offsetof(struct options, field)

/* clang-format off */
const struct option_row option_rows[] = {
	{ "pid", 'p', OPT_PIDS, AT(pids), "N[,N...]", GROUP_TARGET, CMD_ATTACH | CMD_RECORD | CMD_DOCTOR,
	  "these processes, with their threads and all descendants", NULL },
	{ "container", 'c', OPT_TEXT, AT(container), "ID|NAME", GROUP_TARGET, CMD_ATTACH | CMD_RECORD,
	  "all processes of a container, also those that enter it later",
	  "An id, the beginning of one, or a name; Docker, containerd, CRI-O, podman and runc. No "
	  "runtime is asked." },
	{ "cgroup", 0, OPT_TEXT, AT(cgroup), "PATH", GROUP_TARGET, CMD_ATTACH | CMD_RECORD,
	  "all processes in a control group and below it", NULL },
	{ "comm", 0, OPT_TEXT, AT(comm), "GLOB", GROUP_TARGET, CMD_ATTACH | CMD_RECORD,
	  "processes by the name the kernel has", "Names lie: prefer --pid." },
	{ "duration", 0, OPT_TIME, AT(duration_ns), "TIME", GROUP_TARGET, CMD_LIVE,
	  "stop after this long: 90, 1.5m, 2h (default: when the target ends)", NULL },
	{ "buffer", 0, OPT_SIZE, AT(buffer), "SIZE", GROUP_TARGET, CMD_LIVE,
	  "memory between kernel and observer (default: 1/64 of RAM, at most 64M)",
	  "Rounded up to a power of two. Raise it when events are reported lost." },
	{ "output", 'o', OPT_TEXT, AT(output), "DIR", GROUP_OUTPUT, CMD_WRITES & ~CMD_RECORD,
	  "directory of the traces (default: ./traces)",
	  "It is made with mode 0700 if it does not exist, and belongs to the user who ran sudo." },
	{ "write", 'w', OPT_TEXT, AT(capture), "FILE", GROUP_OUTPUT, CMD_RECORD,
	  "the capture file", NULL },
	{ "fail-incomplete", 0, OPT_BOOL, AT(fail_incomplete), NULL, GROUP_OUTPUT, CMD_WRITES & ~CMD_RECORD,
	  "end with 7 if anything was lost or could not be read", NULL },
	{ "list", 0, OPT_OWN, 0, NULL, GROUP_SHOWN, CMD_SHOW,
	  "one line for each run", NULL },
	{ "full", 0, OPT_OWN, 0, NULL, GROUP_SHOWN, CMD_SHOW,
	  "whole texts instead of their beginnings", NULL },
	{ "strict", 0, OPT_OWN, 0, NULL, GROUP_SHOWN, CMD_CHECK,
	  "the rules for what is written (default for our own traces)", NULL },
	{ "lenient", 0, OPT_OWN, 0, NULL, GROUP_SHOWN, CMD_CHECK,
	  "the rules for what is read (default for others' traces)", NULL },
	{ "schema", 0, OPT_OWN, 0, NULL, GROUP_SHOWN, CMD_CHECK,
	  "print the JSON Schema of a trace instead", NULL },
	{ "json", 0, OPT_BOOL, AT(json), NULL, GROUP_SHOWN, CMD_DOCTOR | CMD_LOCATE | CMD_SHOW | CMD_CHECK,
	  "answer in JSON", NULL },
	{ "redact", 0, OPT_TEXTS, AT(patterns), "REGEX", GROUP_PRIVACY, CMD_WRITES,
	  "also mask what matches; may be repeated",
	  "A POSIX extended regular expression. Credentials are always masked, whatever is given here." },
	{ "no-inputs", 0, OPT_BOOL, AT(no_inputs), NULL, GROUP_PRIVACY, CMD_WRITES & ~CMD_RECORD,
	  "keep the structure, drop what was sent (prompts, arguments)", NULL },
	{ "no-outputs", 0, OPT_BOOL, AT(no_outputs), NULL, GROUP_PRIVACY, CMD_WRITES & ~CMD_RECORD,
	  "keep the structure, drop what came back (answers, results)", NULL },
	{ "raw-secrets", 0, OPT_BOOL, AT(raw_secrets), NULL, GROUP_PRIVACY, CMD_RECORD,
	  "do not mask credentials in the capture file", NULL },
	{ "quiet", 'q', OPT_BOOL, AT(quiet), NULL, GROUP_MESSAGES, CMD_WRITES,
	  "only warnings and errors", NULL },
	{ "verbose", 'v', OPT_BOOL, AT(verbose), NULL, GROUP_MESSAGES, CMD_WRITES,
	  "say more", NULL },
	{ "json-log", 0, OPT_BOOL, AT(json_log), NULL, GROUP_MESSAGES, CMD_WRITES,
	  "messages as JSON lines", NULL },
	{ "ready-fd", 0, OPT_SIZE, AT(ready_fd), "N", GROUP_MESSAGES, CMD_ATTACH | CMD_RECORD,
	  "write a byte to this descriptor when all that runs is covered", NULL },
	{ "config", 0, OPT_TEXT, AT(config), "FILE", GROUP_HELP, CMD_WRITES | CMD_DOCTOR,
	  "defaults, one `name = value` a line (default: /etc/cf-observe.conf)", NULL },
	{ "help", 'h', OPT_BOOL, AT(help), NULL, GROUP_HELP, CMD_ANY,
	  "this text; cf-observe COMMAND --help", NULL },
	{ "version", 'V', OPT_BOOL, AT(version), NULL, GROUP_HELP, CMD_ANY,
	  "the version", NULL },
	{ "man", 0, OPT_BOOL, AT(man), NULL, GROUP_HELP, CMD_ATTACH,
	  "the manual page, for man -l -", NULL },
	{ 0 },
};
/* clang-format on */

static int run_doctor(const struct options *o)
{
	return doctor_run(o->pids, o->n_pids, o->json);
}

/* clang-format off */
const struct command command_rows[] = {
	{ "attach", CMD_ATTACH, "",
	  "watch running processes (the default: bare options mean attach)", NULL,
	  0, 0, false, cmd_attach, NULL },
	{ "run", CMD_RUN, "-- CMD...",
	  "start a command and watch it from its first instruction",
	  "Started without sudo, the command keeps its user and its environment, and sudo is asked for the observer alone. "
	  "Under sudo, the command runs as the user who ran sudo, with what sudo leaves of the environment.",
	  1, -1, true, cmd_run, NULL },
	{ "record", CMD_RECORD, "[-- CMD...]",
	  "keep the raw events of processes in a capture file", NULL,
	  0, -1, true, cmd_record, NULL },
	{ "replay", CMD_REPLAY, "FILE",
	  "make traces from a capture file (no root)",
	  "The same capture gives the same traces, byte for byte.",
	  1, 1, false, cmd_replay, NULL },
	{ "show", CMD_SHOW, "FILE|DIR...",
	  "a trace as a tree (no root)", "Of a directory, every trace in it; open runs from their journals.",
	  1, -1, false, NULL, cmd_show },
	{ "check", CMD_CHECK, "FILE|DIR...",
	  "whether a trace keeps the contract, and where not (no root)", NULL,
	  0, -1, false, NULL, cmd_check },
	{ "recover", CMD_RECOVER, "DIR...",
	  "make traces of the journals that a crash left (no root)", NULL,
	  1, -1, false, NULL, cmd_recover },
	{ "doctor", CMD_DOCTOR, "",
	  "what this host and this process allow; what will be seen", NULL,
	  0, 0, false, run_doctor, NULL },
	{ "locate", CMD_LOCATE, "FILE...",
	  "where plaintext enters and leaves the TLS library in ELF files",
	  "Shows which functions of which library are found, how, and what is missing.",
	  1, -1, false, NULL, cmd_locate },
	{ 0 },
};

const char *const example_rows[][2] = {
	{ "sudo cf-observe --pid 812", "watch a running agent until it ends" },
	{ "cf-observe run -- python3 agent.py", "start an agent and watch it from its first instruction" },
	{ "cf-observe show traces/trace-*.json", "what it did, as a tree" },
	{ "cf-observe doctor --pid 812", "what will be seen of it, and what will not" },
	{ "sudo cf-observe record --pid 812 -w agent.cap", "keep the raw events; make traces later by cf-observe replay agent.cap" },
	{ NULL, NULL },
};
/* clang-format on */
