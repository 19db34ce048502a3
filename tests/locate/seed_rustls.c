/* The shape of rustls 0.23's record layer: vtables of encrypters and decrypters. */
#define HIDDEN __attribute__((noinline, visibility("hidden")))

const char path[] = "/home/me/.cargo/registry/src/index/rustls-0.23.36/src/conn.rs";
volatile long sink;
const void *volatile escape;

HIDDEN void drop13(void *self)
{
	sink += (long)self;
}

HIDDEN void encrypt13(long *out, void *self, const long *msg, long seq)
{
	out[0] = msg[0] + seq + (long)self;
}

HIDDEN void decrypt13(long *out, void *self, const long *msg, long seq)
{
	out[0] = msg[1] - seq - (long)self;
}

HIDDEN void encrypt12(long *out, void *self, const long *msg, long seq)
{
	out[1] = msg[2] * seq + (long)self;
}

HIDDEN void decrypt12(long *out, void *self, const long *msg, long seq)
{
	out[2] = msg[3] ^ seq ^ (long)self;
}

HIDDEN void other(long *out, void *self)
{
	out[3] = sink - (long)self;
}

HIDDEN long payload_len13(void *self, long len)
{
	(void)self;
	return len + 17;
}

HIDDEN long payload_len12(void *self, long len)
{
	(void)self;
	return len + 24;
}

struct table {
	void (*drop)(void *);
	long size, align;
	void *methods[2];
};

const struct table vtables[] = {
	{ drop13, 0x30, 8, { (void *)decrypt13, (void *)path } },
	{ drop13, 0x30, 8, { (void *)encrypt13, (void *)payload_len13 } },
	{ 0, 0x230, 16, { (void *)decrypt12, (void *)path } },
	{ 0, 0x230, 16, { (void *)encrypt12, (void *)payload_len12 } },
	{ drop13, 0x18, 8, { (void *)other, (void *)path } }, /* another type: not one of them */
};

void _start(void)
{
	escape = vtables;
	for (;;)
		;
}
