/* Giving up privileges, for good. */
#ifndef CF_SANDBOX_H
#define CF_SANDBOX_H

/* Becomes the user who ran sudo (root stays root, without capabilities), closes every descriptor but 0-2 and these. */
void sandbox_drop(int keep_a, int keep_b);
/* The capture process keeps only the capabilities that it needs; nothing it starts gets more. */
void sandbox_capture(void);
/* From now on only the system calls that parsing and writing traces need. */
void sandbox_enter(void);

#endif
