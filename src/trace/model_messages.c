/* Messages of any provider's or framework's form, put so that the contract can hold them and nothing is lost. */
#include "trace/check_rules.h"

static const struct {
	const char *said, *role;
} roles[] = {
	{ "system", "system" },       { "user", "user" },  { "assistant", "assistant" }, { "tool", "tool" },
	{ "developer", "system" },    { "human", "user" }, { "ai", "assistant" },        { "model", "assistant" },
	{ "function", "tool" },
};

static const char *role_of(struct span message)
{
	struct span role = json_get(message, "role");

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (json_is(role, roles[i].said))
			return roles[i].role;
	return NULL;
}

static int put_other(struct span value, struct buf *out)
{
	int err = buf_add_text(out, "{\"type\":\"other\",\"value\":");

	if (!err)
		err = buf_add_span(out, value);
	return err ? err : buf_add_char(out, '}');
}

static int put_parts(struct span content, struct buf *out)
{
	struct json_iter it = json_iter(content);
	struct span part;
	int err = buf_add_char(out, '[');

	while (!err && json_next(&it, NULL, &part)) {
		err = json_put_comma(out);
		if (!err)
			err = part_fits(part) ? buf_add_span(out, part) : put_other(part, out);
	}
	return err ? err : buf_add_char(out, ']');
}

/* Role and content alone can be kept in our form; a message with more than them keeps the whole as a part. */
static int put_message(struct span message, struct buf *out)
{
	const char *role = role_of(message);
	struct span content = json_get(message, "content");
	enum json_type type = json_type_of(content);
	bool plain = role && json_count(message) == 2 && (type == JSON_STRING || type == JSON_ARRAY);
	int err = buf_printf(out, "{\"role\":\"%s\",\"content\":", role ? role : "user");

	if (!err && plain && type == JSON_STRING)
		err = buf_add_span(out, content);
	else if (!err && plain)
		err = put_parts(content, out);
	else if (!err) {
		err = buf_add_char(out, '[');
		if (!err)
			err = put_other(message, out);
		if (!err)
			err = buf_add_char(out, ']');
	}
	return err ? err : buf_add_char(out, '}');
}

static bool message_fits(struct span message)
{
	struct check c = { .strict = true };

	if (json_type_of(message) == JSON_OBJECT)
		check_message(&c, message, NULL);
	return json_type_of(message) == JSON_OBJECT && !c.problems;
}

int messages_put(struct span array, struct buf *out)
{
	struct json_iter it = json_iter(array);
	struct span message;
	int err = buf_add_char(out, '[');

	while (!err && json_next(&it, NULL, &message)) {
		err = json_put_comma(out);
		if (err)
			break;
		if (message_fits(message))
			err = buf_add_span(out, message);
		else
			err = put_message(message, out);
	}
	return err ? err : buf_add_char(out, ']');
}
