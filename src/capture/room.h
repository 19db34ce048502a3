/* What the files of this room share. Not for other rooms. */
#ifndef CF_CAPTURE_ROOM_H
#define CF_CAPTURE_ROOM_H

#include "base/buf.h"
#include "base/map.h"
#include "capture/capture.h"
#include "capture/locate.h"
#include "feed/feed.h"
#include "probe.h"

struct observe_bpf;

/* A file that is mapped somewhere and was looked into. */
struct hooked_file {
	uint64_t dev, ino;
	char *path;      /* as the first process that mapped it names it */
	bool has_tls;
	struct locate_result *found;
	int *links;      /* descriptors of what is attached; closing detaches */
	size_t n_links, links_cap;
	int error;       /* attaching failed: -errno */
};

struct followed {
	uint32_t pid;
	uint64_t start_ns;
	bool root;
	bool held;   /* by us, before its exec */
	bool rescan;
	struct map files; /* file key -> hooked_file: reported already */
	bool hooked;
	bool has_tls_unhooked;
};

struct capture {
	struct capture_options options;
	struct observe_bpf *bpf;
	bool multi;          /* uprobe_multi works here */
	struct ring control;
	struct map files;    /* file key -> hooked_file */
	struct map procs;    /* pid -> followed */
	size_t n_roots;      /* roots that still live */
	bool signalled;      /* the command had its signal */
	int channel;
	uint64_t n_sent;     /* records on it */
	int list_fd;         /* link of the task iterator */
	struct buf json, record;
};

/* follow.c */
int follow_add(struct capture *c, uint32_t pid, bool root);
int follow_group(struct capture *c);
void follow_notices(struct capture *c);
void follow_scan(struct capture *c, struct followed *f);
void follow_free(struct capture *c);

/* files.c: looks into files that `pid` maps, in a helper process, and hooks what it finds. */
void files_look(struct capture *c, struct followed *f);
/* And tells what of it the process has. */
void files_scan(struct capture *c, struct followed *f);
void files_free(struct capture *c);

/* attach.c */
bool attach_has_multi(void);
/* Before loading: how the programs will be attached. */
void attach_prepare(struct capture *c);
/* How many of the located functions we have programs for. */
size_t attach_functions(const struct locate_lib *lib);
int attach_file(struct capture *c, struct hooked_file *file, int fd, uint32_t pid);
void attach_release(struct hooked_file *file);

/* facts.c */
void facts_send(struct capture *c, uint16_t kind, uint32_t pid, uint64_t start_ns);
void facts_held(struct capture *c, const struct followed *f);
void facts_process(struct capture *c, const struct followed *f);
void facts_library(struct capture *c, const struct followed *f, const struct hooked_file *file);
/* `tell`: somebody asked for them. */
void facts_counters(struct capture *c, bool tell);
void facts_positions(struct capture *c);
uint64_t facts_now(void);

/* framework.c */
void framework_scan(struct capture *c, const struct followed *f);

#endif
