/* The binary event stream of AWS (application/vnd.amazon.eventstream). */
#ifndef CF_DIALECT_EVENTSTREAM_H
#define CF_DIALECT_EVENTSTREAM_H

#include "base/arena.h"

struct aws_event {
	struct span type;    /* :event-type, or :exception-type */
	struct span code;    /* :error-code */
	struct span message; /* :error-message */
	bool exception;	     /* :message-type is exception or error */
	struct span payload;
};

/* Takes the next event off *rest: 1; 0 at the end; -EINVAL when the bytes are none; -EAGAIN when they end within one. */
int aws_event_next(struct span *rest, struct aws_event *out);
/* RFC 4648, without white space; SPAN_NONE when it is none. */
struct span base64_decode(struct arena *a, struct span text);

#endif
