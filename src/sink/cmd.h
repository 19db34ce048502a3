/* Commands over trace files and directories. None needs root; what they print of a trace is escaped. */
#ifndef CF_SINK_CMD_H
#define CF_SINK_CMD_H

/* cf-observe show [--json] [--list] [--full] FILE|DIR... */
int cmd_show(int argc, char **argv);
/* cf-observe check [--strict|--lenient] [--json] [--schema] FILE|DIR... */
int cmd_check(int argc, char **argv);
/* cf-observe recover DIR... */
int cmd_recover(int argc, char **argv);

/* How they end; a part of the program's promise. */
enum { CMD_FINE = 0, CMD_NO = 1, CMD_BAD_USAGE = 2, CMD_NOT_FOUND = 4, CMD_CANNOT_WRITE = 6 };

#endif
