#include "trace/check.h"

/* JSON Schema 2020-12 of the strict form, in the order of the tables, so that a change shows as a small difference. */

#define TIME_PATTERN "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\\\.[0-9]{3}Z$"

static const char *const kinds[] = {
	[VALUE_TEXT] = "\"type\":\"string\"",
	[VALUE_ANY] = "",
	[VALUE_OBJECT] = "\"type\":\"object\"",
	[VALUE_ARRAY] = "\"type\":\"array\"",
	[VALUE_INT] = "\"type\":\"integer\",\"minimum\":0",
	[VALUE_NUMBER] = "\"type\":\"number\"",
	[VALUE_BOOL] = "\"type\":\"boolean\"",
	[VALUE_TEXT_OR_ARRAY] = "\"type\":[\"string\",\"array\"]",
	[VALUE_TEXT_OR_OBJECT] = "\"type\":[\"string\",\"object\"]",
	[VALUE_TEXTS] = "\"type\":\"array\",\"items\":{\"type\":\"string\"}",
	[VALUE_NUMBERS] = "\"type\":\"array\",\"items\":{\"type\":\"number\"}",
};

static int put_members(const struct step_field *f, struct buf *out);
static int put_required(const struct step_field *f, struct buf *out);

static int put_field(const struct step_field *f, struct buf *out)
{
	int err = json_put_key(out, f->name);

	if (!err)
		err = buf_printf(out, "{%s", kinds[f->kind]);
	if (!err && f->one_of) {
		err = buf_add_text(out, ",\"enum\":[");
		for (const char *const *text = f->one_of; !err && *text; text++) {
			err = json_put_comma(out);
			if (!err)
				err = json_put_text(out, span_of(*text), NULL);
		}
		if (!err)
			err = buf_add_char(out, ']');
	}
	if (!err && f->members) {
		bool items = f->kind != VALUE_OBJECT;
		err = buf_add_text(out, items ? ",\"items\":{\"type\":\"object\"," : ",");
		if (!err)
			err = put_members(f->members, out);
		if (!err && items)
			err = buf_add_char(out, '}');
	}
	return err ? err : buf_add_char(out, '}');
}

static int put_members(const struct step_field *f, struct buf *out)
{
	int err = buf_add_text(out, "\"properties\":{");

	for (int i = 0; !err && f[i].name; i++)
		err = put_field(&f[i], out);
	if (!err)
		err = buf_add_text(out, "},\"required\":[");
	if (!err)
		err = put_required(f, out);
	return err ? err : buf_add_char(out, ']');
}

static int put_required(const struct step_field *f, struct buf *out)
{
	int err = 0;

	for (int i = 0; !err && f[i].name; i++) {
		if (!f[i].required)
			continue;
		err = json_put_comma(out);
		if (!err)
			err = json_put_text(out, span_of(f[i].name), NULL);
	}
	return err;
}

static int put_step(const struct step_schema *s, struct buf *out)
{
	int err = buf_printf(out, "{\"type\":\"object\",\"properties\":{\"step_id\":{\"type\":\"string\",\"minLength\":1},"
				  "\"step_type\":{\"const\":\"%s\"},"
				  "\"timestamp\":{\"type\":\"string\",\"pattern\":\"" TIME_PATTERN "\"},"
				  "\"parent_step_id\":{\"type\":\"string\"},\"metadata\":{\"type\":\"object\"}", s->name);

	for (int i = 0; !err && i < STEP_MAX_FIELDS && s->fields[i].name; i++)
		err = put_field(&s->fields[i], out);
	if (!err)
		err = buf_add_text(out, "},\"required\":[\"step_id\",\"step_type\",\"timestamp\"");
	for (int i = 0; !err && i < STEP_MAX_FIELDS && s->fields[i].name; i++)
		if (s->fields[i].required)
			err = buf_printf(out, ",\"%s\"", s->fields[i].name);
	return err ? err : buf_add_text(out, "]}");
}

int schema_write(struct buf *out)
{
	int err = buf_add_text(out, "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"" TRACE_SCHEMA "\","
				    "\"type\":\"object\",\"properties\":{\"run_id\":{\"type\":\"string\",\"minLength\":1},"
				    "\"started_at\":{\"type\":\"string\",\"pattern\":\"" TIME_PATTERN "\"},"
				    "\"ended_at\":{\"type\":\"string\",\"pattern\":\"" TIME_PATTERN "\"},"
				    "\"agent_info\":{\"type\":\"object\",");

	if (!err)
		err = put_members(agent_fields, out);
	if (!err)
		err = buf_add_text(out, "},\"task_info\":{\"type\":\"object\",");
	if (!err)
		err = put_members(task_fields, out);
	if (!err)
		err = buf_add_text(out, "},\"metadata\":{\"type\":\"object\"},\"steps\":{\"type\":\"array\",\"items\":{\"oneOf\":[");
	for (int t = 0; !err && t < STEP_TYPES; t++) {
		err = json_put_comma(out);
		if (!err)
			err = put_step(&step_schemas[t], out);
	}
	return err ? err : buf_add_text(out, "]}}},\"required\":[\"run_id\",\"started_at\",\"agent_info\",\"steps\"]}");
}
